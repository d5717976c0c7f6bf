"""A drawing as a tree of elements: one SVG with the lines, and boxes of HTML on it, which a click can be for."""

from __future__ import annotations

from typing import Any

from ...diagram import Diagram
from .drawing import INSET, Box, Drawing, Route, laid_out
from .tones import tone_of

Tree = list[Any]


def diagram_tree(panel: Diagram, alt: str, *, leads: bool = False, theme: str = "") -> Tree:
    """The drawing in a box of its own that scrolls; `alt` says what it shows.

    Where boxes `lead` on they are buttons, one tab stop for all. Without a `theme` the page has one.
    """
    drawing = laid_out(panel)
    size = {"--wide": f"{drawing.width:g}px", "--high": f"{drawing.height:g}px"}
    group = {"role": "group", "aria-label": alt, "tabindex": "0"}
    leading = [i for i, node in enumerate(panel.nodes) if leads and node.opens is not None]
    boxes = [_box(box, i, i in leading, [i] == leading[:1]) for i, box in enumerate(drawing.boxes)]
    return [
        f"div.paper{theme and '.' + theme}",
        group,
        ["div.diagram", size, _lines(drawing), *boxes, *_labels(drawing)],
    ]


def _lines(drawing: Drawing) -> Tree:
    view = {"viewBox": f"0 0 {drawing.width:g} {drawing.height:g}", "aria-hidden": "true"}
    return ["svg", view, *(["path", {"d": path_of(route)}] for route in drawing.routes)]


def path_of(route: Route) -> str:
    """The `d` of an edge: straight pieces and swings."""
    (x, y), *_ = route.points
    parts = [f"M{x:g} {y:g}"]
    for start, *handles, end in route.swings:
        if start[0] == end[0]:
            parts.append(f"V{end[1]:g}")
        else:
            parts.append("C" + " ".join(f"{x:g} {y:g}" for x, y in (*handles, end)))
    return "".join(parts)


def _box(box: Box, number: int, leads: bool, first: bool) -> Tree:
    place = {"--x": f"{box.x:g}px", "--y": f"{box.y:g}px", "--w": f"{box.width:g}px", "title": box.node.words}
    if leads:
        place |= {"data-opens": str(number), "tabindex": "0" if first else "-1"}
    inside: list[Tree] = [["b", box.label]]
    inside += [["small", box.detail]] if box.detail else []
    long = (box.node.part or 0) * (box.width - 2 * INSET)
    inside += [["i", {"--part": f"{long:.4g}px"}]] if long else []
    return [f"{'button' if leads else 'div'}.node.{tone_of(box.node.kind)}", place, *inside]


def _labels(drawing: Drawing) -> list[Tree]:
    return [
        ["span", {"--x": f"{route.at[0]:g}px", "--y": f"{route.at[1]:g}px"}, route.label]
        for route in drawing.routes
        if route.label
    ]
