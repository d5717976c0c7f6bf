"""Gradients that are too small to be told: of a saturated probability, or below what float16 can hold."""

from __future__ import annotations

import numpy as np

from .evidence import Evidence

SURE = 0.9999
FACTOR = 1024.0  #: what a target is multiplied by to lift its gradients out of where float16 ends


def saturated(evidence: Evidence) -> str | None:
    """A probability so near to one that its derivative by the scores is next to nothing; costs no pass."""
    probe, target = evidence.probe, evidence.probe.target
    if target.layers or probe.scores.ndim != 1:
        return None
    sure = float(probe.probabilities.max())
    pull = target.cotangents(probe.scores[None], {}).get("scores")
    if pull is None or sure <= SURE or float(np.abs(pull).max()) > 2 * (1 - SURE):
        return None
    return (
        f"{target.text} is saturated: the first class has a probability of {sure:.6f}, and the derivative of "
        f"{target.text} by every score is {float(np.abs(pull).max()):.2g} at most; explain the score instead of it"
    )


def underflow(evidence: Evidence) -> str | None:
    """Gradients that float16 has made zero, shown by those that are not when all are made larger."""
    if evidence.precision != "float16":
        return None
    plain = evidence.probe.gradients(evidence.layer) == 0
    if not plain.any():
        return None
    still = evidence.gradients_times(FACTOR)[0] == 0
    lost = float((plain & ~still).mean())
    if lost < 0.01:
        return None
    what = "the picture" if evidence.layer == "input" else evidence.layer
    return (
        f"the model computes in float16, and {lost:.0%} of the gradients at {what} are too small for it and have "
        f"become zero (with the target times {FACTOR:.0f} they are not): open the model in float32"
    )
