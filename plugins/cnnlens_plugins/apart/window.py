"""The window that one value of a convolution or a pooling reads: where it lies, and what is in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnlens import Array, CallInfo, Outline

Place = tuple[int, int]
Reals = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Window:
    """Places of a map: `size` of them along each axis, `step` apart, from `start` on, which may lie before the map."""

    start: Place
    step: Place
    size: Place
    shape: Place  #: of the map that is read

    @property
    def within(self) -> npt.NDArray[np.bool_]:
        """Which of its places the map has (size); the others are padding."""
        rows, columns = (self._along(axis) for axis in (0, 1))
        return np.outer(
            *(
                (0 <= places) & (places < side)
                for places, side in zip((rows, columns), self.shape, strict=True)
            )
        )

    def read(self, maps: Array, padding: float = 0.0) -> Reals:
        """What it reads of maps (h, w, c): (*size, c), padding where there is no map."""
        rows, columns = (np.clip(self._along(axis), 0, side - 1) for axis, side in enumerate(self.shape))
        found = maps[np.ix_(rows, columns)].astype(np.float64)
        return np.where(self.within[..., None], found, padding)

    def outline(self, words: str = "") -> Outline:
        """The box that holds it, also where it lies beyond the border."""
        y1, x1 = (s + (n - 1) * d + 1 for s, n, d in zip(self.start, self.size, self.step, strict=True))
        return Outline((*self.start, y1, x1), words)

    def _along(self, axis: int) -> Any:
        return self.start[axis] + self.step[axis] * np.arange(self.size[axis])


def window_of(info: CallInfo, read: Sequence[int], place: Place) -> Window:
    """The window of a convolution's or a pooling's place in a map of the size that is `read`, (h, w, …).

    Where no kernel is told it is that of an adaptive or global pooling: windows that fill the map.
    """
    starts, steps, sizes = [], [], []
    for axis in (0, 1):
        side, out = read[axis], info.shape[axis] if len(info.shape) == 3 else 1
        windows = info.windows(axis, side)
        if windows is None:
            first, end = place[axis] * side // out, -(-(place[axis] + 1) * side // out)
            starts.append(first)
            steps.append(1)
            sizes.append(end - first)
        else:
            starts.append(place[axis] * windows.stride - windows.before)
            steps.append(windows.dilation)
            sizes.append(windows.size)
    return Window(_pair(starts), _pair(steps), _pair(sizes), (read[0], read[1]))


def _pair(values: Sequence[int]) -> Place:
    return int(values[0]), int(values[1])
