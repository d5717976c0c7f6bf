"""Hooks on all modules of a network, cheap enough to be hung for every pass; and looking without being seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from torch._C import _len_torch_function_stack
from torch.overrides import _pop_mode, _push_mode
from torch.utils.hooks import RemovableHandle


class Hooks:
    """Hooks on many modules at once, put where torch's own `register_…` puts them: that takes as long as a layer."""

    def __init__(self) -> None:
        self.handles: list[RemovableHandle] = []
        self._hung: list[nn.Module] = []
        self._key: Any = object()

    def hang(self, module: nn.Module, before: Callable[..., Any], after: Callable[..., Any]) -> None:
        """Call `before(module, args, kwargs)` and `after(module, args, kwargs, output)`, behind all other hooks."""
        self._hung.append(module)
        module._forward_pre_hooks[self._key] = before
        module._forward_pre_hooks_with_kwargs[self._key] = True
        module._forward_hooks[self._key] = after
        module._forward_hooks_with_kwargs[self._key] = True

    def remove(self) -> None:
        """Take all of them away."""
        for handle in self.handles:
            handle.remove()
        for module in self._hung:
            for held in (
                module._forward_pre_hooks, module._forward_pre_hooks_with_kwargs,
                module._forward_hooks, module._forward_hooks_with_kwargs,
            ):  # fmt: skip
                held.pop(self._key, None)


def unseen(run: Callable[..., Any], *args: Any) -> Any:
    """Run what looks at tensors itself without the innermost function mode: it would see every look."""
    if not _len_torch_function_stack():
        return run(*args)
    mode = _pop_mode()  # type: ignore[no-untyped-call]
    try:
        return run(*args)
    finally:
        _push_mode(mode)  # type: ignore[no-untyped-call]
