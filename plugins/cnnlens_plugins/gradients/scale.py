"""Where the colours of a signed map end, so that a few pixels do not leave the rest white."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cnnlens import Heatmap

SHARE = 99.5


def attributed(values: npt.NDArray[np.floating], title: str, unit: str, means: str) -> Heatmap:
    """A signed heatmap. Where one place in two hundred is as large as the rest twice over, its colours end there.

    The values are all kept; the title says where the colours end, and how far the values go on.
    """
    sizes = np.abs(values)
    usual, largest = float(np.percentile(sizes, SHARE)), float(sizes.max())
    if not 0 < 2 * usual < largest:
        return Heatmap(np.asarray(values, np.float32), signed=True, title=title, unit=unit, means=means)
    beyond = f"{title} (1 place in 200 is beyond the colours, up to {largest:.3g})"
    return Heatmap(
        np.asarray(values, np.float32),
        signed=True,
        title=beyond,
        unit=unit,
        means=means,
        limits=(-usual, usual),
    )
