"""What stands against a picture made by hiding parts: too few samples, too small a picture, a network that draws."""

from __future__ import annotations

from collections.abc import Iterator
from weakref import WeakKeyDictionary

import numpy as np

from cnnlens import Approximate, Model

_DRAWS: WeakKeyDictionary[Model, bool] = WeakKeyDictionary()


def draws_at_random(model: Model) -> Iterator[Approximate]:
    """Whether the network gives one picture two scores when it is shown twice; found out once, by one pass."""
    if model not in _DRAWS:
        shape = (2, model.input.height, model.input.width, model.input.channels)
        try:
            one, other = model.trace(np.full(shape, 0.5, np.float32)).scores.reshape(2, -1)
        except Exception:  # the user's own code may raise anything; it is told where the picture is made
            return
        _DRAWS[model] = float(np.abs(one - other).max()) > 1e-3 * max(1.0, float(np.abs(one).max()))
    if _DRAWS[model]:
        yield Approximate("this network draws random numbers: the same picture gets other scores each time")


def too_few(samples: int, unknowns: int, what: str) -> Iterator[Approximate]:
    """Whether there are fewer samples than twice the numbers that are to be found from them."""
    if samples < 2 * unknowns:
        yield Approximate(f"{samples} samples for {unknowns} {what}: at least {2 * unknowns} tell them apart")


def too_small(model: Model, parts: int) -> Iterator[Approximate]:
    """Whether the parts that are hidden are single pixels."""
    pixels = model.input.height * model.input.width
    if parts >= pixels:
        yield Approximate(f"a picture of {pixels} pixels has no {parts} regions: each is a pixel")
