"""The softmax or sigmoid that ends a Keras model, and the scores before it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ..errors import Unmet
from ._engines import array

_ENDS = {"softmax": "softmax", "logsoftmax": "softmax", "sigmoid": "sigmoid"}


@dataclass(frozen=True)
class Head:
    """The last call of a model, if it makes scores probabilities by a "softmax" or a "sigmoid".

    It is `fused` where it is told its activation; then it may do more, as a Dense layer does.
    """

    name: str
    operation: Any
    kind: str
    fused: bool

    @classmethod
    def of(cls, name: str, operation: Any) -> Head | None:
        """The operation as a head; None for any other operation."""
        fused = "activation" in vars(operation)
        told = operation.activation if fused else type(operation)
        title = getattr(told, "__name__", type(told).__name__)
        kind = _ENDS.get(title.lower().replace("_", "").removesuffix("v2"))  # tf.nn.softmax is softmax_v2
        return cls(name, operation, kind, fused) if kind else None

    def finish(self, scores: Any) -> Any:
        """Scores → what the operation hands on."""
        return self.operation.activation(scores)

    def twin(self) -> Any:
        """A fused layer without its activation."""
        return without_activation(self.operation)

    @contextmanager
    def listened(self) -> Iterator[list[Any]]:
        """What this thread feeds to the activation, for a layer that somebody else calls.

        The activation does what it did, so another thread that runs the layer meanwhile sees no difference.
        """
        heard: list[Any] = []
        real, here = self.operation.activation, threading.get_ident()

        def activation(scores: Any, *args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() == here:
                heard.append(scores)
            return real(scores, *args, **kwargs)

        vars(self.operation)["activation"] = activation
        try:
            yield heard
        finally:
            vars(self.operation)["activation"] = real


def without_activation(layer: Any) -> Any:
    """A twin of a layer that has no activation, over the very same variables; the layer is not touched.

    Made anew for each call: it costs microseconds, and is never older than the layer.
    """
    twin = object.__new__(type(layer))
    vars(twin).update(vars(layer))
    vars(twin)["activation"] = keras.activations.linear
    return twin


def pick_output(output: Any) -> Any | None:
    """The tensor of scores in what a model returns: itself, `logits`, `out`, or the first of several."""
    if isinstance(output, Mapping):
        for key in ("logits", "out", "output", "scores"):
            if hasattr(output.get(key), "shape"):
                return output[key]
        output = tuple(output.values())
    if isinstance(output, (tuple, list)):
        return pick_output(output[0]) if output else None
    return output if hasattr(output, "shape") else None


def no_scores(name: str, output: Any) -> Unmet:
    """The error for a model whose output holds no scores."""
    return Unmet(f"{name} returns a {type(output).__name__}: no tensor of scores was found in it")


def close(first: Any, second: Any) -> bool:
    """Whether two tensors are the same numbers up to rounding."""
    one, other = array(first), array(second)
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-3, atol=1e-5, equal_nan=True)
