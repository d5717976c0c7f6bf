"""The probability of a class: what the model's own last activation makes of its scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..arrays import Array
from .classes import ClassScore, weighed
from .term import Reals, Term

if TYPE_CHECKING:
    from ..model import Model


@dataclass(frozen=True)
class Probability(Term):
    """The probability of a class by `activation`: "softmax", "sigmoid", or None where scores are so already.

    Which class and which places is decided by the scores, so nothing is tied that is merely near to one.
    """

    of: ClassScore
    activation: str | None = "softmax"

    @property
    def is_linear(self) -> bool:
        """It bends."""
        return False

    @property
    def unit(self) -> str:
        """A probability."""
        return "probability"

    def pinned(self, scores: Array) -> Probability:
        """Of the class that it is for the picture with these scores."""
        return replace(self, of=self.of.pinned(scores))

    def value(self, scores: Array, activations: Mapping[str, Array]) -> Reals:
        """The probability, or its mean over the places."""
        return weighed(probabilities(scores, self.activation), *self.of.read(scores))

    def cotangents(self, scores: Array, activations: Mapping[str, Array]) -> dict[str, Array]:
        """The derivative by the scores: the cotangent by the probabilities, pulled through the activation."""
        pull: Reals = self.of.cotangents(scores, activations)["scores"].astype(np.float64)
        chances = probabilities(scores, self.activation)
        if self.activation == "softmax":
            pull = chances * (pull - (pull * chances).sum(-1, keepdims=True))
        elif self.activation == "sigmoid":
            pull = pull * chances * (1 - chances)
        return {"scores": np.asarray(pull, np.float32)}

    def label(self, model: Model) -> str | None:
        """p(class)."""
        name = self.of.label(model)
        return None if name is None else f"p({name})"


def probabilities(scores: Array, activation: str | None) -> Reals:
    """Scores (…, classes) → probabilities, in double precision; the softmax is over the last axis."""
    values = np.asarray(scores, np.float64)
    with np.errstate(invalid="ignore", over="ignore"):  # a NaN stays one, and is told where it is shown
        if activation == "sigmoid":
            return np.asarray(1 / (1 + np.exp(-values)))
        if activation == "softmax":
            powers = np.exp(values - values.max(-1, keepdims=True))
            return np.asarray(powers / powers.sum(-1, keepdims=True))
    return values
