"""A drawing as SVG: text as text, colours written out, nothing outside it referred to."""

from __future__ import annotations

from html import escape

from ..style import Style
from .drawing import DETAIL, INSET, LABEL, Box, Drawing, Route
from .tones import Colour, colours_of, line_of, quiet_of

FAMILY = "system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif"


def svg_of(drawing: Drawing, style: Style, alt: str) -> str:
    """The whole drawing as one element, as large as it is; `alt` says what it shows."""
    wide, high = f"{drawing.width:g}", f"{drawing.height:g}"
    lines = "".join(f'<path d="{path_of(route)}"/>' for route in drawing.routes)
    labels = "".join(_label(route, style) for route in drawing.routes if route.label)
    boxes = "".join(_box(box, style) for box in drawing.boxes)
    return (
        f'<svg class="diagram" xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(alt)}" '
        f'width="{wide}" height="{high}" viewBox="0 0 {wide} {high}" font-family="{FAMILY}">'
        f'<g fill="none" stroke="{_hex(line_of(style))}" stroke-width="1.25">{lines}</g>{boxes}{labels}</svg>'
    )


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


def _box(box: Box, style: Style) -> str:
    tone, node = colours_of(box.node.kind, style), box.node
    middle = f"{box.x + box.width / 2:g}"
    lines = [
        _text(middle, box.y + (18 if box.detail else 26), LABEL, style.ink, box.label, ' font-weight="500"')
    ]
    lines += [_text(middle, box.y + 33, DETAIL, quiet_of(style), box.detail)] if box.detail else []
    foot = ""
    if node.part:
        wide = node.part * (box.width - 2 * INSET)
        foot = (
            f'<rect x="{box.x + INSET:g}" y="{box.y + box.height - 5:g}" width="{wide:.2f}" height="2" rx="1" '
            f'fill="{_hex(tone.foot)}"/>'
        )
    words = f"<title>{escape(node.words)}</title>" if node.words else ""
    return (
        f'<g>{words}<rect x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}" rx="6" '
        f'fill="{_hex(tone.ground)}" stroke="{_hex(tone.border)}"/>{foot}{"".join(lines)}</g>'
    )


def _text(x: str, y: float, size: int, colour: Colour, words: str, more: str = "") -> str:
    return (
        f'<text x="{x}" y="{y:g}" font-size="{size}" text-anchor="middle" fill="{_hex(colour)}"{more}>'
        f"{escape(words)}</text>"
    )


def _label(route: Route, style: Style) -> str:
    x, y = route.at
    return f'<text x="{x:g}" y="{y + 4:g}" font-size="{DETAIL}" fill="{_hex(quiet_of(style))}">{escape(route.label)}</text>'


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
