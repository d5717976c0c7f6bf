"""What stands where a picture does not: one colour, its own mean, or the picture blurred."""

from __future__ import annotations

from typing import Literal

import numpy as np
from PIL import Image, ImageFilter

from ..arrays import Array

Cover = Literal["mean", "black", "grey", "white", "blur"]


def cover_of(pixels: Array, kind: Cover) -> Array:
    """A picture (h, w, c) in [0, 1] of the size of `pixels`; "blur" is Gaussian, σ a twelfth of the shorter side."""
    if kind == "blur":
        blur = ImageFilter.GaussianBlur(min(pixels.shape[:2]) / 12)
        planes = [Image.fromarray((plane * 255).astype(np.uint8)) for plane in np.moveaxis(pixels, -1, 0)]
        return np.stack([np.asarray(plane.filter(blur), np.float32) / 255 for plane in planes], -1)
    value = pixels.mean((0, 1)) if kind == "mean" else {"black": 0.0, "grey": 0.5, "white": 1.0}[kind]
    return np.broadcast_to(np.asarray(value, np.float32), pixels.shape)
