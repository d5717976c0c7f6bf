"""Bilinear enlarging of many maps at once, pixel centres on pixel centres."""

from __future__ import annotations

import numpy as np

from cnnlens import Array


def enlarged(maps: Array, size: tuple[int, int]) -> Array:
    """Maps (…, h, w) → (…, *size), as torch's `interpolate` does with `align_corners=False`."""
    rows = between(maps.shape[-2], size[0]).astype(maps.dtype)
    columns = between(maps.shape[-1], size[1]).astype(maps.dtype)
    return np.asarray(rows @ maps @ columns.T)


def between(here: int, there: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """The matrix (there, here) that reads `there` values between `here` ones; beyond the ends it holds the end."""
    at = np.clip((np.arange(there) + 0.5) * here / there - 0.5, 0, here - 1)
    low = np.minimum(at.astype(int), max(here - 2, 0))
    matrix = np.zeros((there, here))
    matrix[np.arange(there), low] = 1 - (at - low)
    matrix[np.arange(there), np.minimum(low + 1, here - 1)] += at - low
    return matrix
