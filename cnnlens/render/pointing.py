"""What lies over a map: outlines of windows, and the values themselves where places have room for them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from ..arrays import Array
from ..panels import Heatmap, Picture, Tiles
from .charts import font
from .colour import brief

Box = tuple[float, float, float, float]

ROOM = 34  #: pixels that a place must be wide and high for its value to be written into it
#: Maps of so few places along a side, and of so few values in all, are shown so large that these can be read.
SIDE, MANY = 11, 256


def is_written(panel: Heatmap | Tiles) -> bool:
    """Whether the values of a panel are few enough to be read one by one."""
    values = panel.values[None] if isinstance(panel, Heatmap) else panel.values
    return values.ndim == 3 and max(values.shape[1:]) <= SIDE and values.size <= MANY


def outlines_of(panel: Heatmap | Tiles | Picture, tile: int | None = None) -> list[Box]:
    """What of a panel's outlines lies on it, or on one of its tiles, in its own places."""
    height, width = panel.values.shape[1:3] if isinstance(panel, Tiles) else panel.values.shape[:2]
    boxes = (one.within(height, width) for one in panel.outlines if one.tile is None or one.tile == tile)
    return [box for box in boxes if box is not None]


def outlined(
    image: Image.Image, boxes: Sequence[Box], scale: tuple[float, float], at: tuple[float, float] = (0.0, 0.0)
) -> Image.Image:
    """The picture with boxes drawn on it, `scale` pixels (down, across) a place, from (top, left) `at` on.

    Light between dark lines, so that it is seen on every ground.
    """
    if not boxes:
        return image
    drawn = image.convert("RGB")
    pen, (top, left) = ImageDraw.Draw(drawn), at
    for y0, x0, y1, x1 in boxes:
        inner = (left + x0 * scale[1], top + y0 * scale[0], left + x1 * scale[1] - 1, top + y1 * scale[0] - 1)
        x_end, y_end = (
            max(inner[2], inner[0] + 1),
            max(inner[3], inner[1] + 1),
        )  # a place may be less than a pixel
        pen.rectangle((inner[0] - 2, inner[1] - 2, x_end + 2, y_end + 2), outline=(0, 0, 0), width=1)
        pen.rectangle((inner[0] - 1, inner[1] - 1, x_end + 1, y_end + 1), outline=(255, 255, 255), width=1)
        pen.rectangle((inner[0], inner[1], x_end, y_end), outline=(0, 0, 0), width=1)
    return drawn


def written(
    image: Image.Image,
    values: Array,
    at: tuple[float, float] = (0.0, 0.0),
    size: tuple[float, float] | None = None,
) -> Image.Image:
    """The picture of a map (h, w) with its values written into it, where each place has the room."""
    if values.ndim != 2:
        return image
    width, height = size or image.size
    down, across = height / values.shape[0], width / values.shape[1]
    if min(down, across) < ROOM:
        return image
    drawn = image.convert("RGB")
    pen, letters = ImageDraw.Draw(drawn), font(max(9, min(14, round(across / 4.4))))
    grey = np.asarray(drawn.convert("L"))
    for (row, column), value in np.ndenumerate(values):
        place = (at[1] + (column + 0.5) * across, at[0] + (row + 0.5) * down)
        ground = grey[int(place[1] - down / 2 + 2), int(place[0] - across / 2 + 2)]
        ink = (255, 255, 255) if ground < 140 else (0, 0, 0)
        pen.text(place, brief(float(value)), fill=ink, font=letters, anchor="mm")
    return drawn
