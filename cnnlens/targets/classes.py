"""The score of a class, by its number or by its rank; at certain places, where an output has places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..arrays import Array
from ..errors import BadInput, Unmet
from .places import Mask, Numbers, Places, Region, Won, flat, ranked
from .term import Reals, Term

if TYPE_CHECKING:
    from ..model import Model


@dataclass(frozen=True)
class ClassScore(Term):
    """The score of a class; where the output has places, its mean over `places`.

    By `rank`: each picture's first, second, … class. `places` None are those where the class itself wins.
    """

    index: int | None = None
    rank: int | None = None
    places: Places | None = None

    @property
    def won(self) -> Won:
        """The places where it wins."""
        return Won(self.index, self.rank)

    def pinned(self, scores: Array) -> ClassScore:
        """The class that it is for the picture with these scores, at the places that it has there."""
        index = int(self._chosen(scores[None])[0])
        if scores.ndim == 1:
            return self if self.rank is None else replace(self, rank=None, index=index)
        places = self.places or self.won
        fixed = places.pinned(scores) if isinstance(places, Won) else places
        return ClassScore(index, None, fixed)

    def read(self, scores: Array) -> tuple[Numbers, Reals]:
        """The class (n,) and how much each place counts, (n, places), summing to one."""
        chosen, grid = self._chosen(scores), scores.shape[1:-1]
        if not grid:
            return chosen, np.ones((len(scores), 1))
        places = self.places or self.won
        inside = places.inside(flat(scores)) if isinstance(places, Won) else places.inside(grid)[None]
        shares = inside / inside.sum(1, keepdims=True)
        return chosen, np.broadcast_to(shares, (len(scores), shares.shape[1]))

    def value(self, scores: Array, activations: Mapping[str, Array]) -> Reals:
        """The score, or its mean over the places."""
        return weighed(scores, *self.read(scores))

    def cotangents(self, scores: Array, activations: Mapping[str, Array]) -> dict[str, Array]:
        """One at the class, or shared out over the places."""
        chosen, shares = self.read(scores)
        pull = np.zeros(flat(scores).shape, np.float32)
        pull[np.arange(len(scores)), :, chosen] = shares
        return {"scores": pull.reshape(scores.shape)}

    def label(self, model: Model) -> str | None:
        """The class's name, and the places where they are not simply its own."""
        if self.index is None:
            return None
        name = model.class_name(self.index)
        if isinstance(self.places, Region):
            return f"{name}@{self.places.text}"
        if isinstance(self.places, Mask) and self.places.nowhere is not None:
            return f"{name} (all places: {model.class_name(self.places.nowhere)} wins nowhere)"
        return name

    def _chosen(self, scores: Array) -> Numbers:
        """The class index for each picture, (n,)."""
        if scores.ndim < 2:
            raise Unmet(f"a class needs scores (n, classes), this model hands on {scores.shape}")
        if self.rank is not None:
            region = self.places if isinstance(self.places, Region) else None
            inside = region.inside(scores.shape[1:-1]) if region else None
            return ranked(flat(scores), self.rank, inside)
        assert self.index is not None
        if not 0 <= self.index < scores.shape[-1]:
            raise BadInput(f"no class {self.index}; this model has {scores.shape[-1]}, numbered from 0")
        return np.full(len(scores), self.index)


def weighed(values: Array | Reals, chosen: Numbers, shares: Reals) -> Reals:
    """Of values (n, …, classes) those of the class, (n,), each place by its share."""
    picked = flat(values)[np.arange(len(values)), :, chosen]
    return np.asarray(np.where(shares > 0, picked * shares, 0).sum(1), np.float64)
