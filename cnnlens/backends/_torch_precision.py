"""Passes in a lower precision than the weights', by torch's autocast; module, weights and its state as they were."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from ..model import Model


@dataclass(frozen=True)
class Within:
    """What passes run within: nothing of ours, autocast, or with autocast off, whatever is on around them."""

    device: str = "cpu"
    precision: str | None = None
    is_lower: bool = False

    @classmethod
    def of(cls, model: Model) -> Within:
        """As the model was asked for; nothing where nobody asked."""
        if model.weights_in is None:
            return cls()
        return cls(model.device.partition(":")[0], model.precision, model.is_lowered)

    def __call__(self) -> AbstractContextManager[object]:
        """Around a pass. No cast weights are kept, not even until a pass is over."""
        if self.precision is None:
            return nullcontext()
        dtype = getattr(torch, self.precision) if self.is_lower else None
        return torch.autocast(self.device, dtype, enabled=self.is_lower, cache_enabled=False)

    def in_full(self) -> AbstractContextManager[object]:
        """Around what stays in full precision, whatever was asked for passes."""
        return torch.autocast(self.device, enabled=False) if self.is_lower else nullcontext()


def why_not_lowered(model: Model) -> str | None:
    """Why torch does not run the model's passes under autocast, tried on a grey picture and back; None if it does."""
    if model.weights_in != "float32":
        return (
            f"its weights are {model.weights_in} and it computes in them; only from float32 is there a way down: "
            "leave the precision out, or cast a copy of the model to float32 first"
        )
    within = Within.of(model)
    would = f"leave the precision out, or ask for another; on {within.device} bf16 is the likeliest to run"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # torch would only warn, and go on in full
            context = within()
        with context:
            if not torch.is_autocast_enabled(within.device):
                return f"this torch has no autocast for it on {within.device}: {would}"
        model.run_grey(1, not model.cannot.get("gradients") and not model.unreached("input"))
    except Exception as error:  # torch's own, or the user's code
        told = str(error).partition("\n")[0] or type(error).__name__
        return f"torch does not run it so on {within.device} ({told}): {would}"
    return None
