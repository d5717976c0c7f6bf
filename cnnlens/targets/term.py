"""Term: one part of a target. Every kind is a frozen dataclass, hashable, told apart by its fields."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays import Array

if TYPE_CHECKING:
    from ..model import Model

#: Values on the way, in double precision.
Reals = np.ndarray[Any, np.dtype[np.float64]]


class Term(ABC):
    """One number a picture, read off scores (n, classes) or (n, …, classes) and activations (n, …)."""

    @property
    def unit(self) -> str:
        """What its value is measured in: score, probability, activation, output or similarity."""
        return "score"

    @property
    def is_linear(self) -> bool:
        """Whether it is a sum of what it reads, so that shares of that can add up to it."""
        return True

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers and outputs whose activations it reads."""
        return ()

    def pinned(self, scores: Array) -> Term:
        """The same term with all that hangs on a picture made fixed by the scores of that picture."""
        return self

    @abstractmethod
    def value(self, scores: Array, activations: Mapping[str, Array]) -> Reals:
        """Its value for each picture, (n,)."""

    @abstractmethod
    def cotangents(self, scores: Array, activations: Mapping[str, Array]) -> dict[str, Array]:
        """The derivative of `value` by the scores (key "scores") and by each layer that it reads."""

    def label(self, model: Model) -> str | None:
        """The term in words; None where nothing says it better than the text it was asked by."""
        return None
