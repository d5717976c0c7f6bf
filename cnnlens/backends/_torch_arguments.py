"""The arguments of a function of torch, laid out flat and put together again, as torch's pytree does it but quicker.

Nearly all calls have tensors, numbers and short lists of these. What is nested deeper goes torch's way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

#: What is known to hold nothing; any other type is asked of torch's pytree.
_PLAIN = {Tensor, nn.Parameter, int, float, bool, str, type(None), torch.dtype, torch.device, slice,
          type(...), torch.memory_format}  # fmt: skip


class Form(NamedTuple):
    """How arguments are put together: how many stand first, the names of the others, and which are lists."""

    first: int
    names: tuple[str, ...]
    lists: tuple[
        tuple[int, type, int], ...
    ]  # where one begins among the leaves, what it is, how many it holds
    tree: TreeSpec | None = None  # where something is nested deeper

    def put(self, leaves: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments that were flat."""
        if self.tree is not None:
            args, kwargs = tree_unflatten(leaves, self.tree)
            return args, kwargs
        values = leaves
        if self.lists:
            values, at = [], 0
            for begin, kind, count in self.lists:
                values += leaves[at:begin]
                values.append(kind(leaves[begin : begin + count]))
                at = begin + count
            values += leaves[at:]
        return tuple(values[: self.first]), dict(zip(self.names, values[self.first :], strict=True))


def flat(args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[list[Any], Form]:
    """What a function was called with, in order, lists opened; and how to put it together again."""
    leaves: list[Any] = []
    lists: list[tuple[int, type, int]] = []
    for value in (*args, *kwargs.values()) if kwargs else args:
        kind = type(value)
        if kind in _PLAIN:
            leaves.append(value)
        elif kind in (tuple, list) and all(type(one) in _PLAIN for one in value):
            lists.append((len(leaves), kind, len(value)))
            leaves += value
        else:
            leaves, tree = tree_flatten((tuple(args), dict(kwargs)))
            return leaves, Form(len(args), tuple(kwargs), (), tree)
    return leaves, Form(len(args), tuple(kwargs), tuple(lists))


def tensors_of(out: Any) -> list[Tensor]:
    """The tensors in what a function returned, in order."""
    if isinstance(out, Tensor):
        return [out]
    return [] if type(out) in _PLAIN else [t for t in tree_flatten(out)[0] if isinstance(t, Tensor)]


def mapped(out: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """What a function returned with other tensors in it."""
    if isinstance(out, Tensor):
        return change(out)
    if type(out) in _PLAIN:
        return out
    leaves, form = tree_flatten(out)
    return tree_unflatten([change(v) if isinstance(v, Tensor) else v for v in leaves], form)
