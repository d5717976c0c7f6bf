"""Which preprocessing the model was trained with, or that this cannot be told, and by what statistic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .candidates import SAME, distance
from .statistics import Numbers, binomial_luck, luck
from .trials import Trial

#: How sure one has to be: a difference as large as this by luck in one of a hundred folders, no more.
ALPHA = 0.01
ENOUGH = 20  #: pictures before "no better than chance" says something of the model
NOTHING_WORKS = "no candidate is better than chance"
TEST = "paired sign-flip test on the log-likelihood of the truth, one-sided, Bonferroni over the others"


@dataclass(frozen=True)
class Verdict:
    """The likeliest trial; those that could as well be it; the highest p-value of those that could not.

    `told` where all that could as well be it feed the same for all purposes.
    """

    best: Trial
    tied: tuple[Trial, ...]
    told: bool
    p: float
    reason: str
    runner_up: Trial | None = None


def judge(trials: Sequence[Trial], likelihoods: Sequence[Numbers], rights: Sequence[Numbers]) -> Verdict:
    """Hold the trials against each other by the log-likelihood of the truth, picture by picture.

    `likelihoods` and `rights` are the trials' own, or those after the classes were put into another order.
    """
    means = [float(found.mean()) for found in likelihoods]
    first = int(np.argmax(means))
    best, others = trials[first], [i for i in range(len(trials)) if i != first]
    p_values = {i: min(1.0, len(others) * luck(likelihoods[first] - likelihoods[i])) for i in others}
    # a net with a broken end can be likeliest where it is not rightest; then neither is believed
    slack = max(2.0, 0.02 * len(rights[first]))
    rightest = {i for i in others if rights[i].sum() > rights[first].sum() + slack}
    tied = sorted((i for i in others if p_values[i] > ALPHA or i in rightest), key=lambda i: -means[i])
    beaten = [i for i in others if i not in tied]
    rival = max(beaten, key=lambda i: means[i], default=None)
    reason = _chance(best, rights[first], len(trials))
    if not reason and any(not _same(best, trials[i]) for i in tied):
        reason = _tie(best, [trials[i] for i in tied], bool(rightest))
    return Verdict(
        best=best,
        tied=tuple(trials[i] for i in tied),
        told=not reason,
        p=max((p_values[i] for i in beaten), default=1.0),
        reason=reason,
        runner_up=None if rival is None else trials[rival],
    )


def _chance(best: Trial, right: Numbers, count: int) -> str:
    """Why the best of `count` trials is no better than chance; empty where it is."""
    p = min(1.0, count * _chance_luck(best, right))
    if p <= ALPHA:
        return ""
    return (
        f"{NOTHING_WORKS if len(right) >= ENOUGH else 'there are too few pictures'} (the best, {best.name}, is "
        f"right on {right.mean():.0%} of {len(right)}; p = {p:.2g} for chance alone, binomial)"
    )


def _tie(best: Trial, tied: Sequence[Trial], by_right: bool) -> str:
    """What could as well be it, and why."""
    names = ", ".join(trial.name for trial in tied[:6]) + (", …" if len(tied) > 6 else "")
    disagree = "; likelihood and accuracy do not agree" if by_right else ""
    return (
        f"{best.name} comes first, but {names} could as well be it: on {len(best.scores)} pictures the "
        f"difference is within what luck gives (p > {ALPHA}, {TEST}){disagree}"
    )


def _same(one: Trial, other: Trial) -> bool:
    first, second = one.candidate.spec, other.candidate.spec
    size = (first.height, first.width) == (second.height, second.width)
    return size and distance(first, second) < SAME


def _chance_luck(trial: Trial, right: Numbers) -> float:
    """The p-value of as many right answers, were answers and truths each as frequent and unrelated."""
    assert trial.truths is not None
    classes = trial.scores.shape[1]
    truths = np.bincount(trial.truths, minlength=classes) / len(right)
    answers = np.bincount(trial.scores.argmax(1), minlength=classes) / len(right)
    # where the order of the classes is in doubt, which answer belongs to which truth is too: the most it can be
    chance = max(float(truths @ answers), float(np.sort(truths) @ np.sort(answers)))
    return binomial_luck(int(right.sum()), len(right), chance)
