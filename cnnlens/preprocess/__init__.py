"""What a model expects to be fed, as one object: what it says, how it is read, and the arithmetic."""

from __future__ import annotations

from .fitting import Interpolation, Resize
from .presets import PRESETS, of_keras_family
from .readers import KEYS, from_hf, from_timm, from_torchvision, read_preprocess
from .spec import InputSpec, Order

__all__ = [
    "KEYS", "PRESETS", "InputSpec", "Interpolation", "Order", "Resize", "from_hf", "from_timm", "from_torchvision",
    "of_keras_family", "read_preprocess",
]  # fmt: skip
