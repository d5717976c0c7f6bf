"""Maps of few places drawn at the size of a picture, pixel centres on pixel centres."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Enlarge = Literal["bilinear", "nearest"]


def enlarged(
    maps: npt.NDArray[Any], size: tuple[int, int], how: Enlarge = "bilinear"
) -> npt.NDArray[np.floating]:
    """Maps (…, h, w) → (…, *size), bilinearly or by the nearest place; precision is that of what is given.

    As torch's `interpolate` does with `align_corners=False`. Smaller sizes are read off, not averaged.
    """
    rows, columns = (
        interpolation(here, there, how) for here, there in zip(maps.shape[-2:], size, strict=True)
    )
    kind = maps.dtype if maps.dtype.kind == "f" else np.float64
    return np.asarray(rows.astype(kind) @ maps @ columns.T.astype(kind))


def interpolation(here: int, there: int, how: Enlarge = "bilinear") -> npt.NDArray[np.float64]:
    """The matrix (there, here) that reads `there` values between `here` ones; beyond the ends it holds the end."""
    at, every = np.clip((np.arange(there) + 0.5) * here / there - 0.5, 0, here - 1), np.arange(there)
    matrix = np.zeros((there, here))
    if how == "nearest":
        matrix[every, ((every + 0.5) * here / there).astype(int)] = 1
        return matrix
    low = np.minimum(at.astype(int), max(here - 2, 0))
    matrix[every, low] = 1 - (at - low)
    matrix[every, np.minimum(low + 1, here - 1)] += at - low
    return matrix
