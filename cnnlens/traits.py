"""Traits: what a model is, as far as it bears on how far an explanation of it can be trusted.

All are read off what the model says of itself, weights anew each time, since they may have been loaded in between.
Only where random numbers may be drawn is a pass made, once, over two grey pictures at the same time.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .model import Model
from .once import once
from .verdict import Approximate


def half(model: Model) -> str | None:
    """The half precision that it computes in, None for a longer one."""
    return model.precision if model.precision in ("float16", "bfloat16") else None


def shares(model: Model) -> str | None:
    """What is said of scores that are probabilities and cannot be made scores again; None of real scores."""
    told = model.facts.get("scores")
    return str(told) if told and model.activation is None else None


@once
def draws(model: Model) -> bool:
    """Whether a picture that is shown twice gets two scores; by one pass."""
    shape = (2, model.input.height, model.input.width, model.input.channels)
    try:
        one, other = model.trace(np.full(shape, 0.5, np.float32)).scores.reshape(2, -1)
    except Exception:  # the user's own code may raise anything; it is told where the picture is made
        return False
    return bool(np.abs(one - other).max() > 1e-3 * max(1.0, float(np.abs(one).max())))


def untrained_norms(model: Model) -> int:
    """How many batch norms there are, if every one holds the statistics it began with; else 0."""
    count = 0
    for layer in model.layers if not model.why_no("weights") else ():
        if layer.kind != "normalisation":
            continue
        own = model.weights(layer.name)
        if {"mean", "variance"} <= own.keys():
            if own["mean"].any() or (own["variance"] != 1).any():
                return 0
            count += 1
    return count


def doubts(model: Model, by_gradients: bool) -> Iterator[Approximate]:
    """What stands against any picture that is made by running the model, or by its gradients."""
    short, told = half(model), shares(model)
    if by_gradients and short:
        digits = "3 digits, and those below 6e-8 are zero" if short == "float16" else "2 digits"
        yield Approximate(
            f"the model computes in {short}: its gradients have {digits}, more of them in float32"
        )
    if by_gradients and told:
        yield Approximate(f"{told}, and the surer the model, the nearer to zero are their gradients")
    if model.draws and draws(model):
        yield Approximate("this network draws random numbers: the same picture gets other scores each time")
    if count := untrained_norms(model):
        norms = "its batch norm has" if count == 1 else f"all {count} batch norms have"
        yield Approximate(
            f"{norms} mean 0 and variance 1, as before any training: load the trained statistics"
        )
