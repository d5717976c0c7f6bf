"""What a Keras layer or operation is: its kind, its hyper-parameters, its arrays, where its channels are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from ..arrays import Array
from ..layer import Layer
from ..outputs import is_output
from ._engines import array
from ._keras_taps import Graph, Key, Step

#: Names of Keras's own classes, which a user's subclass has among its ancestors → what they are.
_KINDS = tuple(
    (re.compile(names, re.IGNORECASE), kind)
    for names, kind in (
        (r"(separable|depthwise)?conv(\dd)?(transpose)?", "convolution"),
        (r"dense|einsumdense", "dense"),
        (r"\w*pool(ing\dd)?|mean|max", "pooling"),
        (r"\w*norm(alization)?|rescaling|normalize", "normalisation"),
        (r"activation|\w*(relu6?|elu|silu|sigmoid|softmax|softmin|tanh|shrink|sparsemax)|softplus|softsign|glu|clip",
         "activation"),
        (r"add|subtract|average", "add"),
        (r"multiply|divide|truedivide", "multiply"),
        (r"concatenate|stack", "concat"),
        (r"\w*dropout(\dd)?|gaussiannoise", "dropout"),
        (r"reshape|flatten|permute|transpose|squeeze|expanddims|repeatvector|ravel", "reshape"),
        (r"upsampling\dd|resizing|resize", "resize"),
        (r"\w*attention", "attention"),
        (r"model", "block"),
    )
)  # fmt: skip
_HYPER = {"kernel_size": "kernel", "pool_size": "kernel", "strides": "stride", "padding": "padding",
          "dilation_rate": "dilation", "groups": "groups"}  # fmt: skip
_NAMES = {"gamma": "scale", "beta": "bias", "moving_mean": "mean", "moving_variance": "variance"}


def described(graph: Graph, seen: Mapping[str, Any], axes: Mapping[str, int]) -> tuple[Layer, ...]:
    """The layers of a graph in call order, by what one pass showed; `axes`: where outputs have channels."""
    found = []
    for name in graph.names:
        operation: Any = graph.by_name[name].operation
        out: Any = seen.get(name)
        makers = (graph.maker(key) for key in graph.sources[name])
        inputs = tuple(dict.fromkeys(maker.name for maker in makers if maker))
        shape = channels_last(tuple(out.shape[1:]), axes[name] - 1) if is_of_a_picture(out) else ()
        kind, title = kind_of(operation), type(operation).__name__
        found.append(Layer(name, kind, title, shape, _parameters(operation), hyper_of(operation), inputs))
    return tuple(found)


def direct(model: Any) -> tuple[Layer, ...]:
    """The layers that a model without a graph holds itself; nothing is known of their order or outputs."""
    return tuple(
        Layer(part.name, kind_of(part), type(part).__name__, (), _parameters(part), hyper_of(part))
        for part in model.layers
    )


def channel_axes(graph: Graph, seen: Mapping[str, Any], axis: int) -> dict[str, int]:
    """Where each layer's output has its channels, 1 or -1, if `axis` is where the input has them."""
    known, axes = key_axes(graph, axis), {}
    for name, out in seen.items():
        if is_output(name):
            continue
        place = known[graph.by_name[name].writes[0]] if name != "input" else axis
        axes[name] = place if 0 < place < len(out.shape) - 1 else -1
    return axes


def key_axes(graph: Graph, axis: int) -> dict[Key, int]:
    """The same for every tensor of the graph, whatever its rank."""
    known: dict[Key, int] = {graph.input: axis}
    for step in graph.steps:
        before = next((known[key] for key in step.reads if key in known), -1)
        for place, key in enumerate(step.writes):
            known[key] = _axis_after(step, before) if step.is_call else known.get(step.reads[place], -1)
    return known


