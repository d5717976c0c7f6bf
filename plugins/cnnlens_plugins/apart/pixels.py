"""Pixels: the picture as the grid of numbers that it is, before and after preprocessing."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from cnnlens import Array, Cost, Field, Link, Outline, Picture, Probe, Tiles, visualiser

from .road import chosen_place
from .seen import channels_of


@visualiser(title="Pixels", family="taken apart", cost=Cost(), by_target=False)
def pixels(
    probe: Probe,
    *,
    place: Annotated[
        str, Field(description="the middle of what is enlarged: centre, or ROW,COLUMN")
    ] = "centre",
    size: Annotated[int, Field(ge=1, le=64, description="how many rows and columns are enlarged")] = 9,
) -> tuple[Picture | Tiles, ...]:
    """The picture as numbers: a part of it enlarged, colour by colour, before and after preprocessing.

    Before, pixels lie between 0 (none of that colour) and 1 (all of it). After, they are what the network is fed:
    scaled, the mean taken away, in the network's own order of colours.
    """
    shown = probe.pixels
    height, width, channels = shown.shape
    at = (height // 2, width // 2) if place == "centre" else chosen_place(place, shown[..., 0], "pixels")
    top, left = (
        max(0, min(middle - size // 2, side - size)) for middle, side in zip(at, (height, width), strict=True)
    )
    part = np.s_[top : top + size, left : left + size]
    box = Outline((top, left, min(top + size, height), min(left + size, width)), "enlarged below")
    opens = Link("pixels", {"size": size}, "these pixels", place="place")
    there = Link(
        "pixels", {"size": size}, "this pixel", place="place", start=(top, left), within=(height, width)
    )
    point = (at[0] - top, at[1] - left)
    marks = [Outline((point[0], point[1], point[0] + 1, point[1] + 1), "this pixel")]
    fed_names = channels_of(probe)
    names = ("red", "green", "blue") if channels == 3 else fed_names
    low, high = probe.model.input.limits
    ends = f"rows {top} to {top + size - 1}, columns {left} to {left + size - 1}"
    return (
        Picture(
            probe.colours,
            f"The picture as the network is shown it, {height} × {width} pixels",
            [box],
            opens,
        ),
        _numbers(shown[part], names, f"Before: {ends}", "intensity", (0.0, 1.0), marks, there),
        _numbers(probe.fed[part], fed_names, "After preprocessing", "what is fed", (low, high), marks, there),
    )


def _numbers(
    part: Array,
    names: tuple[str, ...],
    title: str,
    unit: str,
    ends: tuple[float, float],
    marks: list[Outline],
    opens: Link,
) -> Tiles:
    limits = np.tile(np.asarray(ends, np.float32), (part.shape[-1], 1))
    return Tiles(
        np.moveaxis(part, -1, 0), names, ends[0] < 0, title, unit, limits, outlines=marks, opens=opens
    )
