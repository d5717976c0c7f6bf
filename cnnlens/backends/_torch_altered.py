"""A gradient through activations that hand back something else: one pass, altered where torch pulls it back.

Whatever is altered is a node of torch's own graph: a hook on it sees what arrived there and what it pulled, and
says what goes on. The pass is otherwise torch's, and costs what a pass forwards and backwards does.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from ..arrays import Array
from ..tape import Share, is_one_of
from ._torch_kinds import ACTIVATIONS, described, plain_name
from ._torch_tape import FLOATS, as_numpy, as_tensor

#: A hook of the network's own on an array: on a tape that is another array, and the hook is not heard.
_OWN_HOOKS = ("register_hook", "register_post_accumulate_grad_hook")


def altered(
    run: Callable[[Tensor], Tensor],
    fed: Tensor,
    pull: Callable[[Array], Array],
    functions: Collection[str],
    share: Share,
) -> tuple[Array, Array] | None:
    """The scores that `run` makes of `fed` and the altered gradient by it, channels last.

    `pull` makes of the scores what is pulled back. None where torch's graph has no node for each call that is to
    be altered, or cannot be walked back.
    """
    fed = fed.requires_grad_()
    mode = _Altering(functions, share)
    try:
        with torch.enable_grad(), mode:
            end = run(fed.clone())  # a network may write into what it is handed
        if mode.is_apart or not end.requires_grad:
            return None
        axis = 1 if end.ndim > 2 else -1
        scores = np.array(as_numpy(end, axis))
        (found,) = torch.autograd.grad(end, fed, as_tensor(pull(scores), axis, end), allow_unused=True)
    except RuntimeError:  # torch's: an array that it needs was written to; a tape keeps copies of those
        return None
    finally:
        for handle in mode.handles:
            handle.remove()
    return scores, as_numpy(torch.zeros_like(fed) if found is None else found, 1)


@functools.cache
def _may_be_activation(name: str) -> bool:
    return plain_name(name) in ACTIVATIONS


class _Altering(TorchFunctionMode):
    """Hooks the node of each call that counts, right after the call: what is written there later has its own."""

    def __init__(self, functions: Collection[str], share: Share) -> None:
        super().__init__()
        self._functions, self._share = functions, share
        self.handles: list[RemovableHandle] = []
        self.is_apart = False  #: whether a call that counts was no single node, or gradients have other hooks

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if not _may_be_activation(name):
            self.is_apart |= name in _OWN_HOOKS
            return func(*args, **kwargs)
        read = [t for t in (*args, *kwargs.values()) if isinstance(t, Tensor) and t.requires_grad]
        kind, function, _ = described(name, args, kwargs, len(read))
        if not read or not is_one_of(self._functions, kind, function):
            return func(*args, **kwargs)
        edge = read[0].grad_fn, read[0].output_nr  # of what is written in place, before it is
        out = func(*args, **kwargs)
        if out.requires_grad:
            self._hook(out.grad_fn, edge)
        return out

    def _hook(self, node: Any, edge: tuple[Any, int]) -> None:
        """Alter what a node pulls back along its one edge."""
        ways = [place for place, (before, _) in enumerate(node.next_functions) if before is not None]
        if len(ways) != 1 or node.next_functions[ways[0]] != edge:
            self.is_apart = True
            return
        (way,) = ways

        def alter(pulled: tuple[Any, ...], arrived: tuple[Any, ...]) -> tuple[Any, ...] | None:
            own = pulled[way]
            if own is None or arrived[0] is None:
                return None
            laid = as_numpy(own, -1)
            shared = self._share(as_numpy(arrived[0], -1), laid)
            if shared is laid and own.device.type == "cpu" and own.dtype in FLOATS:
                return None  # written into torch's own memory
            made = as_tensor(shared, -1, own)
            return (*pulled[:way], made, *pulled[way + 1 :])

        self.handles.append(node.register_hook(alter))
