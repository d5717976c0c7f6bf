"""The one array type that crosses borders: NumPy float32, channels last, batch first."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


def frozen(values: npt.ArrayLike) -> Array:
    """A copy of `values` as a float32 array that nobody can write to; results are shared and cached."""
    array = np.array(values, np.float32, order="C")
    array.flags.writeable = False
    return array
