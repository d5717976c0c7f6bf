"""Are the labels in the wrong order? A permutation of the classes that explains the answers far better.

What is fitted on one half of the pictures is held to the other half, so that luck is not taken for order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .statistics import Classes, Numbers, assign, best_sharpness, binomial_luck, likelihoods
from .trials import Trial


@dataclass(frozen=True)
class Reordered:
    """A trial's answers with the classes permuted: right or not, and log-likelihoods, picture by picture."""

    right: Numbers
    likelihoods: Numbers


@dataclass(frozen=True)
class Order:
    """The outputs that the labels belong to: label i of `labels` is output `outputs[i]`.

    `p` is how often luck alone puts as many pictures right that were wrong before.
    """

    labels: Classes
    outputs: Classes
    before: float
    after: float
    p: float

    def names(self, classes: Sequence[str]) -> list[str]:
        """The names of the classes in the order of the outputs. What has no picture fills the gaps in order."""
        found: list[str | None] = [None] * len(classes)
        for label, output in zip(self.labels, self.outputs, strict=True):
            found[output] = classes[label]
        taken = set(self.labels.tolist())
        spare = [name for number, name in enumerate(classes) if number not in taken]
        keep = [i for i, name in enumerate(found) if name is None and classes[i] in spare]
        for i in keep:
            found[i] = classes[i]
            spare.remove(classes[i])
        return [name if name is not None else spare.pop(0) for name in found]


def reorder(trial: Trial) -> Reordered | None:
    """The trial under the order that each half of its pictures suggests for the other; None for too few."""
    assert trial.truths is not None
    halves = _halves(trial.truths)
    if halves is None:
        return None
    right, likely = np.zeros(len(trial.truths)), np.zeros(len(trial.truths))
    for fitted, held in (halves, halves[::-1]):
        labels, outputs = _fit(trial.probabilities[fitted], trial.truths[fitted])
        owners = np.full(trial.scores.shape[1], -1)
        owners[labels] = outputs
        truths = owners[trial.truths[held]]
        right[held] = trial.scores[held].argmax(1) == truths
        sharpness = best_sharpness(trial.scores[fitted], owners[trial.truths[fitted]])
        likely[held] = likelihoods(trial.scores[held], truths, sharpness)
    return Reordered(right, likely)


def find_order(trial: Trial, reordered: Reordered, plain: Trial) -> Order | None:
    """The order that all pictures suggest, where it is more than luck and more than a few pictures better.

    Better than `plain`, the trial that is best with the labels as they are: red and blue exchanged among the
    labels look much like red and blue exchanged in the pictures, and the simpler of the two is believed.
    """
    assert trial.truths is not None
    won = int(((reordered.right == 1) & ~plain.right).sum())
    lost = int(((reordered.right == 0) & plain.right).sum())
    p = binomial_luck(won, won + lost, 0.5) if won else 1.0  # McNemar's test
    before, after = float(plain.right.mean()), float(reordered.right.mean())
    labels, outputs = _fit(trial.probabilities, trial.truths)
    if p > 0.001 or after < before + 0.1 or np.array_equal(labels, outputs):
        return None
    return Order(labels, outputs, before, after, p)


def _halves(truths: Classes) -> tuple[Classes, Classes] | None:
    """Every other picture of each class; None where a class has a single one."""
    first: list[int] = []
    second: list[int] = []
    for label in np.unique(truths):
        held = np.flatnonzero(truths == label).tolist()
        if len(held) < 2:
            return None
        first += held[::2]
        second += held[1::2]
    return np.asarray(first), np.asarray(second)


def _fit(probabilities: Numbers, truths: Classes) -> tuple[Classes, Classes]:
    """Each label that has pictures with an output of its own, so that what they say of them is highest."""
    labels = np.unique(truths)
    gains = np.stack([probabilities[truths == label].sum(0) for label in labels])
    return labels, assign(gains)
