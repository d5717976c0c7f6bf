"""How alike is this picture to another one, as the network sees it?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..arrays import Array
from .term import Reals, Term

if TYPE_CHECKING:
    from ..model import Model

#: Norms below this are taken as it, so that nothing is divided by zero.
_LEAST = 1e-8


@dataclass(frozen=True)
class Likeness(Term):
    """Cosine similarity between a layer's activations for this picture and for another one.

    Maps are averaged over their places first. `other` is the digest of the other picture; `embedding` gives
    its activations (channels,) when they are first needed; `name` is what it is called.
    """

    layer: str
    other: str
    embedding: Callable[[], Reals] = field(compare=False, repr=False)
    name: str = field(default="", compare=False)

    @property
    def is_linear(self) -> bool:
        """It bends."""
        return False

    @property
    def unit(self) -> str:
        """A cosine, from -1 to 1."""
        return "similarity"

    @property
    def layers(self) -> tuple[str, ...]:
        """The one layer."""
        return (self.layer,)

    def value(self, scores: Array, activations: Mapping[str, Array]) -> Reals:
        """The cosine, (n,)."""
        own, other = embedded(activations[self.layer]), self._direction()
        return np.asarray(own @ other / _norms(own)[:, 0])

    def cotangents(self, scores: Array, activations: Mapping[str, Array]) -> dict[str, Array]:
        """The other's direction without what lies along this one's own, by this one's length."""
        values = activations[self.layer]
        own, other = embedded(values), self._direction()
        lengths = _norms(own)
        along = own / lengths
        pull = (other - along * (along @ other)[:, None]) / lengths
        places = values[0, ..., 0].size
        spread = pull.reshape(len(values), *(1,) * (values.ndim - 2), -1) / places
        return {self.layer: np.broadcast_to(spread, values.shape).astype(np.float32)}

    def label(self, model: Model) -> str | None:
        """like(picture), by the name of the picture and without the place that it lies at."""
        return f"like({self.name}, {self.layer})"

    def _direction(self) -> Reals:
        other = np.asarray(self.embedding(), np.float64)[None]
        return np.asarray((other / _norms(other))[0])


def embedded(values: Array) -> Reals:
    """Activations (n, …, channels) as (n, channels): the mean over places."""
    return np.asarray(values.reshape(len(values), -1, values.shape[-1]).mean(1, dtype=np.float64))


def _norms(rows: Reals) -> Reals:
    return np.asarray(np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), _LEAST))
