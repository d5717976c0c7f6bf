"""A layer's maps counted and added up, picture by picture, in memory that does not grow with their number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnlens import Array, Layer, Model, errors

ROOM = 2**26  #: numbers that are added up at once over several pictures: half a gigabyte

Which = npt.NDArray[np.bool_]
Reals = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Census:
    """What is said of each map of one layer, (channels,): never active, one value everywhere, like an earlier one,
    or not finite, of which nothing else can be said; and for how many of the pictures it was silent."""

    layer: Layer
    dead: Which
    saturated: Which
    doubled: Which
    broken: Which
    silent: npt.NDArray[np.int64]


class Tally:
    """A layer's maps added up picture by picture, in float64: their ends, and how they vary together.

    Sums are kept about the mean so far (Chan, Golub & LeVeque, 1983), so that a large mean takes nothing away from a
    small spread. It holds channels² numbers, however many pictures are added, from the first until they are let go of.
    """

    def __init__(self, layer: Layer) -> None:
        channels = layer.shape[-1]
        self.layer, self.pictures, self._places = layer, 0, 0
        self._low, self._high = np.full(channels, np.inf), np.full(channels, -np.inf)
        self._mean, self._moments = np.zeros(channels), np.zeros((0, 0))
        self._silent = np.zeros(channels, np.int64)
        self._broken = np.zeros(channels, np.bool_)
        self.lost: tuple[str, list[int], Array] | None = (
            None  #: a picture with maps not finite, which, and some
        )

    @property
    def room(self) -> int:
        """How many numbers it holds while it adds up."""
        return int(self.layer.shape[-1]) ** 2

    @property
    def asleep(self) -> int:
        """How many maps have never been active so far."""
        return int((self._silent == self.pictures).sum())

    def add(self, maps: Array, picture: str = "") -> None:
        """Add the maps (h, w, channels) of one more picture."""
        flat: Reals = maps.reshape(-1, maps.shape[-1]).astype(np.float64)
        broken = ~np.isfinite(flat).all(0)
        if broken.any():
            if self.lost is None:
                some = np.flatnonzero(broken)[:8].tolist()
                self.lost = picture, some, np.moveaxis(maps, -1, 0)[some]
            self._broken |= broken
            flat[:, broken] = 0
        self._low, self._high = np.minimum(self._low, flat.min(0)), np.maximum(self._high, flat.max(0))
        self._silent += ~flat.any(0) & ~broken
        self.pictures += 1
        mean = flat.mean(0)
        flat -= mean
        before, shift = self._places, mean - self._mean
        if not before:
            self._moments = np.zeros((len(mean), len(mean)))
        self._places += len(flat)
        self._mean += shift * (len(flat) / self._places)
        self._moments += flat.T @ flat
        if before:
            self._moments += np.outer(shift, shift * (before * len(flat) / self._places))

    def census(self, alike: float) -> Census:
        """What is to be said of the maps; near-duplicates are those of an earlier map from that correlation on."""
        one_value = (self._low == self._high) & ~self._broken
        dead: Which = one_value & (self._low == 0)
        norms = np.sqrt(np.where(one_value | self._broken, 0, self._moments.diagonal()))
        scale = np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0)
        likeness = np.triu(self._moments * scale * scale[:, None], 1)  # of each map with those after it
        doubled = np.asarray((likeness >= alike).any(0), np.bool_)
        return Census(self.layer, dead, one_value & ~dead, doubled, self._broken.copy(), self._silent.copy())

    def let_go(self) -> None:
        """Let go of the sums, when all has been said: they are most of it."""
        self._moments = np.zeros((0, 0))


def in_groups(tallies: Sequence[Tally], room: int) -> Iterator[list[Tally]]:
    """As many at a time, in their order, as add up to no more than `room` numbers; one at least."""
    some: list[Tally] = []
    for one in tallies:
        if some and sum(each.room for each in (*some, one)) > room:
            yield some
            some = []
        some.append(one)
    if some:
        yield some


def judged_layers(model: Model) -> list[Layer]:
    """The activations with maps, or where a network has none of its own, its convolutions. Unmet without either."""
    for kind in ("activation", "convolution"):
        found = [layer for layer in model.layers if layer.kind == kind and layer.has_maps]
        if found:
            return found
    raise errors.Unmet(f"{model.name} has no activation and no convolution with maps")
