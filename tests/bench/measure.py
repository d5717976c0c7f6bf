"""Ours and the other side in turn, in one process: medians, paired ratios, and whether both found the same.

Absolute seconds mean little on a machine that others use too; the ratio of two runs that follow one another
does. What is told is the median of the paired ratios over the turns, and its ends.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

TURNS = 5
SHORT = 0.25  #: seconds; what takes less is run again within its turn

Run = Callable[[], Any]


@dataclass(frozen=True)
class Row:
    """One comparison. `ratio` is the other side's time by ours ("faster"), or ours by the floor's ("cost")."""

    what: str
    against: str
    kind: str  # "faster": wants to be at least `asked`; "cost": at most
    asked: float | None
    ratio: float
    low: float
    high: float
    ours: float  # seconds
    theirs: float
    equal: str  # how far both results are from one another, in words
    turns: int
    takes: int | None = None  # bytes, at its height
    may: int | None = None

    @property
    def reached(self) -> bool | None:
        """Whether what was asked for is reached, with 15 % slack for noise; None where nothing is asked."""
        if self.asked is None:
            return None
        if self.may is not None and (self.takes is None or self.takes > self.may * 1.15):
            return False
        return self.ratio >= self.asked / 1.15 if self.kind == "faster" else self.ratio <= self.asked * 1.15

    def facts(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "reached": self.reached}


def in_turn(turns: int = TURNS, /, *, warm: bool = False, **runs: Run) -> dict[str, list[float]]:
    """Seconds of each of `runs`, by turns. The order changes each turn.

    Each is run once before, unmeasured, unless they are `warm` already: their results were compared, say.
    """
    if not warm:
        for run in runs.values():
            run()
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(turns):
        for name in sorted(runs, reverse=bool(turn % 2)):
            taken[name].append(_seconds(runs[name]))
    return taken


def _seconds(run: Run) -> float:
    """Of a run; of a short one the median of several, for the first one pays for what the other side left behind.

    After a peer of gigabytes nothing of ours is in the caches, and memory has to be fetched from the system again.
    """
    found: list[float] = []
    while not found or sum(found) < SHORT:
        started = time.perf_counter()
        run()
        found.append(time.perf_counter() - started)
    return statistics.median(found)


def faster(
    what: str, against: str, ours: Run, theirs: Run, *, asked: float | None, equal: str, turns: int = TURNS,
    warm: bool = False,
) -> Row:  # fmt: skip
    """How many times faster ours is than a peer. `equal` says how the results were compared; do so before."""
    return row_of(what, against, "faster", asked, in_turn(turns, ours=ours, theirs=theirs, warm=warm), equal)


def cost(
    what: str, against: str, ours: Run, floor: Run, *, asked: float | None, equal: str, turns: int = TURNS
) -> Row:
    """How many times the floor, bare passes of the framework, ours costs."""
    return row_of(what, against, "cost", asked, in_turn(turns, ours=ours, theirs=floor), equal)


def row_of(
    what: str, against: str, kind: str, asked: float | None, taken: dict[str, list[float]], equal: str
) -> Row:
    """A row of the seconds that both sides took, `ours` and `theirs`, turn by turn."""
    pairs = zip(taken["ours"], taken["theirs"], strict=True)
    ratios = [theirs / ours if kind == "faster" else ours / theirs for ours, theirs in pairs]
    middle = statistics.median
    seconds = middle(taken["ours"]), middle(taken["theirs"])
    ends = min(ratios), max(ratios)
    return Row(what, against, kind, asked, middle(ratios), *ends, *seconds, equal, len(ratios))


def same(ours: Any, theirs: Any, tolerance: float, what: str = "") -> str:
    """The largest difference as a share of the largest value, in words; ValueError beyond the tolerance."""
    a, b = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if a.shape != b.shape:
        raise ValueError(f"{what}: {a.shape} and {b.shape} cannot be the same")
    largest = float(np.abs(b).max())
    if not largest or not np.isfinite(largest):
        raise ValueError(f"{what}: a result of {largest} says nothing about equality")
    error = float(np.abs(a - b).max()) / largest
    if not error <= tolerance:
        raise ValueError(f"{what}: off by {error:.1e} of the largest value, allowed are {tolerance:.0e}")
    return f"{error:.0e}"
