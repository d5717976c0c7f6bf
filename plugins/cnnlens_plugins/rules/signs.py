"""What of an array is above zero, and what is below."""

from __future__ import annotations

import numpy as np

from cnnlens import Array


def side(values: Array, up: bool, out: Array | None = None) -> Array:
    """The values above zero, or those below, zeros in the place of the others; into `out` if there is one.

    `np.clip` between two bounds of the array's own type takes a third of the time of `np.maximum`.
    """
    ends = (0, np.inf) if up else (-np.inf, 0)
    low, high = (values.dtype.type(end) for end in ends)
    cut: Array = np.clip(values, low, high, out=out)
    return cut
