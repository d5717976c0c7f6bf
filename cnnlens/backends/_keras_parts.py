"""What a step of a Keras graph is as calls on a tape: one, or several where a layer does several things.

A layer with an activation of its own is the layer without it and the activation; a separable convolution is
its two convolutions. A rule thus sees the same network however it was written down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from ..arrays import Array
from ._engines import array
from ._keras_heads import without_activation
from ._keras_layers import hyper_of, is_made_from, kind_of, weights_of
from ._keras_taps import Step

Tensors = Sequence[Any]

#: Keras's names of functions → torch's, which are the ones on every tape.
_FUNCTIONS = {"swish": "silu", "hard_sigmoid": "hardsigmoid", "hard_silu": "hardswish", "hard_swish": "hardswish",
              "leakyrelu": "leaky_relu", "log_sigmoid": "logsigmoid"}  # fmt: skip
_KINDS = {"block": "other", "dropout": "identity"}
_MOVES = ("ZeroPadding1D", "ZeroPadding2D", "Cropping1D", "Cropping2D", "GetItem", "Roll", "Flip", "Split")


@dataclass(frozen=True)
class Part:
    """One call to be. `run` makes the outputs of the inputs; `weights` are variables under our names."""

    kind: str
    function: str
    run: Callable[[Tensors], list[Any]]
    hyper: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, Any] = field(default_factory=dict)
    arrays: Callable[[], Mapping[str, Array]] = dict

    def laid_in(self, name: str, values: Array) -> Array:
        """A weight as Keras has it, from ours."""
        if name == "kernel" and self.kind == "transposed-convolution":
            return np.swapaxes(values, -1, -2)
        return np.reshape(values, self.weights[name].shape)


def parts_of(step: Step) -> Iterator[Part]:
    """The calls that a step of a graph makes, in order."""
    operation = step.operation
    if _is_own(operation) or not isinstance(operation, keras.layers.Layer):
        yield from _known(step, operation)
    else:  # a user's layer: whatever its ancestors are, its own call() decides
        yield Part("other", type(operation).__name__, lambda given: step.outputs(tuple(given)))


def _known(step: Step, operation: Any) -> Iterator[Part]:
    kind = kind_of(operation)
    if is_made_from(operation, "BaseSeparableConv"):
        yield from _separated(operation)
    elif kind in ("convolution", "dense"):
        bare = without_activation(operation) if "activation" in vars(operation) else operation
        if is_made_from(operation, "BaseConvTranspose"):
            kind = "transposed-convolution"
        elif kind == "convolution" and not is_made_from(operation, "BaseConv", "BaseDepthwiseConv"):
            kind = "other"  # a function of convolution whose kernel may be anything
        yield _layer(step, bare, kind, kind)
    else:
        yield _layer(step, operation, *_described(operation, kind, len(step.reads), _by_constant(step)))
        return
    activation = vars(operation).get("activation")
    if activation is not None and activation is not keras.activations.linear:
        yield _activation(activation)


def _layer(step: Step, operation: Any, kind: str, function: str) -> Part:
    hyper = dict(hyper_of(operation))
    if kind == "batch-norm":
        hyper["eps"] = float(operation.epsilon)
    return Part(
        kind,
        function,
        lambda given: step.outputs(tuple(given), operation),
        hyper,
        _variables(operation, kind),
        lambda: weights_of(operation),
    )


def _activation(function: Any) -> Part:
    kind, name = _activation_kind(function)
    return Part(kind, name, lambda given: [function(given[0])])


def _described(operation: Any, kind: str, reads: int, by_constant: bool) -> tuple[str, str]:
    """The kind of a call on a tape and its function, for what is neither a convolution nor dense."""
    title = type(operation).__name__
    low = title.lower()
    if kind == "activation":
        return _activation_kind(getattr(operation, "activation", None) or operation)
    if kind == "pooling":
        return kind, "max" if "max" in low else "mean"
    if low == "sum":
        return "pooling", "sum"
    if kind == "normalisation":
        if low == "batchnormalization":
            return "batch-norm", "batch_norm"
        return ("scale" if low in ("rescaling", "normalization") else kind), low
    if kind == "add":
        return ("subtract" if low == "subtract" else "add"), low
    if kind == "multiply":
        several = "multiply" if low == "multiply" else "divide"
        if several == "divide" and reads == 1 and by_constant:
            return "other", "reciprocal"
        return (several if reads > 1 else "scale"), low
    return ("reshape" if title in _MOVES else _KINDS.get(kind, kind)), low


def _by_constant(step: Step) -> bool:
    """Whether what comes first is a constant: `1 / x`, and not `x / 2`."""
    first = step.node.arguments.args[:1]
    return bool(first) and not isinstance(first[0], keras.KerasTensor)


def _activation_kind(function: Any) -> tuple[str, str]:
    name = getattr(function, "__name__", type(function).__name__).lower()
    if isinstance(function, keras.layers.ReLU):
        top, slope, threshold = function.max_value, function.negative_slope, function.threshold
        name = (
            "leaky_relu"
            if slope
            else "threshold"
            if threshold
            else {None: "relu", 6: "relu6"}.get(top, "clamp")
        )
    name = _FUNCTIONS.get(name, name)
    return ("softmax" if name in ("softmax", "log_softmax", "logsoftmax") else "activation"), name


def _separated(layer: Any) -> Iterator[Part]:
    """A separable convolution: each channel by itself, then all of them at each place."""
    ops, order = keras.ops, layer.data_format
    stride = layer.strides if len(set(layer.strides)) > 1 else layer.strides[0]
    alone = {"kernel": layer.depthwise_kernel}
    across = {"kernel": layer.pointwise_kernel} | ({"bias": layer.bias} if layer.use_bias else {})

    def apart(given: Tensors) -> list[Any]:
        kernel = layer.depthwise_kernel
        return [ops.depthwise_conv(given[0], kernel, stride, layer.padding, order, layer.dilation_rate)]

    def together(given: Tensors) -> list[Any]:
        out = ops.conv(given[0], layer.pointwise_kernel, 1, "valid", order)
        if layer.use_bias:
            shape = (1, -1, *(1,) * layer.rank) if order == "channels_first" else (-1,)
            out = out + ops.reshape(layer.bias, shape)
        return [out]

    hyper = hyper_of(layer)
    groups = int(layer.depthwise_kernel.shape[-2])
    yield Part(
        "convolution", "depthwise", apart, {**hyper, "groups": groups}, alone,
        lambda: {"kernel": array(alone["kernel"]).reshape(*layer.kernel_size, 1, -1)},
    )  # fmt: skip
    one = (1,) * layer.rank
    yield Part(
        "convolution", "pointwise", together, {"kernel": one, "stride": one, "padding": "valid"}, across,
        lambda: {name: array(variable) for name, variable in across.items()},
    )  # fmt: skip
    if layer.activation is not None and layer.activation is not keras.activations.linear:
        yield _activation(layer.activation)


def _variables(operation: Any, kind: str) -> dict[str, Any]:
    """The variables of a layer whose values a rule may want otherwise."""
    names = {"kernel": "kernel", "bias": "bias"}
    if kind == "batch-norm":
        names = {"scale": "gamma", "bias": "beta", "mean": "moving_mean", "variance": "moving_variance"}
    elif kind not in ("convolution", "transposed-convolution", "dense"):
        return {}
    found = {ours: getattr(operation, theirs, None) for ours, theirs in names.items()}
    return {ours: variable for ours, variable in found.items() if isinstance(variable, keras.Variable)}


def _is_own(operation: Any) -> bool:
    """Whether Keras itself wrote what a layer does."""
    owner = next((cls for cls in type(operation).__mro__ if "call" in vars(cls)), object)
    return owner.__module__.startswith("keras.")
