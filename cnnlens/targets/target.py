"""Target: a weighted sum of terms, with the text it was asked by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..arrays import Array
from ..errors import Unmet
from .classes import ClassScore
from .probability import Probability
from .term import Term

if TYPE_CHECKING:
    from ..model import Model


@dataclass(frozen=True)
class Target:
    """A weighted sum of terms. Gradients are those of `value`, pictures of a batch apart from each other.

    `weights` has one for each term; left out they are one.
    """

    terms: tuple[Term, ...]
    text: str
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", tuple(self.weights) or (1.0,) * len(self.terms))

    @classmethod
    def of_class(cls, index: int) -> Target:
        """The score of one class."""
        return cls((ClassScore(index),), str(index))

    @classmethod
    def of_rank(cls, rank: int) -> Target:
        """The score of whatever class comes first, second, …; each picture's own."""
        return cls((ClassScore(rank=rank),), f"top{rank}")

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers and outputs whose activations it reads."""
        return tuple(dict.fromkeys(name for term in self.terms for name in term.layers))

    @property
    def unit(self) -> str:
        """What its value is measured in: score, probability, activation, output or similarity."""
        return self.terms[0].unit

    @property
    def index(self) -> int | None:
        """The class, where the target is the one score of a single class by index."""
        only = self.terms[0]
        single = len(self.terms) == 1 and self.weights == (1.0,)
        return only.index if single and isinstance(only, ClassScore) and only.places is None else None

    @property
    def is_linear(self) -> bool:
        """Whether it is a sum of scores and units; a probability or a likeness bends."""
        return all(term.is_linear for term in self.terms)

    @property
    def is_of_classes(self) -> bool:
        """Whether it is made of scores or probabilities of classes alone."""
        return all(isinstance(term, (ClassScore, Probability)) for term in self.terms)

    @property
    def by_class(self) -> dict[int, float] | None:
        """The weight of each class, where it is a sum of whole scores by index and of nothing else."""
        weights: dict[int, float] = {}
        for weight, term in zip(self.weights, self.terms, strict=True):
            if not isinstance(term, ClassScore) or term.index is None or term.places is not None:
                return None
            weights[term.index] = weights.get(term.index, 0.0) + weight
        return weights

    def plus(self, classes: Mapping[int, float], text: str) -> Target:
        """The same target and the scores of more classes, each with its weight."""
        terms = (*self.terms, *(ClassScore(index) for index in classes))
        return Target(terms, text, (*self.weights, *classes.values()))

    def pinned(self, scores: Array) -> Target:
        """The same target with ranks made classes, and places fixed, by the scores of the picture asked about."""
        terms = tuple(term.pinned(scores) for term in self.terms)
        same = all(a is b for a, b in zip(terms, self.terms, strict=True))
        return self if same else replace(self, terms=terms)

    def in_probabilities(self, activation: str | None) -> Target:
        """The same target in probabilities of classes, as `activation` makes them. Raises Unmet."""
        if not self.is_of_classes:
            raise Unmet(f"{self.text} has a value, in units of {self.unit}, and no probability")
        terms = (Probability(t, activation) if isinstance(t, ClassScore) else t for t in self.terms)
        return replace(self, terms=tuple(terms))

    def value(self, scores: Array, activations: Mapping[str, Array]) -> Array:
        """The target of each picture, (n,)."""
        total = np.zeros(len(scores), np.float64)
        for weight, term in zip(self.weights, self.terms, strict=True):
            total += weight * term.value(scores, activations)
        return np.asarray(total, np.float32)

    def cotangents(self, scores: Array, activations: Mapping[str, Array]) -> dict[str, Array]:
        """The derivative of `value` by the scores (key "scores") and by each layer it reads."""
        pulls: dict[str, Array] = {}
        for weight, term in zip(self.weights, self.terms, strict=True):
            for name, pull in term.cotangents(scores, activations).items():
                weighted = np.float32(weight) * pull
                pulls[name] = pulls[name] + weighted if name in pulls else weighted
        return pulls

    def label(self, model: Model) -> str:
        """The target in words: the classes' names, or the text it was asked by."""
        names = [name for term in self.terms if (name := term.label(model)) is not None]
        return " − ".join(names) if len(names) == len(self.terms) else self.text
