"""Diagrams: in ranks from top to bottom (Sugiyama, Tagawa & Toda 1981), then as SVG, as pixels, as a figure."""

from .drawing import Box, Drawing, Route, laid_out

__all__ = ["Box", "Drawing", "Route", "laid_out"]
