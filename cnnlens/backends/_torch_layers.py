"""What layers a PyTorch module has, in call order: one pass over a grey picture, followed call by call."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..layer import Layer
from ._torch_calls import Call, Follower, is_block
from ._torch_reach import ran_with_gradients
from ._torch_views import hands_memory_out

_KINDS: tuple[tuple[tuple[type[nn.Module], ...], str], ...] = (
    ((nn.modules.conv._ConvNd,), "convolution"),
    ((nn.Linear, nn.Bilinear), "dense"),
    (
        (
            nn.modules.pooling._MaxPoolNd, nn.modules.pooling._AvgPoolNd, nn.modules.pooling._LPPoolNd,
            nn.modules.pooling._AdaptiveAvgPoolNd, nn.modules.pooling._AdaptiveMaxPoolNd,
            nn.FractionalMaxPool2d,
        ),
        "pooling",
    ),
    (
        (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.LocalResponseNorm, nn.RMSNorm),
        "normalisation",
    ),
    ((nn.modules.dropout._DropoutNd,), "dropout"),
    ((nn.MultiheadAttention,), "attention"),
    ((nn.Flatten, nn.Unflatten), "reshape"),
    ((nn.Upsample, nn.PixelShuffle), "resize"),
)  # fmt: skip
#: What ends a network by making probabilities of its scores.
_ENDS = {"softmax": "softmax", "softmax2d": "softmax", "logsoftmax": "softmax", "sigmoid": "sigmoid"}
#: Functions whose output has its channels first, whatever their input had.
_CHANNELS_FIRST = ("conv1d", "conv2d", "conv3d", "conv_transpose2d", "batch_norm", "group_norm", "max_pool2d",
                   "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d", "interpolate")  # fmt: skip


@dataclass
class Survey:
    """The layers of a module, where each output has its channels, and the call that makes probabilities."""

    layers: tuple[Layer, ...] = ()
    axes: dict[str, int] = field(default_factory=dict)
    output: Any = None
    head: str | None = None
    activation: str | None = None
    ends: tuple[str, ...] = ()
    dead: str | None = None  # why no gradient leads back to the picture
    written: set[str] = field(default_factory=set)  # layers whose output is written to by a later call

    @functools.cached_property
    def named(self) -> dict[str, Layer]:
        """The layers by name."""
        return {layer.name: layer for layer in self.layers}


def survey(follower: Follower, fed: Tensor, scores_in: Callable[[Any], list[Tensor]]) -> Survey:
    """Run `fed` once and describe every call. The caller has frozen the model.

    `scores_in` finds the tensors of scores in what was returned: one, but for detections.
    """
    watcher = _Watcher(fed)

    def run(x: Tensor, differentiable: bool) -> Any:
        nonlocal watcher
        watcher = _Watcher(x)
        following = follower.following(watcher.visit, enter=watcher.enter, observe=watcher.observe)
        with torch.set_grad_enabled(differentiable), following:
            return follower.root(x)

    output, dead = ran_with_gradients(follower.root, fed, run)
    layers = [layer for layer in watcher.layers if layer is not None]
    found = Survey(tuple(layers), watcher.axes, output, dead=dead)
    found.written = watcher.written()
    ends = scores_in(output)
    found.ends = tuple(dict.fromkeys(name for t in ends for name in watcher.maker.get(id(t), ())))
    if len(ends) == 1:
        _find_head(found, watcher, ends[0])
    return found


class _Watcher:
    """Keeps what is seen during the survey; tensors are held, so that an id stays one tensor's."""

    def __init__(self, fed: Tensor) -> None:
        self.layers: list[Layer | None] = []
        self.axes: dict[str, int] = {}
        self.axis: dict[int, int] = {id(fed): 1}  # id of a tensor → where its channels are
        self.maker: dict[int, tuple[str, ...]] = {}  # id of a tensor → the layers it comes from
        self.calls: dict[str, Call] = {}
        self._held: list[Any] = [fed]
        self._begun: dict[str, list[int]] = {}
        self._versions: dict[str, int] = {}  # how often an output had been written to when it was handed on
        self._unseen = False  # whether something may be written to where torch does not count it

    def enter(self, base: str) -> None:
        """A block begins: keep its place, so that it stands before what it holds."""
        self._begun.setdefault(base, []).append(len(self.layers))
        self.layers.append(None)

    def observe(self, function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Any) -> None:
        """Carry along where the channels are and which layer a tensor comes from."""
        self._unseen |= hands_memory_out(function, args)
        if not isinstance(out, Tensor):
            given = _tensors((*args, *kwargs.values()))
            written = (
                getattr(function, "__name__", "") == "__setitem__"
            )  # into an array that was there before
            self._carry(given[:1] if written else _tensors((out,)), given)
            return
        self._held.append(out)
        given = _tensors((*args, *kwargs.values()))
        sources = tuple(dict.fromkeys(name for t in given for name in self.maker.get(id(t), ())))
        axis = axis_after(getattr(function, "__name__", ""), args, kwargs, out, self._axis_of(given))
        if axis is not None:
            self.axis[id(out)] = axis
        self.maker[id(out)] = sources

    def _carry(self, parts: list[Tensor], given: list[Tensor]) -> None:
        """What a function takes apart or writes into comes from the layers of all that it was given."""
        self._held += parts
        sources = tuple(dict.fromkeys(name for t in given for name in self.maker.get(id(t), ())))
        self.maker.update((id(part), sources) for part in parts)

    def visit(self, call: Call) -> None:
        """Describe one call as a Layer."""
        self._held.append(call.output)
        self.calls[call.name] = call
        if isinstance(call.output, Tensor) and not call.output.is_inference():
            self._versions[call.name] = call.output._version
        out, given = call.output, _tensors(call.inputs)
        block = call.module is not None and is_block(call.module)
        inputs = tuple(dict.fromkeys(name for t in given for name in self.maker.get(id(t), ())))
        shape: tuple[int, ...] = ()
        # one array a picture: attention windows, say, are many, and no layer of the picture's own
        if isinstance(out, Tensor) and out.is_floating_point() and out.ndim >= 2 and len(out) == 1:
            unknown = 1 if out.ndim > 3 else -1  # maps have channels first, tokens last
            axis = self.axis.get(id(out), self._axis_of(given) or unknown)
            if axis >= out.ndim - 1 or out.ndim < 3:
                axis = -1
            self.axes[call.name] = axis
            shape = _channels_last_shape(tuple(out.shape), axis)
            if not block:
                self.axis[id(out)] = axis if axis > 0 else out.ndim - 1
                self.maker[id(out)] = (call.name,)
        layer = Layer(call.name, *_described(call, block), shape, *_counted(call), inputs)
        if block and self._begun.get(call.base):
            self.layers[self._begun[call.base].pop()] = layer
        else:
            self.layers.append(layer)

    def written(self) -> set[str]:
        """The layers whose output is not what it was any more; all of them, where that cannot be told."""
        versions = {} if self._unseen else self._versions
        kept = {name for name, version in versions.items() if self.calls[name].output._version == version}
        return self.calls.keys() - kept

    def _axis_of(self, given: list[Tensor]) -> int | None:
        return next((self.axis[id(t)] for t in given if id(t) in self.axis), None)


