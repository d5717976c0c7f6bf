"""What is found once a model and kept for as long as the model lives."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from weakref import WeakKeyDictionary

from .layer import Layer
from .model import Model

T = TypeVar("T")


def once(find: Callable[[Model], T]) -> Callable[[Model], T]:
    """The same function, remembered for each model; for what hangs on its layers and its input, not on weights.

    A model that tells other layers than before is asked again.
    """
    found: WeakKeyDictionary[Model, tuple[tuple[Layer, ...], T]] = WeakKeyDictionary()

    def asked(model: Model) -> T:
        layers, kept = model.layers, found.get(model)
        if kept is None or (kept[0] is not layers and kept[0] != layers):
            kept = found[model] = (layers, find(model))
        return kept[1]

    asked.__doc__ = find.__doc__
    return asked
