"""What the answers to labelled pictures show to be wrong, once the best preprocessing is chosen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from .diagnosis import Finding
from .label_order import Order
from .statistics import likelihoods
from .trials import Trial
from .verdict import NOTHING_WORKS, Verdict

_ENOUGH = 5  #: pictures of a class before its output may be called dead


def of_preprocessing(verdict: Verdict) -> Iterator[Finding]:
    """The model was opened with another preprocessing than it was trained with, or none of them works."""
    opened = [t for t in (verdict.best, *verdict.tied) if t.candidate.opened]
    if verdict.reason.startswith(NOTHING_WORKS):
        yield Finding(
            "wrong", "at-chance", f"{verdict.reason}: the labels, the weights or the architecture are not those "
            "of these pictures, or the pictures were prepared in a way that was not tried",
        )  # fmt: skip
    elif not opened:
        spec = verdict.best.candidate.spec
        size = f" at {spec.height}×{spec.width}" if " at " in verdict.best.name else ""
        code = "input-size" if size else "preprocessing"
        yield Finding(
            "wrong", code, f"it was opened with another preprocessing than it was trained with{size}: the labels "
            f"are likelier under {verdict.best.name} than luck would make them (p ≤ {verdict.p:.2g})",
            {"best": verdict.best.name},
        )  # fmt: skip


def of_order(order: Order, classes: Sequence[str]) -> Finding:
    """The labels are in the wrong order, and the one that fits."""
    names = order.names(classes)
    hint = ""
    if names == sorted(classes):
        hint = (
            " (the alphabet's, in which folders are numbered by ImageFolder and image_dataset_from_directory)"
        )
    elif names == sorted(classes, key=str.casefold):
        hint = " (the alphabet's, capitals aside)"
    shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
    unsure = len(classes) - len(order.labels)
    gaps = f"; {unsure} classes without pictures stand where there was room" if unsure else ""
    return Finding(
        "wrong", "label-order", f"the labels are in the wrong order: put as {shown}{hint} they make "
        f"{order.after:.0%} right instead of {order.before:.0%} (held to pictures that it was not found on; "
        f"p = {order.p:.2g}, McNemar){gaps}; give --labels a file with that order", {"suggested": names},
    )  # fmt: skip


def of_outputs(trial: Trial, names: Sequence[str]) -> Iterator[Finding]:
    """Classes that are never given although there are pictures of them; one answer to everything."""
    assert trial.truths is not None
    classes = trial.scores.shape[1]
    counts = np.bincount(trial.truths, minlength=classes)
    answers = np.bincount(trial.scores.argmax(1), minlength=classes)
    never = (trial.probabilities.max(0) <= 1 / classes) & (counts >= _ENOUGH)
    dead = np.flatnonzero(never).tolist()
    if answers.max() == len(trial.scores) >= 2 * _ENOUGH and (counts > 0).sum() > 1:
        yield Finding(
            "wrong", "one-answer", f"every picture is {names[int(answers.argmax())]} to it, whatever "
            "it shows",
        )  # fmt: skip
    elif dead:
        told = ", ".join(names[k] for k in dead[:5]) + (", …" if len(dead) > 5 else "")
        yield Finding(
            "wrong", "dead-outputs", f"{len(dead)} classes are never above chance for any picture, their own "
            f"included: {told}", {"classes": dead},
        )  # fmt: skip


def of_sharpness(trial: Trial) -> Iterator[Finding]:
    """Scores on another scale than a softmax expects, where that costs the truths more than a little."""
    assert trial.truths is not None
    gained = float((trial.likelihoods - likelihoods(trial.scores, trial.truths, 1.0)).mean())
    if gained < 0.1 or float(trial.right.mean()) > 0.99:
        return
    if trial.sharpness > 5:
        yield Finding(
            "doubtful", "timid", f"its scores must be multiplied by {trial.sharpness:.3g} to fit how often it is "
            "right: a softmax may have been taken twice, or the scores divided by a temperature",
            {"sharpness": trial.sharpness},
        )  # fmt: skip
    elif trial.sharpness < 0.2:
        yield Finding(
            "doubtful", "overconfident", f"its scores must be multiplied by {trial.sharpness:.3g} to fit how often "
            "it is right: it was not trained with the softmax of these scores, or has learnt its pictures by heart",
            {"sharpness": trial.sharpness},
        )  # fmt: skip
