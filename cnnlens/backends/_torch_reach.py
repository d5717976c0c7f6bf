"""How far gradients come back through a PyTorch module, and whether its forward draws random numbers."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ._outputs import flattened

QUANTISED = "its weights are quantised, and torch takes no gradient through those"
#: With gradients these run call by call, without them as one: their layers would be others.
_FICKLE = (nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerEncoder)


def ran_with_gradients(
    root: nn.Module, fed: Tensor, run: Callable[[Tensor, bool], Any]
) -> tuple[Any, str | None]:
    """What `run(fed, differentiable)` returns, and why no gradient leads back to the picture, if none does.

    With gradients where they change nothing else: then the one pass tells both. A network that torch forbids to
    run with them, or that takes another way with them, is run without, and the latter once more to see.
    """
    if any(isinstance(part, _FICKLE) for part in root.modules()):
        output = run(fed, False)
        try:
            with torch.enable_grad():
                return output, _why_dead(root(_begun(fed)), root)
        except Exception as error:  # torch's own, or the user's code
            return output, _forbids(error)
    try:
        output = run(_begun(fed), True)
    except Exception as error:
        return run(fed, False), _forbids(error)  # raises the same where gradients are not to blame
    return output, _why_dead(output, root)


def _begun(fed: Tensor) -> Tensor:
    """The same with a graph that begins there; not the leaf itself, which nobody may write into."""
    return fed.detach().requires_grad_().clone()


def _why_dead(output: Any, root: nn.Module) -> str | None:
    """Why nothing of what was returned hangs on what was fed; None where something does, or nothing came."""
    if any("quantized" in type(part).__module__ for part in root.modules()):
        return QUANTISED
    found = [t for t in flattened(output, lambda value: isinstance(value, Tensor)).values() if t.numel()]
    if not found or any(t.requires_grad for t in found):
        return None
    return "its forward detaches what it computes, or runs under no_grad"


def _forbids(error: Exception) -> str:
    text = str(error).partition("\n")[0] or type(error).__name__
    return f"its forward cannot run with gradients ({text})"


def random_states(device: torch.device) -> list[Any]:
    """What random numbers hang on: of torch, NumPy and Python; it changes when some are drawn."""
    drawn = np.random.get_state(legacy=False)["state"].items()
    states = [torch.get_rng_state().numpy().tobytes(), random.getstate()]
    states += [(name, np.asarray(values).tobytes()) for name, values in drawn]
    return states + ([torch.cuda.get_rng_state(device).numpy().tobytes()] if device.type == "cuda" else [])
