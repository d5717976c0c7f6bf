"""Leave a PyTorch module as it was: train flags, requires_grad, buffers, random numbers; also on error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def frozen_in_eval(module: nn.Module, device: torch.device) -> Iterator[None]:
    """The module in eval mode with frozen parameters, for as long as the context lasts.

    Flags are set one by one: `train()` and `eval()` may be overridden and do more than that.
    """
    parts = parts_of(module)
    training = [part for part in parts if part.training]
    own = [p for part in parts for p in part._parameters.values() if p is not None]
    wanting = [p for p in own if p.requires_grad]  # one that two modules share stands here twice, and may
    devices = [device] if device.type == "cuda" else []
    with torch.inference_mode(False), torch.random.fork_rng(devices), _copied_buffers(parts):
        try:
            for part in training:
                part.training = False
            for parameter in wanting:
                parameter.requires_grad_(False)
            yield
        finally:
            for part in training:
                part.training = True
            for parameter in wanting:
                parameter.requires_grad_(True)


def parts_of(module: nn.Module) -> list[nn.Module]:
    """The module and all within it, each once, as they are now; `modules()` takes four times as long."""
    found: dict[nn.Module, None] = {module: None}
    left = [module]
    while left:
        for part in left.pop()._modules.values():
            if part is not None and part not in found:
                found[part] = None
                left.append(part)
    return list(found)


@contextmanager
def _copied_buffers(parts: Sequence[nn.Module]) -> Iterator[None]:
    """Copies in the place of all buffers: a forward may write to its own in eval mode too.

    Writing the old values back afterwards would not do: the graph may still need what was written.
    """
    own: list[tuple[dict[str, Tensor | None], str, Tensor]] = [
        (part._buffers, name, buffer)
        for part in parts
        for name, buffer in part._buffers.items()
        if buffer is not None
    ]
    copies: dict[int, Tensor] = {}  # a buffer that two modules share stays shared
    try:
        with torch.no_grad():
            for holder, name, buffer in own:
                copy = copies.get(id(buffer))
                if copy is None:
                    copy = copies[id(buffer)] = buffer.clone()
                holder[name] = copy
        yield
    finally:
        for holder, name, buffer in own:
            holder[name] = buffer
