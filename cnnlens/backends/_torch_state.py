"""Leave a PyTorch module as it was: train flags, requires_grad, buffers, random numbers; also on error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def frozen_in_eval(module: nn.Module, device: torch.device) -> Iterator[None]:
    """The module in eval mode with frozen parameters, for as long as the context lasts.

    Flags are set one by one: `train()` and `eval()` may be overridden and do more than that.
    """
    training = [part for part in module.modules() if part.training]
    wanting = [p for p in module.parameters() if p.requires_grad]
    buffers = [(b, b.detach().clone()) for b in _own_buffers(module)]
    devices = [device] if device.type == "cuda" else []
    with torch.inference_mode(False), torch.random.fork_rng(devices):
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
            with torch.no_grad():
                for buffer, before in buffers:
                    buffer.copy_(before)


def _own_buffers(module: nn.Module) -> list[torch.Tensor]:
    """Buffers of modules that are not torch's: only those might write to them in eval mode."""
    strangers = (m for m in module.modules() if not type(m).__module__.startswith("torch.nn"))
    return [b for m in strangers for b in m.buffers(recurse=False)]
