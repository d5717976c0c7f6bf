"""Fold what only scales and shifts channels into the convolution or dense layer before it; exact but for rounding.

A batch norm at inference is such a thing, and so are the three sums and products that Keras makes of one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from .._torch_arguments import flat
from .._torch_kinds import weights_of, with_weights
from .steps import Step

_MAKE_ANEW = ("convolution", "dense", "batch-norm", "add")
Affine = tuple[Tensor | float, Tensor | float]  # factor and summand, a number each or one for every channel


def fold(steps: Sequence[Step], keep: Collection[int]) -> list[Step]:
    """The same steps with less to do; values at the places to `keep` stay what they were."""
    alias = {
        step.place: place
        for step in steps
        if step.idle
        for place in step.reads.values()
        if step.place not in keep
    }
    done = {step.place: _renamed(step, alias) for step in steps if step.place not in alias}
    readers = Counter(place for step in done.values() for place in step.reads.values())
    following = {place: step.place for step in done.values() for place in step.reads.values()}
    for step in list(done.values()):
        kernel = _weights(step).get("kernel") if _has_kernel(step) else None
        if kernel is None:
            continue
        rank = kernel.ndim if step.kind == "convolution" else 2
        axis, at = (1 if step.kind == "convolution" else -1), step.place
        while readers[at] == 1 and at not in keep:  # a single reader: nobody else sees the change
            behind = done[following[at]]
            order = behind.order(rank) if step.kind == "convolution" else None
            if order:
                axis = order.index(axis)
            elif behind.place not in keep and (affine := _affine(behind, axis, rank, len(kernel))):
                done[step.place] = _scaled(done[step.place], *affine)
                alias[behind.place] = at
                del done[behind.place]
            else:
                break
            at = behind.place
    return _freeing([_renamed(step, alias) for step in done.values()], keep)


def _freeing(steps: Sequence[Step], keep: Collection[int]) -> list[Step]:
    """The same; activations of what only they read, and what has memory of its own, write over it."""
    readers = Counter(place for step in steps for place in step.reads.values())
    made_anew = {step.place for step in steps if step.kind in _MAKE_ANEW and step.slot is None}
    return [
        replace(step, frees=step.can_overwrite and all(
            place in made_anew and place not in keep and readers[place] == 1 for place in step.reads.values()
        ))
        for step in steps
    ]  # fmt: skip


def _has_kernel(step: Step) -> bool:
    return step.kind in ("convolution", "dense") and [*step.reads] == [0] and step.name != "matmul"


def _renamed(step: Step, alias: dict[int, int]) -> Step:
    reads = {}
    for leaf, place in step.reads.items():
        while place in alias:
            place = alias[place]
        reads[leaf] = place
    return replace(step, reads=reads)


def _weights(step: Step) -> dict[str, Tensor]:
    """Its kernel and bias as torch has them."""
    args, kwargs = step.call()
    return weights_of(step.name, args, kwargs, ())


def _scaled(step: Step, factor: Tensor | float, summand: Tensor | float) -> Step:
    """The convolution or dense step whose outputs are scaled and shifted, channel by channel."""
    args, kwargs = step.call()
    weights = _weights(step)
    kernel = weights["kernel"]
    by, more = (  # in double precision, and so are the products
        torch.as_tensor(v, dtype=torch.float64, device=kernel.device).expand(len(kernel))
        for v in (factor, summand)
    )
    new = {
        "kernel": kernel * by.reshape(-1, *(1,) * (kernel.ndim - 1)),
        "bias": (weights["bias"] * by if "bias" in weights else 0) + more,
    }
    given, named = with_weights(
        step.name, args, kwargs, {name: t.to(kernel.dtype) for name, t in new.items()}
    )
    leaves, form = flat(given, named)
    return replace(step, leaves=leaves, form=form)  # what it reads is still its first argument


def _affine(step: Step, axis: int, rank: int, channels: int) -> Affine | None:
    """The factor and summand of a step that only scales and shifts channels; None if it does anything else."""
    if len(step.reads) != 1:
        return None
    args, kwargs = step.call()
    if step.kind == "batch-norm":
        return _of_batch_norm(step) if axis == 1 else None
    name = step.name
    if name not in ("add", "sub", "mul", "div") or kwargs or len(args) != 2 or 0 not in step.reads:
        return None
    other = args[1]
    if isinstance(other, Tensor):
        if not _is_per_channel(other, axis, rank, channels):
            return None
        other = other.reshape(-1).double()
    elif not isinstance(other, (int, float)):
        return None
    return {"add": (1.0, other), "sub": (1.0, -other), "mul": (other, 0.0), "div": (1 / other, 0.0)}[name]


def _is_per_channel(values: Tensor, axis: int, rank: int, channels: int) -> bool:
    shape = (1,) * (rank - values.ndim) + tuple(values.shape)
    wanted = [1] * rank
    wanted[axis] = channels
    return values.numel() == 1 or (len(shape) == rank and list(shape) == wanted)


def _of_batch_norm(step: Step) -> Affine | None:
    args, kwargs = step.call()
    found = {name: t.double() for name, t in weights_of("batch_norm", args, kwargs, ()).items()}
    if "mean" not in found or "variance" not in found:
        return None
    factor = found.get("scale", 1.0) * torch.rsqrt(found["variance"] + step.hyper["eps"])
    return factor, found.get("bias", 0.0) - found["mean"] * factor
