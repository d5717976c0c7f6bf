"""A few values so large that the colours of all others are one."""

from __future__ import annotations

import numpy as np

from ..panels import Heatmap

TIMES, LEAST = 50, 100


def few_extremes(panel: Heatmap) -> str | None:
    """Which places stand out, where the largest is far beyond almost all that is not zero."""
    sizes = np.abs(panel.values)
    some = sizes[sizes > 0]
    if panel.limits is not None or some.size < LEAST:
        return None
    usual = float(np.percentile(some, 99))
    count = int((sizes > TIMES * usual).sum())
    if not count:
        return None
    y, x = np.unravel_index(int(sizes.argmax()), sizes.shape)
    return (
        f"{count} of {sizes.size} places are more than {TIMES} times what 99 in 100 are below ({usual:.3g}); the "
        f"largest, {float(panel.values[y, x]):.3g}, is at row {y}, column {x}. The colours reach as far, so the "
        "rest looks empty: it is in the numbers (.npz), and a Heatmap with limits of its own shows it"
    )
