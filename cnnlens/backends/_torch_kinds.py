"""What a function of torch is, as a call on a tape: its kind, its hyper-parameters, which arguments are weights."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

Args = Sequence[Any]
Named = Mapping[str, Any]

#: function → its weights by our name: where they stand among its arguments, and what they are called there.
_WEIGHTS: dict[str, dict[str, tuple[int, str]]] = {
    **{
        name: {"kernel": (1, "weight"), "bias": (2, "bias")}
        for name in (
            "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "linear",
        )
    },
    "batch_norm": {"mean": (1, "running_mean"), "variance": (2, "running_var"), "scale": (3, "weight"),
                   "bias": (4, "bias")},
    **{name: {"scale": (2, "weight"), "bias": (3, "bias")} for name in ("layer_norm", "group_norm")},
    "prelu": {"slope": (1, "weight")},
    "matmul": {"kernel": (1, "other")},
}  # fmt: skip

_KINDS: dict[str, tuple[str, str]] = {
    "input": ("input", ""),
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), ("convolution", "")),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), ("transposed-convolution", "")),
    "linear": ("dense", ""),
    **{
        name: ("normalisation", name)
        for name in ("layer_norm", "group_norm", "instance_norm", "local_response_norm", "normalize", "rms_norm")
    },
    **{
        name: ("activation", name)
        for name in (
            "relu", "relu6", "hardtanh", "leaky_relu", "rrelu", "prelu", "elu", "selu", "celu", "gelu", "silu",
            "mish", "hardswish", "hardsigmoid", "sigmoid", "tanh", "softplus", "softsign", "hardshrink",
            "softshrink", "tanhshrink", "threshold", "logsigmoid", "clamp", "clamp_min", "clip", "square", "sqrt",
            "pow", "exp", "log", "abs",
        )
    },
    **dict.fromkeys(("softmax", "log_softmax", "softmin"), ("softmax", "")),
    **dict.fromkeys(("max_pool1d", "max_pool2d", "max_pool3d", "adaptive_max_pool2d", "amax"), ("pooling", "max")),
    **dict.fromkeys(
        ("avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "mean"),
        ("pooling", "mean"),
    ),
    "sum": ("pooling", "sum"),
    **dict.fromkeys(("cat", "concat", "concatenate", "stack", "hstack", "vstack"), ("concat", "")),
    **{
        name: ("reshape", name)
        for name in (
            "view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "permute", "transpose", "swapaxes",
            "movedim", "t", "__getitem__", "chunk", "split", "tensor_split", "unbind", "narrow", "select", "expand",
            "expand_as", "view_as", "reshape_as", "roll", "flip", "rot90", "pixel_shuffle", "pixel_unshuffle",
            "channel_shuffle", "index_select", "repeat", "unfold",
        )
    },
    **dict.fromkeys(("interpolate", "upsample"), ("resize", "")),
    **dict.fromkeys(
        ("clone", "contiguous", "to", "float", "double", "half", "type", "type_as", "cpu", "cuda", "alias"),
        ("identity", ""),
    ),
    **dict.fromkeys(("scaled_dot_product_attention", "multi_head_attention_forward"), ("attention", "")),
}  # fmt: skip
#: Functions that can be an activation on a tape; what they are called with decides.
ACTIVATIONS = frozenset(name for name, (kind, _) in _KINDS.items() if kind == "activation")
_SIGNS = {"__add__": "add", "__radd__": "add", "__iadd__": "add", "__sub__": "sub", "__rsub__": "rsub",
          "__isub__": "sub", "subtract": "sub", "__mul__": "mul", "__rmul__": "mul", "__imul__": "mul",
          "multiply": "mul", "__truediv__": "div", "__rtruediv__": "rdiv", "__itruediv__": "div", "divide": "div",
          "true_divide": "div", "__matmul__": "matmul", "__rmatmul__": "rmatmul", "__pow__": "pow",
          "__neg__": "neg", "negative": "neg", "mm": "matmul"}  # fmt: skip
_DROPOUTS = ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")


def plain_name(name: str) -> str:
    """`relu` for `relu_`, `add` for `__iadd__`."""
    return _SIGNS.get(name, name if name.startswith("__") else name.rstrip("_"))


def described(name: str, args: Args, named: Named, reads: int) -> tuple[str, str, dict[str, Any]]:
    """The kind of a call, which function of that kind it is, and its hyper-parameters.

    `reads` counts the arguments that the picture runs through; all others are constants.
    """
    plain = plain_name(name)
    if plain in ("add", "sub", "rsub"):
        return ("add" if plain == "add" else "subtract"), plain, {}
    if plain == "div" and reads == 1 and not _is_read(args[0]):
        return "other", "reciprocal", {}  # a constant by what hangs on the picture
    if plain in ("mul", "div", "neg"):
        several = {"mul": "multiply", "div": "divide"}
        return (several[plain] if reads > 1 else "scale"), plain, {}
    if plain == "batch_norm":
        training = bool(argument(args, named, 5, "training", False))
        eps = float(argument(args, named, 7, "eps", 1e-5))
        return ("normalisation" if training else "batch-norm"), plain, {"eps": eps}
    if plain in _DROPOUTS:
        return ("other" if argument(args, named, 2, "training", True) else "identity"), plain, {}
    if plain == "matmul":
        constant = args[1] if len(args) > 1 else None
        return (
            ("dense" if reads == 1 and isinstance(constant, Tensor) and constant.ndim == 2 else "other"),
            plain,
            {},
        )
    if plain == "pad":
        nothing = argument(args, named, 2, "mode", "constant") != "constant" or not argument(
            args, named, 3, "value", 0
        )
        return (
            ("reshape" if nothing else "other"),
            plain,
            {"padding": tuple(argument(args, named, 1, "pad", ()))},
        )
    if plain == "max" and len(args) + len(named) > 1:
        return ("pooling", "max", {}) if reads == 1 else ("other", plain, {})
    if plain in ("hardtanh", "clamp", "clip", "clamp_min") and reads == 1:
        return "activation", _bounded(plain, args, named), {}
    kind, function = _KINDS.get(plain, ("other", plain))
    if kind == "activation" and reads > 1:
        return "other", plain, {}  # its bounds or powers are computed from the picture
    if kind in ("convolution", "transposed-convolution", "dense") and reads > 1:
        return "other", plain, {}  # its weights are computed from the picture
    return kind, function or plain, _hyper(plain, kind, args, named)


def _bounded(plain: str, args: Args, named: Named) -> str:
    """What cuts off at zero is a ReLU, with an upper bound a ReLU6; so nn.ReLU6, which calls hardtanh."""
    ends = ("min_val", "max_val") if plain == "hardtanh" else ("min", "max")
    low = argument(args, named, 1, ends[0], -1 if plain == "hardtanh" else None)
    high = argument(args, named, 2, ends[1], 1 if plain == "hardtanh" else None)
    if isinstance(low, Tensor) or low is None or low != 0:
        return plain
    return "relu" if high is None else "relu6"


def _is_read(value: Any) -> bool:
    """Whether the picture runs through an argument: the recorder hands those on with a gradient."""
    return isinstance(value, Tensor) and value.requires_grad


def weights_of(name: str, args: Args, named: Named, read: Collection[int]) -> dict[str, Tensor]:
    """The weights among the arguments of a call; `read` holds the ids of what is none."""
    found = {}
    for ours, (place, called) in _WEIGHTS.get(plain_name(name), {}).items():
        value = argument(args, named, place, called, None)
        if isinstance(value, Tensor) and id(value) not in read:
            found[ours] = value
    return found


def with_weights(
    name: str, args: Args, named: Named, weights: Mapping[str, Tensor]
) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a call with other weights."""
    places, given, kept = _WEIGHTS.get(plain_name(name), {}), list(args), dict(named)
    for ours, value in weights.items():
        place, called = places[ours]
        if place < len(given):
            given[place] = value
        else:
            kept[called] = value
    return given, kept


