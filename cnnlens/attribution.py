"""What each pixel had to do with it, as a heatmap: colour channels joined, colours that a few pixels do not spoil."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .panels import Heatmap

Join = Literal["max", "mean", "sum"]
_SHARE = 99.5


def join_channels(values: npt.NDArray[Any], join: Join) -> npt.NDArray[Any]:
    """(h, w, c) → (h, w). `max` is the channel that is largest either way, with its sign."""
    if join == "max":
        largest = np.abs(values).argmax(-1, keepdims=True)
        return np.take_along_axis(values, largest, -1)[..., 0]
    return np.asarray(values.mean(-1) if join == "mean" else values.sum(-1))


def attributed(
    values: npt.NDArray[np.floating], title: str, unit: str, means: str, *, signed: bool = True
) -> Heatmap:
    """A heatmap, signed or of sizes. Where one place in 200 is as large as the rest twice over, its colours end there.

    The values are all kept; the title says where the colours end, and how far the values go on.
    """
    sizes = np.abs(values)
    usual, largest = float(np.percentile(sizes, _SHARE)), float(sizes.max())
    limits = None
    if 0 < 2 * usual < largest:
        title = f"{title} (1 place in 200 is beyond the colours, up to {largest:.3g})"
        limits = (-usual if signed else 0.0, usual)
    return Heatmap(
        np.asarray(values, np.float32), signed=signed, title=title, unit=unit, means=means, limits=limits
    )
