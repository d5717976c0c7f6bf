"""Values taken apart: one map, one value of it, what it was made of, and what it sees of the picture."""

from __future__ import annotations

from cnnlens import hookimpl

from .activation import activation
from .convolution import convolution
from .dense import dense
from .pixels import pixels
from .pooling import pooling
from .receptive_field import receptive_field
from .unit import unit

__all__ = ["activation", "convolution", "dense", "pixels", "pooling", "receptive_field", "unit"]


@hookimpl
def cnnlens_visualisers() -> list[object]:
    """What this plugin brings."""
    return [pixels, convolution, pooling, activation, dense, receptive_field, unit]
