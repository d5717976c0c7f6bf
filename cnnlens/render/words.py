"""Panels in words: for whoever cannot see them, and what stands over them."""

from __future__ import annotations

import numpy as np

from ..diagram import Diagram
from ..panels import Note, Panel, Table
from .colour import number


def alt_text(panel: Panel) -> str:
    """What a panel shows, in words and numbers."""
    match panel:
        case Note():
            return panel.text
        case Diagram():
            boxes, lines = len(panel.nodes), len(panel.edges)
            counts = f"{boxes} box{'es' * (boxes != 1)}, {lines} line{'s' * (lines != 1)}"
            return f"{panel.title or 'diagram'}: {counts}"
        case Table():
            return f"table {panel.title}, {len(panel.rows)} rows"
        case _:
            finite = panel.values[np.isfinite(panel.values)]
            ends = (
                f"{number(float(finite.min()))} to {number(float(finite.max()))}"
                if finite.size
                else "no finite value"
            )
            shape = "×".join(map(str, panel.values.shape))
            return f"{panel.title or type(panel).__name__}: {shape} values, {ends}"


def diagram_words(panel: Diagram) -> str:
    """What stands over a diagram: its title, and what the lengths at the foot of its boxes are."""
    told = any(node.part is not None for node in panel.nodes)
    return " · ".join(filter(None, (panel.title, f"lengths: {panel.means}" if told and panel.means else "")))
