"""How a patch spreads through each kind of step: which part of the output it can change, and the new values there.

A rule answers with a Patch, or None where it does not apply: the step is then run in full, on whole maps, and
so is all that follows. A step that is not known here is thus slower, never wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from .patch import Maps, Patch, Span, reached, union
from .steps import TURNS, Step

Given = Sequence[Patch | None]  #: what is new of what a step reads; None where nothing is
Rule = Callable[[Step, Given, "Before"], Patch | Tensor | None]


class Before:
    """What the pass over the picture, nothing hidden, showed: `of` a value, and of all that a step reads."""

    def __init__(self, base: Mapping[int, Tensor]) -> None:
        self._base = base
        self._maps: dict[tuple[int, tuple[int, int]], Maps] = {}

    def of(self, place: int) -> Tensor:
        """One picture's value there, (1, …)."""
        return self._base[place]

    def maps(self, place: int, space: tuple[int, int]) -> Maps:
        """The same, to cut windows from."""
        if (place, space) not in self._maps:
            self._maps[place, space] = Maps(self._base[place], space)
        return self._maps[place, space]

    def read_by(self, step: Step) -> list[Tensor]:
        """One picture's values that a step reads."""
        return [self._base[place] for place in step.reads.values()]


def spread(step: Step, given: Given, before: Before) -> Patch | Tensor | None:
    """What a step makes of patches: a patch, the whole output, or None: run it in full."""
    rule = _RULES.get(step.name) or (_pointwise if step.kind == "activation" else None)
    spaces = {patch.space for patch in given if patch is not None}
    return rule(step, given, before) if rule is not None and len(spaces) == 1 else None


def _convolution(step: Step, given: Given, before: Before) -> Patch | None:
    (patch,), hyper = given, step.hyper
    if patch is None or patch.space != (2, 3) or isinstance(hyper.get("padding"), str):
        return None
    windows = _windows(hyper, hyper.get("dilation", (1, 1)))
    if step.kind == "convolution" and windows == _ONE:
        return patch.moved(step.run([patch.values]))
    weight, bias = (step.argument(i, name) for i, name in ((1, "weight"), (2, "bias")))
    cut = _cut(step, patch, windows, before, 0.0)
    return cut.moved(
        functional.conv2d(cut.values, weight, bias, hyper["stride"], 0, hyper["dilation"], hyper["groups"])
    )


def _max_pooling(step: Step, given: Given, before: Before) -> Patch | None:
    (patch,), hyper = given, step.hyper
    if patch is None or patch.space != (2, 3):
        return None
    dilation = hyper["dilation"]
    cut = _cut(step, patch, _windows(hyper, dilation), before, float("-inf"))
    return cut.moved(functional.max_pool2d(cut.values, hyper["kernel"], hyper["stride"], 0, dilation))


def _mean_pooling(step: Step, given: Given, before: Before) -> Patch | None:
    (patch,), hyper = given, step.hyper
    ceil, with_pad = (
        step.argument(4, "ceil_mode", False),
        step.argument(5, "count_include_pad", True),
    )
    divisor = step.argument(6, "divisor_override")
    padded = any(hyper["padding"]) and not with_pad
    if patch is None or patch.space != (2, 3) or ceil or padded or divisor:
        return None  # its windows at the border are means of fewer values
    cut = _cut(step, patch, _windows(hyper, (1, 1)), before, 0.0)
    return cut.moved(functional.avg_pool2d(cut.values, hyper["kernel"], hyper["stride"]))


def _cut(step: Step, patch: Patch, windows: Sequence[Mapping[str, int]], before: Before, pad: float) -> Patch:
    """The input of a sliding window wherever its output changes; the output lies at the patch's place."""
    (place,), (tall, wide) = step.reads.values(), windows
    out_height, out_width = before.of(step.place).shape[2:]
    top, height = reached(patch.top, patch.height, tall, out_height)
    left, width = reached(patch.left, patch.width, wide, out_width)
    cut = before.maps(place, (2, 3)).windows(
        patch,
        top * tall["stride"] - tall["padding"],
        left * wide["stride"] - wide["padding"],
        _seen(height, tall),
        _seen(width, wide),
        pad,
    )
    return Patch(top, left, cut, (2, 3))


