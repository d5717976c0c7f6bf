"""What one pass of a Keras model is asked, what it is given, and the pass as a plain function of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from ._keras_opaque import Opaque
from ._keras_taps import Graph, Taps

INPUT = "input"


@dataclass(frozen=True)
class Asked:
    """The layers that are read, replaced, and differentiated at ("input" may be among the last)."""

    read: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    leaves: tuple[str, ...] = ()

    @property
    def inner(self) -> tuple[str, ...]:
        """Layers with a zero added to be differentiated by; what is fed needs none, it is a leaf itself."""
        return tuple(name for name in self.leaves if name != INPUT)

    def run(self, body: Graph | Opaque, given: Given) -> list[Any]:
        """The scores and what was read, in order."""
        placed = dict(zip(self.replaced, given.placed, strict=True))
        zeros = dict(zip(self.inner, given.zeros, strict=True))
        taps = Taps(self.read, placed, zeros)
        scores = body.run(given.fed, taps)
        return [scores, *(taps.seen[name] for name in self.read)]


@dataclass(frozen=True)
class Given:
    """What is fed, what stands in for layers, and zeros to differentiate by, told by their shapes.

    All are the engine's tensors after `on_engine`.
    """

    fed: Any
    placed: Sequence[Any] = ()
    zeros: Sequence[Any] = ()

    def on_engine(self) -> Given:
        """The same as tensors; to be made in the scope in which they are used."""
        tensor, zeros = keras.ops.convert_to_tensor, keras.ops.zeros
        return Given(tensor(self.fed), [*map(tensor, self.placed)], [zeros(z, "float32") for z in self.zeros])

    def leaves(self, asked: Asked) -> list[Any]:
        """What is differentiated by, in the order asked."""
        zeros = iter(self.zeros)
        return [self.fed if name == INPUT else next(zeros) for name in asked.leaves]

    def with_leaves(self, asked: Asked, leaves: Sequence[Any]) -> Given:
        """The same with these to differentiate by."""
        named = dict(zip(asked.leaves, leaves, strict=True))
        return Given(named.get(INPUT, self.fed), self.placed, [named[name] for name in asked.inner])
