"""What a Keras model reads: its size, where its channels are, whether it scales the pixels itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from ..errors import BadInput, Unmet
from ..preprocess import InputSpec, of_keras_family, read_preprocess
from ._engines import array
from ._keras_layers import kind_of

SIDE = 224  #: where a model takes any size and nobody says one
_COLOURS = (1, 3, 4)

#: An input without its batch: three sides, or two for grey pictures without a channel; None is any.
Shape = tuple[int | None, ...]


def input_shape(model: Any, graph: Any | None) -> Shape:
    """The shape of the one picture that a model reads; BadInput where the model is not built."""
    if not model.built:
        raise BadInput(
            f"{model.name} is not built, so it has no weights to look at; call it once on a picture, "
            "or model.build((None, height, width, channels)) before its weights are loaded"
        )
    if graph is None:
        shape = (model.get_build_config() or {}).get("input_shape")
        fits = isinstance(shape, (tuple, list)) and len(shape) == 4
        return tuple(shape[1:]) if shape is not None and fits else (None, None, None)
    if len(graph.inputs) != 1:
        names = ", ".join(symbol.name for symbol in graph.inputs)
        raise Unmet(f"{model.name} reads {len(graph.inputs)} inputs ({names}); cnnlens feeds one picture")
    shape = tuple(graph.inputs[0].shape)[1:]
    if len(shape) not in (2, 3):
        raise Unmet(f"{model.name} reads {shape} each; a picture is (height, width, channels)")
    return shape


def channel_axis(shape: Shape, operations: Sequence[Any]) -> int:
    """Where the batch has its channels, 1 or -1: by its sides where they tell, else by the first layer."""
    if len(shape) == 2:
        return -1
    first, last = shape[0] in _COLOURS, shape[-1] in _COLOURS
    if first != last and None not in (shape[0], shape[-1]):
        return 1 if first else -1
    forms = (getattr(operation, "data_format", None) for operation in operations)
    return 1 if next((form for form in forms if form), None) == "channels_first" else -1


def read_input(
    name: str, preprocess: object, shape: Shape, axis: int, operations: Sequence[Any]
) -> InputSpec:
    """The preprocessing that was asked for or fits best, with the size that the model reads."""
    last = (*shape, 1) if len(shape) == 2 else shape
    height, width, channels = (*last[1:], last[0]) if axis == 1 else last
    scaler = next((op for op in _before_kernels(operations) if _takes_bytes(op)), None)
    family = of_keras_family(name) if preprocess is None and scaler is None and channels == 3 else None
    asked = preprocess or family or ("unit" if scaler is None else "raw")
    spec = read_preprocess(asked, height or 1, width or 1, channels or 3)  # one pixel: nobody said a size
    if preprocess is None and family is None:
        source = "assumed unit" if scaler is None else f"{type(scaler).__name__} inside the model"
        spec = dataclasses.replace(spec, source=source)
    given_sides = {"rows": spec.height, "columns": spec.width, "channels": spec.channels}
    for own, (what, given) in zip((height, width, channels), given_sides.items(), strict=True):
        if own is not None and own != given:
            raise BadInput(f"{name} reads pictures of {own} {what} and the preprocessing says {given}")
    return spec


def _before_kernels(operations: Sequence[Any]) -> list[Any]:
    """The operations that come before the first one with kernels."""
    found = []
    for operation in operations:
        if kind_of(operation) in ("convolution", "dense"):
            break
        found.append(operation)
    return found


def _takes_bytes(operation: Any) -> bool:
    """Whether a layer brings numbers of 0 to 255 into range; one that stretches 0 to 1 does not."""
    if isinstance(operation, keras.layers.Rescaling):
        return bool(np.max(np.abs(operation.scale)) < 0.1)
    if isinstance(operation, keras.layers.Normalization):
        return bool(np.max(np.abs(array(operation.mean))) > 1)
    return False