def _seen(count: int, window: Mapping[str, int]) -> int:
    """How many inputs `count` outputs see."""
    return (count - 1) * window["stride"] + window["dilation"] * (window["kernel"] - 1) + 1


def _windows(hyper: Mapping[str, Any], dilation: Sequence[int]) -> tuple[dict[str, int], dict[str, int]]:
    """Kernel, stride, padding and dilation by height and by width."""
    tall, wide = (
        {"kernel": k, "stride": s, "padding": p, "dilation": d}
        for k, s, p, d in zip(hyper["kernel"], hyper["stride"], hyper["padding"], dilation, strict=True)
    )
    return tall, wide


_ALONE = {"kernel": 1, "stride": 1, "padding": 0, "dilation": 1}
_ONE = (_ALONE, _ALONE)


def _pointwise(step: Step, given: Given, before: Before) -> Patch | None:
    """What makes each value of its own alone, or of its own and its channel's constants."""
    of_the_batch = step.name == "batch_norm" and step.kind != "batch-norm"
    if len(step.reads) != 1 or given[0] is None or of_the_batch or not _fits_any_place(step, given[0]):
        return None
    return given[0].moved(step.run([given[0].values]))


def _fits_any_place(step: Step, patch: Patch) -> bool:
    """Whether the constants that a step reads are the same at all places."""
    rank = patch.values.ndim
    for leaf in step.leaves:
        if isinstance(leaf, Tensor) and leaf.ndim > 1:
            shape = (1,) * (rank - leaf.ndim) + tuple(leaf.shape)
            if len(shape) > rank or any(shape[axis] != 1 for axis in patch.space) or shape[0] != 1:
                return False
        elif isinstance(leaf, Tensor) and leaf.ndim == 1 and len(leaf) > 1:
            by_channel = step.name in ("batch_norm", "prelu") and rank - 1 > 1
            if not by_channel and rank - 1 in patch.space:
                return False
    return True


def _several(step: Step, given: Given, before: Before) -> Patch | None:
    """A sum, difference, product or quotient of maps of one shape, place by place."""
    if len(step.reads) == 1:
        return _pointwise(step, given, before)
    if len({value.shape for value in before.read_by(step)}) != 1:
        return None
    parts = _aligned(step, given, before)
    return parts[0].moved(step.run([part.values for part in parts]))


def _joined(step: Step, given: Given, before: Before) -> Patch | None:
    """Channels of several maps, one behind the other."""
    parts = _aligned(step, given, before)
    axis = step.argument(1, "dim", 0) % parts[0].values.ndim
    if axis in (0, *parts[0].space) or any(isinstance(leaf, Tensor) for leaf in step.leaves):
        return None
    return parts[0].moved(step.run([part.values for part in parts]))


def _aligned(step: Step, given: Given, before: Before) -> list[Patch]:
    """All that a step reads, cut to the one region that changes in any of them."""
    patches = [patch for patch in given if patch is not None]
    space, some = patches[0].space, before.read_by(step)[0]
    region = union(patches, some.shape[space[0]], some.shape[space[1]])
    parts = []
    for patch, place in zip(given, step.reads.values(), strict=True):
        if patch is None or not _lies_at(patch, region):
            cut = before.maps(place, space).windows(patch, *region)
            patch = Patch(region[0], region[1], cut, space)
        parts.append(patch)
    return parts


def _lies_at(patch: Patch, region: Span) -> bool:
    top, left, height, width = region
    same = (patch.height, patch.width) == (height, width)
    return same and torch.equal(patch.top, top) and torch.equal(patch.left, left)


