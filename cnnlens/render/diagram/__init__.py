"""Diagrams: in ranks from top to bottom (Sugiyama, Tagawa & Toda 1981), then as elements, as pixels, as a figure."""

from .drawing import Box, Drawing, Route, laid_out
from .tree import diagram_tree

__all__ = ["Box", "Drawing", "Route", "diagram_tree", "laid_out"]
