"""Means over samples, and how far they would be elsewhere had other samples been drawn."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from cnnlens import Note

Values = npt.NDArray[np.float64]
GROUPS = 10


class Samples:
    """The sums, in float64, of samples that come one by one and are not kept.

    Every tenth sample goes into the same group. What was made of all of them can then be made again without
    each group in turn, which tells its standard error (Tukey's jackknife) without another pass.
    """

    def __init__(self, count: int) -> None:
        self.count = 0
        self._counts = np.zeros(min(GROUPS, count), np.int64)
        self._sums: Values | None = None

    def add(self, values: npt.NDArray[np.floating]) -> None:
        """The next sample, of any shape, the same for all."""
        if self._sums is None:
            self._sums = np.zeros((len(self._counts), *values.shape))
        group = self.count % len(self._counts)
        self._sums[group] += values
        self._counts[group] += 1
        self.count += 1

    @property
    def mean(self) -> Values:
        """The mean over all samples."""
        assert self._sums is not None
        return np.asarray(self._sums.sum(0) / self.count)

    def standard_error(self, made: Callable[[Values], Values] = lambda mean: mean) -> Values | None:
        """The standard error of `made(mean)`, place by place; None with a single sample."""
        if self.count < 2 or self._sums is None:
            return None
        total, groups = self._sums.sum(0), len(self._counts)
        others = np.stack(
            [made((total - own) / (self.count - n)) for own, n in zip(self._sums, self._counts, strict=True)]
        )
        return np.asarray(np.sqrt((groups - 1) * others.var(0)))


def run_to_run(samples: Samples, made: Callable[[Values], Values], what: str = "samples") -> Note:
    """How far the map is from what other random numbers would have given, in words."""
    error = samples.standard_error(made)
    if error is None:
        return Note("one sample alone does not tell how far another would be from it: take more")
    largest = float(np.abs(made(samples.mean)).max())
    if not largest:
        return Note(f"the map of {samples.count} {what} is zero everywhere")
    share = float(np.sqrt(np.square(error).mean())) / largest
    return Note(
        f"{samples.count} {what}: with another seed the map would differ, on the average over its places, by "
        f"{100 * share:.2g} % of its largest value (standard error); four times as many halve that"
    )