def _average(step: Step, given: Given, before: Before) -> Patch | Tensor | None:
    """The mean of whole maps: the mean that was, and the mean of what is new less what was there."""
    (patch,) = given
    if patch is None:
        return None
    (place,) = step.reads.values()
    was, out = before.of(place), before.of(step.place)
    if out.shape == was.shape and step.name == "adaptive_avg_pool2d":
        return patch
    if not _is_over_all_places(step, was, patch):
        return None
    old = before.maps(place, patch.space).windows(None, *patch.span)
    axes = list(patch.space)
    size = was.shape[axes[0]] * was.shape[axes[1]]
    change = (patch.values - old).sum(axes, keepdim=True) / size
    return out + change.reshape(len(patch.top), *out.shape[1:])


def _is_over_all_places(step: Step, was: Tensor, patch: Patch) -> bool:
    if step.name == "adaptive_avg_pool2d":
        size = step.argument(1, "output_size")
        return patch.space == (2, 3) and size in (1, (1, 1), [1, 1], torch.Size((1, 1)))
    axes = step.argument(1, "dim")
    axes = [axes] if isinstance(axes, int) else list(axes or ())
    return sorted(axis % was.ndim for axis in axes) == sorted(patch.space) and not step.argument(3, "dtype")


def _turned(step: Step, given: Given, before: Before) -> Patch | None:
    """Axes in another order."""
    (patch,) = given
    if patch is None:
        return None
    order = step.order(patch.values.ndim)
    if order is None or order[0]:
        return None
    space = order.index(patch.space[0]), order.index(patch.space[1])
    return patch.moved(step.run([patch.values]), space)


def _regrouped(step: Step, given: Given, before: Before) -> Patch | None:
    """Channels counted otherwise: the places, at the end or right behind the picture's number, stay."""
    (patch,), out = given, before.of(step.place)
    was = before.read_by(step)[0]
    if patch is None or len(was) != len(out):
        return None
    rank, count = was.ndim, len(patch.top)
    if patch.space == (rank - 2, rank - 1) and was.shape[-2:] == out.shape[-2:] and out.ndim > 2:
        values = patch.values.reshape(count, *out.shape[1:-2], patch.height, patch.width)
        return patch.moved(values, (out.ndim - 2, out.ndim - 1))
    if patch.space == (1, 2) and was.shape[1:3] == out.shape[1:3] and out.ndim > 3:
        return patch.moved(patch.values.reshape(count, patch.height, patch.width, *out.shape[3:]))
    return None


def _split(step: Step, given: Given, before: Before) -> Patch | None:
    """One of several parts of the channels."""
    (patch,) = given
    if patch is None:
        return None
    axis = step.argument(2, "dim", 0) % patch.values.ndim
    return None if axis in (0, *patch.space) else patch.moved(step.run([patch.values]))


def _padded(step: Step, given: Given, before: Before) -> Patch | None:
    """A border of constants: the patch lies further in."""
    (patch,) = given
    sizes = list(step.argument(1, "pad", ()))
    if patch is None or step.argument(2, "mode", "constant") != "constant" or min(sizes, default=-1) < 0:
        return None
    rank = patch.values.ndim
    before_axis = {rank - 1 - i: low for i, low in enumerate(sizes[::2])}
    after_axis = {rank - 1 - i: high for i, high in enumerate(sizes[1::2])}
    if any(before_axis[axis] + after_axis[axis] for axis in before_axis if axis not in patch.space):
        return None
    down, right = (before_axis.get(axis, 0) for axis in patch.space)
    return Patch(patch.top + down, patch.left + right, patch.values, patch.space)


_RULES: dict[str, Rule] = {
    "conv2d": _convolution,
    "max_pool2d": _max_pooling,
    "avg_pool2d": _mean_pooling,
    **dict.fromkeys(("add", "sub", "mul", "div"), _several),
    **dict.fromkeys(("cat", "concat", "concatenate"), _joined),
    **dict.fromkeys(("adaptive_avg_pool2d", "mean"), _average),
    **dict.fromkeys(TURNS, _turned),
    **dict.fromkeys(("view", "reshape"), _regrouped),
    **dict.fromkeys(("chunk", "split", "tensor_split"), _split),
    "pad": _padded,
    **dict.fromkeys(("batch_norm", "dropout", "contiguous", "clone", "alias", "neg", "to"), _pointwise),
}
