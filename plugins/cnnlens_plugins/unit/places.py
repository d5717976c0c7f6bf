"""The places where a unit is strongest, and the parts of the picture that they see."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnnlens import Array, ReceptiveField, Tiles

Place = tuple[int, int]
GREY = 0.5  #: what lies beyond the border


def strongest(one: Array, field: ReceptiveField, count: int) -> list[Place]:
    """The places of the largest values, at most `count`, no two of whose fields share more than half of their pixels.

    Those that are as small as the smallest are none, nor those that see padding alone.
    """
    finite = np.where(np.isfinite(one), one, -np.inf)
    least = finite[np.isfinite(finite)].min(initial=np.inf)
    found: list[Place] = []
    for flat in np.argsort(-finite, axis=None, kind="stable"):
        i, j = (int(n) for n in np.unravel_index(flat, one.shape))
        if not finite[i, j] > least or len(found) == count:
            break
        y0, x0, y1, x1 = field.box(i, j)
        if y0 < y1 and x0 < x1 and all(_shared(field, (i, j), other) <= 0.5 for other in found):
            found.append((i, j))
    return found


def _shared(field: ReceptiveField, one: Place, other: Place) -> float:
    """Which part of its pixels the field of one place shares with another's; those beyond the border count too."""
    share = 1.0
    for size, stride, a, b in zip(field.size, field.stride, one, other, strict=True):
        share *= max(size - stride * abs(a - b), 0) / size
    return share


def crops(pixels: Array, one: Array, field: ReceptiveField, places: Sequence[Place]) -> Tiles:
    """What the places see of the picture (h, w, c), as colours, all of the field's size."""
    height, width = pixels.shape[:2]
    colours = pixels if pixels.shape[-1] == 3 else np.repeat(pixels.mean(-1, keepdims=True), 3, -1)
    tiles = np.full((len(places), *field.size, 3), GREY, np.float32)
    for tile, place in zip(tiles, places, strict=True):
        y, x, y_end, x_end = field.box(*place, clip=False)
        y0, x0, y1, x1 = max(y, 0), max(x, 0), min(y_end, height), min(x_end, width)
        tile[y0 - y : y1 - y, x0 - x : x1 - x] = colours[y0:y1, x0:x1]
    size = f"{field.size[0]} × {field.size[1]} pixels"
    return Tiles(
        tiles,
        [f"{i}, {j}: {one[i, j]:.3g}" for i, j in places],
        title=f"What it sees where it is strongest, {size} each",
        unit="row, column: activation",
    )


def sees_all(pixels: Array, field: ReceptiveField, places: Sequence[Place]) -> bool:
    """Whether each of the places sees the whole picture."""
    return all(field.box(i, j) == (0, 0, *pixels.shape[:2]) for i, j in places)
