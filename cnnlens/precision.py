"""The floating type that passes compute in, where it is asked for: fp32, bf16, fp16. Never by default.

A model that computes in less than its weights have is a copy beside the model: they share the network, its lock and
what is known of its layers, and nothing that was measured.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from .budget import Budget
from .errors import Unmet, UsageError

if TYPE_CHECKING:
    from .model import Model

#: What may be asked for, short and long.
NAMES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


def read_precision(asked: object) -> str:
    """`bf16`, `bfloat16`, `torch.bfloat16` → `bfloat16`; UsageError for anything else."""
    text = str(asked).strip().lower().removeprefix("torch.")
    name = NAMES.get(text, text)
    if name not in NAMES.values():
        raise UsageError(
            f"precision is one of {', '.join(f'{short} ({long})' for short, long in NAMES.items())}, not {asked!r}; "
            "left out, the model computes in what its weights are"
        )
    return name


def computing_in(model: Model, precision: str) -> Model:
    """The model with its passes in that precision: itself where they are; see `Model.computing_in`."""
    if precision == model.precision:
        return model
    own = model.weights_in or model.precision
    other = copy.copy(model)
    other.precision, other.weights_in = precision, own
    other._budget = Budget(other, model._budget)
    other.cannot = dict(model.cannot)
    other.facts = {name: told for name, told in model.facts.items() if name != "precision"}
    if precision != own:
        other.facts["precision"] = precision
        if reason := other.why_not_lowered():
            raise Unmet(f"{model.name} cannot compute in {precision}: {reason}")
    return other
