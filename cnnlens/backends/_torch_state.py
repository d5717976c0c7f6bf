"""Leave a PyTorch module as it was: train flags, requires_grad, buffers, random numbers; also on error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def frozen_in_eval(module: nn.Module, device: torch.device) -> Iterator[None]:
    """The module in eval mode with frozen parameters, for as long as the context lasts.

    Flags are set one by one: `train()` and `eval()` may be overridden and do more than that.
    """
    training = [part for part in module.modules() if part.training]
    wanting = [p for p in module.parameters() if p.requires_grad]
    devices = [device] if device.type == "cuda" else []
    with torch.inference_mode(False), torch.random.fork_rng(devices), _copied_buffers(module):
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


@contextmanager
def _copied_buffers(module: nn.Module) -> Iterator[None]:
    """Copies in the place of all buffers: a forward may write to its own in eval mode too.

    Writing the old values back afterwards would not do: the graph may still need what was written.
    """
    own: list[tuple[nn.Module, str, Tensor]] = [
        (part, name, buffer)
        for part in module.modules()
        for name, buffer in part._buffers.items()
        if buffer is not None
    ]
    copies: dict[int, Tensor] = {}  # a buffer that two modules share stays shared
    try:
        with torch.no_grad():
            for part, name, buffer in own:
                copy = copies.setdefault(id(buffer), buffer.detach().clone())
                part._buffers[name] = copy
        yield
    finally:
        for part, name, buffer in own:
            part._buffers[name] = buffer
