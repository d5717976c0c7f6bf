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


def crops(
    pixels: Array, one: Array, field: ReceptiveField, places: Sequence[Place], margin: int = 0
) -> Tiles:
    """What the places see of the picture (h, w, c), as colours, all of the field's size; or so much more around it."""
    height, width = pixels.shape[:2]
    colours = pixels if pixels.shape[-1] == 3 else np.repeat(pixels.mean(-1, keepdims=True), 3, -1)
    sides = [side + 2 * margin for side in field.size]
    tiles = np.full((len(places), *sides, 3), GREY, np.float32)
    for tile, place in zip(tiles, places, strict=True):
        y, x = (edge - margin for edge in field.box(*place, clip=False)[:2])
        y0, x0, y1, x1 = max(y, 0), max(x, 0), min(y + sides[0], height), min(x + sides[1], width)
        tile[y0 - y : y1 - y, x0 - x : x1 - x] = colours[y0:y1, x0:x1]
    size = f"{field.size[0]} × {field.size[1]} pixels"
    return Tiles(
        tiles,
        [f"{i}, {j}: {one[i, j]:.3g}" for i, j in places],
        title=f"The same with what lies around it, {size} in the middle"
        if margin
        else f"What it saw where it is strongest, {size} each",
        limits=np.tile(np.array((0, 1), np.float32), (len(places), 1)),
    )


def margin_of(pixels: Array, field: ReceptiveField) -> int:
    """How much around a field is shown besides: up to a sixth of the picture, none where the field is not small."""
    room = min(pixels.shape[:2]) // 6 - max(field.size)
    return room // 2 if room >= max(field.size) else 0
