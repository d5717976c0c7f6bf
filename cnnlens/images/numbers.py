"""From an array of numbers to pixels in [0, 1]."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import Array
from ..errors import BadInput

_COLOURS = (1, 3, 4)
_SMALLEST = 8  #: sides that are shorter may as well be channels


def of_array(source: Any, name: str, notes: list[str]) -> Array:
    """Pixels (H, W, C) of one picture; BadInput where it is none, with what would do."""
    values = np.asarray(source)
    if values.ndim == 2:
        values = values[..., None]
    if values.ndim != 3 or 0 in values.shape or values.dtype.kind not in "uifb":
        raise BadInput(
            f"a picture is an array (H, W) or (H, W, C) of numbers, got {values.dtype} {values.shape}; "
            "give one picture at a time, channels last"
        )
    first, *sides = values.shape
    if first in _COLOURS and min(sides) >= _SMALLEST:
        notes.append(f"channels first {values.shape}: put last")
        values = np.moveaxis(values, 0, -1)
    if values.dtype.kind in "uib":
        return _of_whole_numbers(values, name, notes)
    pixels = values.astype(np.float32)
    if not np.isfinite(pixels).all():
        raise BadInput(f"{name} holds NaN or infinite pixels")
    if pixels.min() < -1e-3 or pixels.max() > 1 + 1e-3:
        raise BadInput(
            f"{name} has values {pixels.min():.4g} to {pixels.max():.4g}; float pixels are in [0, 1] "
            "(hand over the picture before preprocessing: the model's own is applied)"
        )
    return np.clip(pixels, 0, 1)


def _of_whole_numbers(values: Any, name: str, notes: list[str]) -> Array:
    """Shares of the largest number that the type can hold."""
    if values.dtype.kind == "b":
        return np.asarray(values, np.float32)
    if values.dtype.kind == "i" and values.min() < 0:
        raise BadInput(f"{name} has values down to {values.min()}; a pixel is never below 0")
    top = int(np.iinfo(values.dtype).max)
    if values.dtype.itemsize > 2:  # the default type of whole numbers says nothing of the range of these
        if values.max() > 65535:
            raise BadInput(f"{name} has values up to {values.max()}; divide by the largest there can be")
        top = 255 if values.max() <= 255 else 65535
        notes.append(f"{values.dtype} taken for levels of 0 to {top}")
    return np.asarray(values.astype(np.float32) / np.float32(top))
