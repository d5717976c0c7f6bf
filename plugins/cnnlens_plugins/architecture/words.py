"""What boxes are called: Conv 3×3 /2 · BN · ReLU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnnlens import CallInfo

from .folding import Box, is_light

_NAMES = {
    "relu": "ReLU", "relu6": "ReLU6", "silu": "SiLU", "swish": "SiLU", "gelu": "GELU", "elu": "ELU", "selu": "SELU",
    "prelu": "PReLU", "leaky_relu": "Leaky ReLU", "leakyrelu": "Leaky ReLU", "hardswish": "Hardswish",
    "hard_swish": "Hardswish", "hard_silu": "Hardswish", "hardsigmoid": "Hardsigmoid",
    "hard_sigmoid": "Hardsigmoid", "log_softmax": "Log-softmax", "layer_norm": "LN",
    "layernormalization": "LN", "group_norm": "GN", "groupnormalization": "GN", "instance_norm": "IN",
    "local_response_norm": "LRN",
}  # fmt: skip
_KINDS = {
    "batch-norm": "BN", "dense": "Dense", "add": "Add", "subtract": "Subtract", "multiply": "Multiply",
    "divide": "Divide", "concat": "Concat", "resize": "Resize", "attention": "Attention", "softmax": "Softmax",
    "scale": "Scale", "input": "Input",
}  # fmt: skip


def label_of(box: Box, calls: Sequence[CallInfo]) -> str:
    """All that a box does, in order; what only lays values out is left out where there is anything else."""
    told = [one for one in box.calls if one.kind not in ("identity", "reshape") and not _is_idle(one)]
    return " · ".join(words_of(one, calls) for one in told or box.calls[:1])


def _is_idle(call: CallInfo) -> bool:
    return call.kind == "concat" and is_light(call)


def words_of(call: CallInfo, calls: Sequence[CallInfo]) -> str:
    """What a call is, with what sets it apart from others of its kind."""
    read = calls[call.inputs[0]].shape if call.inputs else ()
    match call.kind:
        case "convolution" | "transposed-convolution":
            return _convolution(call, read)
        case "pooling":
            return _pooling(call, read)
        case "resize" if len(read) == len(call.shape) == 3:
            return f"Resize to {call.shape[0]}×{call.shape[1]}"
        case "activation" | "normalisation":
            return _NAMES.get(call.function, _plain(call.function))
    return _KINDS.get(call.kind) or _plain(call.function or call.kind)


def _convolution(call: CallInfo, read: Sequence[int]) -> str:
    hyper = call.hyper
    groups, channels = int(hyper.get("groups", 1)), read[-1]
    name = "Depthwise" if groups == channels > 1 else "Conv"
    if call.kind == "transposed-convolution":
        name = "Transposed conv"
    told = [name, times(hyper.get("kernel", "")), _step(hyper)]
    some = " ".join(filter(None, told))
    dilation = hyper.get("dilation", 1)
    some += f", dilated {times(dilation)}" if set(_flat(dilation)) != {1} else ""
    return some + (f", {groups} groups" if 1 < groups < channels else "")


def _pooling(call: CallInfo, read: Sequence[int]) -> str:
    name = {"max": "Max pool", "mean": "Average pool"}.get(call.function, f"{_plain(call.function)} pool")
    if len(call.shape) == 1 or (set(call.shape[:-1]) == {1} and "kernel" not in call.hyper):
        return f"Global {name[0].lower()}{name[1:]}"
    if "kernel" not in call.hyper:
        return f"{name} to {times(call.shape[:-1])}"
    return " ".join(filter(None, (name, times(call.hyper["kernel"]), _step(call.hyper))))


def _step(hyper: Any) -> str:
    stride = _flat(hyper.get("stride", 1))
    return "" if set(stride) == {1} else "/" + (str(stride[0]) if len(set(stride)) == 1 else times(stride))


def times(shape: Any) -> str:
    """Numbers as people write a shape: 3×3."""
    return "×".join(map(str, _flat(shape)))


def _flat(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (tuple, list)) else [value]


def _plain(function: str) -> str:
    words = function.strip("_").replace("_", " ")
    return words[:1].upper() + words[1:]


def short_name(name: str) -> str:
    """The end of a layer's path, with two parts of it that are no mere numbers."""
    parts = name.split(".")
    found: list[str] = []
    while parts and sum(not one.isdigit() for one in found) < 2:
        found.insert(0, parts.pop())
    return ".".join(found)


def size_of(count: float) -> str:
    """A count with three figures: 4.09 G, 25.6 M."""
    for sign, unit in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= 0.9995 * unit:
            return f"{float(f'{count / unit:.3g}'):g} {sign}"
    return f"{count:g}"


def grouped(count: int) -> str:
    """A count with its thousands apart."""
    return f"{count:,}".replace(",", "\N{THIN SPACE}")
