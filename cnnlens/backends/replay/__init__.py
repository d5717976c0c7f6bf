"""A recorded PyTorch pass, run again: over other pictures, from a layer on, or only where a hidden box can reach.

What ran is known function by function from the recorder, so it can be run again without what a pass through
modules costs, and less of it: batch norms folded into the convolutions before them, arrays laid out as the
processor likes them, nothing but what a changed value can change. It is recorded anew for every piece of work,
from the model as it is at that moment, and held to a pass of the model itself before it is used.
"""

from __future__ import annotations

from torch import nn

#: What a pass with torch's own hooks on gradients does, a replay would not do.
_HOOKS = ("_backward_hooks", "_backward_pre_hooks")


def cannot_replay(module: nn.Module) -> str | None:
    """Why a module's passes cannot be replayed, as far as that is seen without one; None where nothing is."""
    for name, part in module.named_modules():
        if any(getattr(part, hooks, None) for hooks in _HOOKS):
            return f"{name or 'it'} has hooks on gradients"
    return None