def channels_last(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    """A shape whose channels are at `axis`, with them put last; a negative axis has them there."""
    return tuple(int(n) for n in (shape if axis < 0 else (*shape[:axis], *shape[axis + 1 :], shape[axis])))


def kind_of(operation: Any) -> str:
    """The kind of a layer or operation, by the nearest of Keras's own classes that it is made from."""
    for cls in type(operation).__mro__:
        if cls.__module__.startswith("keras."):
            for names, kind in _KINDS:
                if names.fullmatch(cls.__name__):
                    return kind
    return "other"


def hyper_of(operation: Any) -> dict[str, Any]:
    """Kernel, stride, padding, dilation and groups, as far as an operation has them."""
    hyper: dict[str, Any] = {}
    for native, ours in _HYPER.items():
        value = getattr(operation, native, None)
        if isinstance(value, int) and ours != "groups":
            value = (value, value)
        whole = isinstance(value, tuple) and all(isinstance(v, int) for v in value)
        if whole or isinstance(value, (int, str)):
            hyper[ours] = value
    if is_made_from(operation, "BaseDepthwiseConv"):
        hyper["groups"] = int(operation.kernel.shape[-2])
    return hyper


def precision_of(operations: Sequence[Any]) -> str:
    """The shortest floating type that layers with weights compute in."""
    used = {str(getattr(one, "compute_dtype", "")) for one in operations if getattr(one, "weights", None)}
    return next((short for short in ("float16", "bfloat16") if short in used), "float32")


def seeds_of(model: Any) -> list[bytes]:
    """The seeds that its layers draw by; they change when some are drawn."""
    seeds = [v for v in getattr(model, "variables", ()) if "seed" in v.name]
    return [np.asarray(array(v)).tobytes() for v in seeds]


def weights_of(operation: Any) -> dict[str, Array]:
    """A layer's own arrays: `kernel` (kh, kw, in, out) or (in, out), `bias`, …; others by their names."""
    if not isinstance(operation, keras.layers.Layer):
        return {}
    plain = getattr(operation, "quantization_mode", None) is None
    if plain and is_made_from(operation, "BaseConv", "BaseDepthwiseConv", "BaseConvTranspose", "Dense"):
        bias = {"bias": array(operation.bias)} if operation.bias is not None else {}
        return {"kernel": _kernel(operation), **bias}
    renamed = _NAMES if kind_of(operation) == "normalisation" else {}
    return {renamed.get(name, name): array(variable) for name, variable in _named(operation.weights).items()}


def is_of_a_picture(out: Any) -> bool:
    """Whether an output of one picture is one array of that picture, and one that has gradients."""
    if out is None or len(out.shape) < 2 or out.shape[0] != 1:
        return False
    return bool(keras.backend.is_float_dtype(keras.backend.standardize_dtype(out.dtype)))


def _axis_after(step: Step, before: int) -> int:
    """Where an operation puts the channels of what has them at `before`."""
    operation, ranks = step.operation, {len(t.shape) for t in step.node.input_tensors}
    form, rank = getattr(operation, "data_format", None), len(step.into[0].shape)
    if form in ("channels_first", "channels_last"):
        return 1 if form == "channels_first" and rank > 2 else -1
    order = getattr(operation, "dims", None) or getattr(operation, "axes", None)
    if kind_of(operation) == "reshape" and isinstance(order, (tuple, list)) and before > 0:
        absolute = (0, *order) if hasattr(operation, "dims") else tuple(order)
        return absolute.index(before) if before in absolute else -1
    return before if ranks == {rank} and kind_of(operation) != "reshape" else -1


def _parameters(operation: Any) -> int:
    return sum(int(np.prod(v.shape)) for v in getattr(operation, "weights", ()))


def _kernel(layer: Any) -> Array:
    """A kernel as (kh, kw, in, out) or (in, out); in is the input channels of one group."""
    kernel = array(layer.kernel)
    if is_made_from(layer, "BaseConvTranspose"):
        return np.ascontiguousarray(np.swapaxes(kernel, -1, -2))
    if is_made_from(layer, "BaseDepthwiseConv"):
        return kernel.reshape(*kernel.shape[:-2], 1, -1)
    return kernel


def _named(variables: list[Any]) -> dict[str, Any]:
    """Variables by their names, or by their paths within the layer where names are not enough."""
    counts = Counter(v.name for v in variables)
    return {v.name if counts[v.name] == 1 else v.path.partition("/")[2] or v.path: v for v in variables}


def is_made_from(operation: Any, *names: str) -> bool:
    """Whether an operation is made from one of Keras's classes of these names, which are not public."""
    own = (cls for cls in type(operation).__mro__ if cls.__module__.startswith("keras."))
    return any(cls.__name__ in names for cls in own)