def laid_out(ours: str, values: Tensor, kind: str, function: str) -> Tensor:
    """A weight as cnnlens has it: kernels (kh, kw, in, out) or (in, out)."""
    if ours != "kernel" or function == "matmul":
        return values
    if kind == "transposed-convolution":
        return values.movedim((0, 1), (-2, -1))
    return values.movedim((1, 0), (-2, -1))


def laid_in(ours: str, values: Tensor, kind: str, function: str) -> Tensor:
    """A weight as torch has it."""
    if ours != "kernel" or function == "matmul":
        return values
    if kind == "transposed-convolution":
        return values.movedim((-2, -1), (0, 1))
    return values.movedim((-2, -1), (1, 0))


def argument(args: Args, named: Named, place: int, name: str, default: Any) -> Any:
    """An argument of a call, by its place or its name."""
    return args[place] if place < len(args) else named.get(name, default)


def _hyper(plain: str, kind: str, args: Args, named: Named) -> dict[str, Any]:
    """Kernel, stride, padding, dilation and groups of a convolution or pooling, as pairs."""
    if kind in ("convolution", "transposed-convolution"):
        kernel = tuple(int(n) for n in argument(args, named, 1, "weight", torch.empty(0)).shape[2:])
        order = ("stride", "padding", "dilation", "groups")
        if kind == "transposed-convolution":
            order = ("stride", "padding", "output_padding", "groups")
        told = {
            ours: argument(args, named, 3 + i, ours, 0 if "padding" in ours else 1)
            for i, ours in enumerate(order)
        }
        if kind == "transposed-convolution":
            told["dilation"] = argument(args, named, 7, "dilation", 1)
        rank = len(kernel)
        return {"kernel": kernel, **{k: v if k == "groups" else _pair(v, rank) for k, v in told.items()}}
    if plain in ("max_pool2d", "avg_pool2d"):
        kernel = _pair(argument(args, named, 1, "kernel_size", 1), 2)
        stride = argument(args, named, 2, "stride", None)
        told = {"kernel": kernel, "stride": _pair(stride, 2) if stride else kernel,
                "padding": _pair(argument(args, named, 3, "padding", 0), 2)}  # fmt: skip
        if plain == "max_pool2d":
            told["dilation"] = _pair(argument(args, named, 4, "dilation", 1), 2)
        return told
    return {}


def _pair(value: Any, rank: int) -> Any:
    if isinstance(value, int):
        return (value,) * rank
    return tuple(value) * (rank if len(value) == 1 else 1) if isinstance(value, (tuple, list)) else value
