"""A drawing in matplotlib's axes, a unit a point where there is room for it."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch, PathPatch, Rectangle
from matplotlib.path import Path

from ..style import Style
from .drawing import DETAIL, INSET, LABEL, Box, Drawing, Route
from .tones import Colour, colours_of, line_of, quiet_of

WIDE = 5.0  #: inches that a drawing has beside what others of the figure write at their axes


def scale_of(drawing: Drawing) -> float:
    """Points of a unit: one, or less where the drawing is wider than there is room."""
    return min(0.9, WIDE * 72 / drawing.width)


def inches_of(drawing: Drawing) -> float:
    """How high a drawing is on paper."""
    return drawing.height * scale_of(drawing) / 72 + 0.3


def draw_drawing(drawing: Drawing, axes: Axes, style: Style) -> None:
    """The whole drawing, its text under the label "value", which keeps its own colour."""
    wide = max(drawing.width, WIDE * 72 / scale_of(drawing))
    middle = drawing.width / 2
    axes.set(xlim=(middle - wide / 2, middle + wide / 2), ylim=(drawing.height, 0), aspect="equal")
    axes.set_axis_off()
    for route in drawing.routes:
        axes.add_patch(PathPatch(_path(route), fill=False, edgecolor=_share(line_of(style)), linewidth=0.8))
        if route.label:
            _write(axes, route.at, route.label, DETAIL * scale_of(drawing), quiet_of(style), "left")
    for box in drawing.boxes:
        _box(box, axes, style, scale_of(drawing))


def _box(box: Box, axes: Axes, style: Style, scale: float) -> None:
    tone, middle = colours_of(box.node.kind, style), box.x + box.width / 2
    shape = FancyBboxPatch(
        (box.x, box.y), box.width, box.height, boxstyle="round,pad=0,rounding_size=6",
        facecolor=_share(tone.ground), edgecolor=_share(tone.border), linewidth=0.7,
    )  # fmt: skip
    axes.add_patch(shape)
    if box.node.part:
        foot = (box.x + INSET, box.y + box.height - 5)
        wide = box.node.part * (box.width - 2 * INSET)
        axes.add_patch(Rectangle(foot, wide, 2, facecolor=_share(tone.foot), linewidth=0))
    top = box.y + (14 if box.detail else box.height / 2)
    _write(axes, (middle, top), box.label, LABEL * scale, style.ink)
    if box.detail:
        _write(axes, (middle, box.y + 29), box.detail, DETAIL * scale, quiet_of(style))


def _write(
    axes: Axes, at: tuple[float, float], words: str, size: float, colour: Colour, across: str = "center"
) -> None:
    plain = words.replace("$", r"\$")
    axes.text(*at, plain, ha=across, va="center", fontsize=size, color=_share(colour), label="value")


def _path(route: Route) -> Path:
    points, codes = [route.points[0]], [Path.MOVETO]
    for _, *rest in route.swings:
        points += rest
        codes += [Path.CURVE4] * 3
    return Path(points, codes)


def _share(colour: Colour) -> tuple[float, float, float]:
    red, green, blue = (one / 255 for one in colour)
    return red, green, blue
