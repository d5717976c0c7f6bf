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
    buffers = [(b, b._version, b.detach().clone()) for b in module.buffers() if not b.is_inference()]
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
                for buffer, version, before in buffers:
                    # a forward may write in eval mode too, and not every write is counted
                    if buffer._version != version or not torch.equal(buffer, before):
                        buffer.copy_(before)
