"""Tones: which kinds of boxes share a colour, and what its ground, border and foot are, in light and in dark."""

from __future__ import annotations

from typing import NamedTuple

from ..style import Style

Colour = tuple[int, int, int]

_TONES = {
    "convolution": "kernel", "transposed-convolution": "kernel",
    "dense": "dense", "attention": "dense",
    "pooling": "pool", "resize": "pool",
    **dict.fromkeys(("add", "subtract", "multiply", "divide", "concat"), "join"),
}  # fmt: skip
#: Each tone on light and on dark paper.
_HUES: dict[str, tuple[Colour, Colour]] = {
    "kernel": ((59, 91, 219), (145, 167, 255)),
    "dense": ((132, 74, 180), (204, 160, 242)),
    "pool": ((14, 124, 134), (102, 204, 210)),
    "join": ((178, 110, 20), (232, 178, 92)),
    "plain": ((110, 116, 128), (150, 158, 170)),
}


class Tone(NamedTuple):
    """The colours of a box."""

    ground: Colour
    border: Colour
    foot: Colour


def tone_of(kind: str) -> str:
    """The name of the tone of a kind of layer or call."""
    return _TONES.get(kind, "plain")


def colours_of(kind: str, style: Style) -> Tone:
    """The colours of a kind's boxes on that paper."""
    hue = _HUES[tone_of(kind)][style.theme == "dark"]
    dark = style.theme == "dark"
    return Tone(mixed(hue, style.ground, 0.13 if dark else 0.07), mixed(hue, style.ground, 0.42), hue)


def line_of(style: Style) -> Colour:
    """The colour of edges."""
    return mixed(style.ink, style.ground, 0.42)


def quiet_of(style: Style) -> Colour:
    """The colour of the second line of a box: fainter than the first, and legible on any of its grounds."""
    return mixed(style.ink, style.ground, 0.72)


def mixed(one: Colour, other: Colour, share: float) -> Colour:
    """So much of one colour in another."""
    red, green, blue = (round(a * share + b * (1 - share)) for a, b in zip(one, other, strict=True))
    return red, green, blue
