"""What torch tells of its device's memory: bytes that are free, and bytes that work takes at its height."""

from __future__ import annotations

from collections.abc import Callable

import torch


def free_on(device: torch.device) -> int | None:
    """Bytes free on a CUDA device, those included that torch holds and does not use; None elsewhere."""
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def peak_on(device: torch.device, run: Callable[[], object]) -> int | None:
    """Bytes that `run` takes on a CUDA device beyond what is held there; None elsewhere."""
    if device.type != "cuda":
        return None
    torch.cuda.synchronize(device)
    held = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    run()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - held
