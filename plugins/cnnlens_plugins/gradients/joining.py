"""Colour channels become one number."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Join = Literal["max", "mean", "sum"]


def join_channels(values: npt.NDArray[Any], join: Join) -> npt.NDArray[Any]:
    """(h, w, c) → (h, w). `max` is the channel that is largest either way, with its sign."""
    if join == "max":
        largest = np.abs(values).argmax(-1, keepdims=True)
        return np.take_along_axis(values, largest, -1)[..., 0]
    return np.asarray(values.mean(-1) if join == "mean" else values.sum(-1))
