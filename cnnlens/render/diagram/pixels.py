"""A drawing as a Pillow picture: lines and boxes drawn large and made smaller, lettering at its own size."""

from __future__ import annotations

from PIL import Image, ImageDraw

from ..charts import font
from ..style import Style
from .drawing import DETAIL, INSET, LABEL, Drawing, Point
from .tones import colours_of, line_of, quiet_of

FINE = 3  #: so much larger lines are drawn
STEPS = 16  #: straight pieces of a curve
BAND = 4096  #: pixels of height that are drawn at once


def picture_of(drawing: Drawing, style: Style) -> Image.Image:
    """The whole drawing, a pixel a unit."""
    size = (round(drawing.width), round(drawing.height))
    canvas = Image.new("RGB", size, style.ground)
    for top in range(0, size[1], BAND):
        band = Image.new("RGB", (size[0] * FINE, min(BAND, size[1] - top) * FINE), style.ground)
        _lines(drawing, ImageDraw.Draw(band), style, top)
        canvas.paste(band.resize((size[0], band.height // FINE), Image.Resampling.BOX), (0, top))
    _letters(drawing, ImageDraw.Draw(canvas), style)
    return canvas


def _lines(drawing: Drawing, draw: ImageDraw.ImageDraw, style: Style, top: int) -> None:
    def fine(x: float, y: float) -> Point:
        return x * FINE, (y - top) * FINE

    for route in drawing.routes:
        points = [fine(*point) for curve in route.swings for point in _along(*curve)]
        draw.line(points, fill=line_of(style), width=FINE + 1, joint="curve")
    for box in drawing.boxes:
        tone = colours_of(box.node.kind, style)
        corners = (*fine(box.x, box.y), *fine(box.x + box.width, box.y + box.height))
        draw.rounded_rectangle(corners, 6 * FINE, tone.ground, tone.border, FINE)
        if box.node.part:
            low, wide = box.y + box.height - 5, box.node.part * (box.width - 2 * INSET)
            ends = (*fine(box.x + INSET, low), *fine(box.x + INSET + max(wide, 0.4), low + 2))
            draw.rectangle(ends, tone.foot)


def _letters(drawing: Drawing, draw: ImageDraw.ImageDraw, style: Style) -> None:
    quiet = quiet_of(style)
    for box in drawing.boxes:
        middle = box.x + box.width / 2
        top = box.y + (14 if box.detail else box.height / 2)
        draw.text((middle, top), box.label, fill=style.ink, font=font(LABEL), anchor="mm")
        if box.detail:
            draw.text((middle, box.y + 29), box.detail, fill=quiet, font=font(DETAIL), anchor="mm")
    for route in drawing.routes:
        draw.text(route.at, route.label, fill=quiet, font=font(DETAIL), anchor="lm")


def _along(start: Point, first: Point, second: Point, end: Point) -> list[Point]:
    """Points of a cubic curve."""
    if start[0] == end[0]:
        return [start, end]
    found = []
    for step in range(STEPS + 1):
        t = step / STEPS
        a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3
        found.append(
            (a * start[0] + b * first[0] + c * second[0] + d * end[0],
             a * start[1] + b * first[1] + c * second[1] + d * end[1])
        )  # fmt: skip
    return found