def axis_after(name: str, args: Any, kwargs: Mapping[str, Any], out: Tensor, axis: int | None) -> int | None:
    """Where the channels of `out` are, if `axis` is where they were in the function's input."""
    if name in _CHANNELS_FIRST:
        return 1
    if axis is None:
        return None
    given = args[0] if args and isinstance(args[0], Tensor) else None
    rank = given.ndim if given is not None else out.ndim
    if name == "permute":
        order = kwargs.get("dims", args[1:])
        order = order[0] if len(order) == 1 and not isinstance(order[0], int) else order
        return [d % rank for d in order].index(axis)
    if name in ("transpose", "swapaxes"):
        pair = [d % rank for d in args[1:3]]
        return pair[1 - pair.index(axis)] if axis in pair and len(pair) == 2 else axis
    if name in ("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "mean", "__getitem__"):
        size = given.shape[axis] if given is not None and axis < given.ndim else None
        near = [d for d in (axis, out.ndim - 1, 1) if 0 < d < out.ndim and out.shape[d] == size]
        return near[0] if near else None
    return axis if axis < out.ndim else None


def _channels_last_shape(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    places = list(shape[1:])
    if axis > 0:
        places.append(places.pop(axis - 1))
    return tuple(places)


def _described(call: Call, block: bool) -> tuple[str, str]:
    """The kind of a call and its type."""
    module = call.module
    if module is None:
        return call.kind, call.base.removesuffix(".function").rpartition(".")[2]
    name = type(module).__name__
    if block:
        return "block", name
    for types, kind in _KINDS:
        if isinstance(module, types):
            return kind, name
    activation = type(module).__module__ == "torch.nn.modules.activation"
    if activation or any(
        word in name.lower() for word in ("relu", "swish", "gelu", "silu", "sigmoid", "mish")
    ):
        return "activation", name
    return "other", name


def _counted(call: Call) -> tuple[int, dict[str, Any]]:
    """The number of parameters and the hyper-parameters of a call."""
    module = call.module
    if module is None:
        return 0, {}
    hyper: dict[str, Any] = {}
    names = {"kernel_size": "kernel", "stride": "stride", "padding": "padding", "dilation": "dilation"}
    for native, ours in names.items():
        value = getattr(module, native, None)
        if isinstance(value, (int, str)) or (
            isinstance(value, tuple) and all(isinstance(v, int) for v in value)
        ):
            hyper[ours] = (value, value) if isinstance(value, int) else value
    if isinstance(module, nn.modules.conv._ConvNd):
        hyper["groups"] = module.groups
    return sum(p.numel() for p in module.parameters()), hyper


def _find_head(found: Survey, watcher: _Watcher, output: Tensor) -> None:
    """Find a softmax or sigmoid that ends the network: scores are what goes into it."""
    made_by = watcher.maker.get(id(output), ())
    if len(made_by) != 1:
        return
    call = watcher.calls[made_by[0]]
    name = type(call.module).__name__ if call.module is not None else call.base.rpartition(".")[2]
    kind = _ENDS.get(name.lower().replace("_", ""))
    if kind and call.output is output and call.inputs and isinstance(call.inputs[0], Tensor):
        found.head, found.activation = call.name, kind


def _tensors(values: tuple[Any, ...]) -> list[Tensor]:
    """The tensors among arguments, looking into lists (as torch.cat's)."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (tuple, list)):
            found += [v for v in value if isinstance(v, Tensor)]
    return found
