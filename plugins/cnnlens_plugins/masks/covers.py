"""What hides: the picture that is seen where the picture itself is not."""

from __future__ import annotations

from typing import Literal

import numpy as np
from PIL import Image, ImageFilter

from cnnlens import Array

Fill = Literal["mean", "black", "grey", "white", "blur"]
Of = Literal["score", "probability"]


def cover_of(pixels: Array, fill: Fill) -> Array:
    """The picture that hides: the same size as the picture (h, w, c)."""
    if fill == "blur":
        radius = min(pixels.shape[:2]) / 12
        planes = [
            Image.fromarray((plane * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(radius))
            for plane in np.moveaxis(pixels, -1, 0)
        ]
        return np.stack([np.asarray(plane, np.float32) / 255 for plane in planes], -1)
    plain = {"black": 0.0, "grey": 0.5, "white": 1.0}
    value = pixels.mean((0, 1)) if fill == "mean" else plain[fill]
    return np.broadcast_to(np.asarray(value, np.float32), pixels.shape)


def laid_over(pixels: Array, cover: Array, keep: Array) -> Array:
    """The picture (h, w, c) where `keep` (h, w) is 1, the cover where it is 0, and mixtures between."""
    share = np.asarray(keep, np.float32)[..., None]
    return np.asarray(share * pixels + (1 - share) * cover, np.float32)


def shown(pixels: Array) -> Array:
    """A picture of any number of channels as one that can be looked at, (h, w, 1 or 3)."""
    return np.clip(pixels if pixels.shape[-1] in (1, 3) else pixels[..., :1], 0, 1)
