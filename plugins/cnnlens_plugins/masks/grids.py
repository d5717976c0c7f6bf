"""Low grids drawn large: how a mask of few numbers becomes one of the picture's size, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnnlens import Array, interpolation

Wide = NDArray[np.float64]


def gaussian(small: int, large: int) -> Wide:
    """The matrix (large, small) that mixes cells by a bell as wide as a cell; rows add up to 1."""
    at = (np.arange(large) + 0.5) * small / large - 0.5
    bell = np.exp(-((at[:, None] - np.arange(small)) ** 2) / 2)
    return np.asarray(bell / bell.sum(1, keepdims=True))


@dataclass(frozen=True)
class RandomMasks:
    """RISE's masks: a low grid of ones with chance p, drawn large bilinearly, shifted by less than a cell.

    `one(i)` is (h, w) in [0, 1]; only grids and shifts are kept.
    """

    grids: NDArray[np.bool_]
    shifts: NDArray[np.int64]
    rows: Wide
    columns: Wide
    size: tuple[int, int]

    @classmethod
    def drawn(cls, count: int, cells: int, p: float, size: tuple[int, int], seed: int) -> RandomMasks:
        """`count` masks of `cells` by `cells` for pictures of `size`; the same seed draws the same."""
        rng = np.random.default_rng(seed)
        down, across = (min(cells, side) for side in size)
        steps = [-(-side // number) for side, number in zip(size, (down, across), strict=True)]
        grids = rng.random((count, down, across)) < p
        shifts = np.stack([rng.integers(0, step, count) for step in steps], 1)
        rows, columns = (
            interpolation(n, (n + 1) * step) for n, step in zip((down, across), steps, strict=True)
        )
        return cls(grids, shifts, rows, columns, size)

    def one(self, place: int) -> Array:
        """The mask at a place."""
        (top, left), (height, width) = self.shifts[place], self.size
        rows, columns = self.rows[top : top + height], self.columns[left : left + width]
        return np.asarray(rows @ self.grids[place] @ columns.T, np.float32)
