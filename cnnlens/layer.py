"""Layer: one call of one layer, as every backend describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: What a layer can be. `block` is a part of the model that holds other layers.
KINDS = (
    "convolution", "dense", "pooling", "normalisation", "activation", "add", "multiply", "concat",
    "dropout", "reshape", "resize", "attention", "block", "other",
)  # fmt: skip


@dataclass(frozen=True)
class Layer:
    """One call of one layer: where it stands, what it is, what it hands on.

    `shape` is its output without the batch, channels last; () where it is not one array. `kind` is one of
    `KINDS`, `type` the framework's own name for it. `hyper` holds kernel, stride, padding, dilation and
    groups where they apply. `inputs` names the layers it reads, as far as the graph is known.
    """

    name: str
    kind: str
    type: str
    shape: tuple[int, ...]
    parameters: int = 0
    hyper: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()

    @property
    def has_maps(self) -> bool:
        """Whether its output is a stack of maps with more than one place each."""
        return len(self.shape) == 3 and self.shape[0] * self.shape[1] > 1

    @property
    def has_kernels(self) -> bool:
        """Whether it holds kernels: a convolution or a dense layer with weights of its own."""
        return self.kind in ("convolution", "dense") and self.parameters > 0
