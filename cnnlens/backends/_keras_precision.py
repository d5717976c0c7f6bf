"""A Keras model's passes in a lower precision than its weights': where Keras runs on PyTorch, by torch's autocast."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import keras

if TYPE_CHECKING:
    from ..model import Model


class Plain:
    """What passes run within where nobody asked for a precision: nothing."""

    __call__ = in_full = staticmethod(nullcontext)


def within_of(model: Model) -> Any:
    """As of `_torch_precision`; an engine other than PyTorch has nothing of the kind, nor a model that needs it."""
    if model.weights_in is None:
        return Plain()
    from ._torch_precision import Within

    return Within.of(model)


def why_not_lowered(model: Model) -> str | None:
    """Why the model's passes cannot be lowered: its engine, its policy, or what torch says; None where they can."""
    engine = keras.config.backend()
    if engine != "torch":
        told = {"tensorflow": "TensorFlow", "jax": "JAX"}[engine]
        return (
            f"Keras on {told} computes in the dtype policy the model was built with; build or save it under "
            "keras.mixed_precision.set_global_policy('mixed_bfloat16'), or open it with KERAS_BACKEND=torch"
        )
    if model.weights_in != "float32":
        return f"its dtype policy computes in {model.weights_in}: leave the precision out"
    from ._torch_precision import why_not_lowered

    return why_not_lowered(model)
