"""A unit or a channel: of a layer, or of anything that the model returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array
from .term import Reals, Term


@dataclass(frozen=True)
class Unit(Term):
    """One unit of what a layer hands on or the model returns; without a place a whole channel: its mean."""

    layer: str
    channel: int
    place: tuple[int, ...] | None = None
    measured: str = "activation"

    @property
    def unit(self) -> str:
        """Activation, or what else the numbers are."""
        return self.measured

    @property
    def layers(self) -> tuple[str, ...]:
        """The one layer or output."""
        return (self.layer,)

    def value(self, scores: Array, activations: Mapping[str, Array]) -> Reals:
        """The unit, or the mean over the channel's map."""
        found = self._within(activations[self.layer])
        return np.asarray(found.reshape(len(found), -1).mean(1), np.float64)

    def cotangents(self, scores: Array, activations: Mapping[str, Array]) -> dict[str, Array]:
        """One at the unit, or shared out over the channel's map."""
        pull = np.zeros(activations[self.layer].shape, np.float32)
        within = self._within(pull)
        within += len(pull) / within.size
        return {self.layer: pull}

    def _within(self, values: Array) -> Array:
        """A writable view of the unit in activations (n, …)."""
        channel = values[..., self.channel : self.channel + 1]
        where: tuple[Any, ...] = (slice(None), *(self.place or ()))
        return np.asarray(channel[where])
