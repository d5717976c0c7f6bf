"""Places of an output with one score for each class at each of them, as segmentation has.

Scores are (n, places, classes) here. A class wins at a place where its score is the highest there; a class
that is the only one wins where its score is above zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from ..arrays import Array
from ..errors import BadInput

Numbers = np.ndarray[Any, np.dtype[np.intp]]
A = TypeVar("A", bound=np.ndarray[Any, Any])
Flags = np.ndarray[Any, np.dtype[np.bool_]]


def flat(scores: A) -> A:
    """Scores (n, …, classes) as (n, places, classes); one score a class is one place."""
    return scores.reshape(len(scores), -1, scores.shape[-1])  # type: ignore[return-value]


def winners(scores: Array) -> Numbers:
    """The class that wins at each place, (n, places); -1 where a class that is alone does not."""
    if scores.shape[-1] == 1:
        return np.asarray(np.where(scores[..., 0] > 0, 0, -1))
    return np.asarray(scores.argmax(-1))


def ranked(scores: Array, rank: int, inside: Flags | None = None) -> Numbers:
    """The class (n,) that wins the most places, the second most, …; of as many the higher mean score.

    With one place that is the order of the scores. `inside` (places,) says which places count.
    """
    if rank > scores.shape[-1]:
        raise BadInput(f"top{rank} of {scores.shape[-1]} classes")
    if scores.shape[1] == 1:
        return np.argsort(-scores[:, 0], -1, kind="stable")[:, rank - 1]
    seen = scores if inside is None else scores[:, inside]
    classes = np.arange(scores.shape[-1])
    won = np.stack([np.bincount(w[w >= 0], minlength=len(classes)) for w in winners(seen)])
    return np.lexsort((np.broadcast_to(classes, won.shape), -seen.mean(1), -won))[:, rank - 1]


@dataclass(frozen=True)
class Region:
    """Rows and columns of an output's grid, ends excluded, and the pixels that they were asked by."""

    rows: tuple[int, int]
    columns: tuple[int, int]
    text: str = ""

    def inside(self, grid: tuple[int, ...]) -> Flags:
        """Which places of a grid (h, w) lie in it, (places,)."""
        if len(grid) != 2 or self.rows[1] > grid[0] or self.columns[1] > grid[1]:
            raise BadInput(f"no rows {self.rows} and columns {self.columns} in an output of {grid} places")
        found = np.zeros(grid, bool)
        found[slice(*self.rows), slice(*self.columns)] = True
        return found.reshape(-1)


@dataclass(frozen=True)
class Won:
    """The places where a class wins, each picture's own; where it wins nowhere, all places."""

    index: int | None = None
    rank: int | None = None

    def inside(self, scores: Array) -> Flags:
        """Which places it wins, (n, places)."""
        mine = np.full(len(scores), self.index) if self.rank is None else ranked(scores, self.rank)
        found = winners(scores) == mine[:, None]
        return np.asarray(found | ~found.any(1, keepdims=True))

    def pinned(self, scores: Array) -> Mask:
        """The places of one picture (h, w, classes), for all pictures from now on."""
        row = flat(scores[None])
        index = int(ranked(row, self.rank)[0]) if self.rank is not None else self.index
        found = winners(row)[0] == index
        nowhere = None if found.any() else index
        return Mask(scores.shape[:-1], np.packbits(found | ~found.any()).tobytes(), nowhere)


@dataclass(frozen=True)
class Mask:
    """Certain places of a grid. `nowhere` is the class that wins at none, where they are therefore all."""

    grid: tuple[int, ...]
    bits: bytes
    nowhere: int | None = None

    def inside(self, grid: tuple[int, ...]) -> Flags:
        """Which places, (places,)."""
        if grid != self.grid:
            raise BadInput(f"places of an output of {self.grid} places, and one of {grid}")
        count = int(np.prod(grid))
        return np.unpackbits(np.frombuffer(self.bits, np.uint8), count=count).astype(bool)


Places = Region | Won | Mask
