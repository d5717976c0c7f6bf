"""Fit a picture to a size: cut, squash or pad it, and give it the channels that are read."""

from __future__ import annotations

from typing import Literal

import numpy as np
from PIL import Image as PILImage

from ..arrays import Array
from ..errors import BadInput

Resize = Literal["crop", "squash", "pad"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]


def with_channels(pixels: Array, channels: int) -> Array:
    """Grey → every channel the same, colours → grey by their luma; BadInput for any other change."""
    found = pixels.shape[-1]
    if found == channels:
        return pixels
    if found == 1:
        return np.repeat(pixels, channels, -1)
    if found == 3 and channels == 1:  # ITU-R 601, what Pillow and most training pipelines use
        return (pixels @ np.asarray([[0.299], [0.587], [0.114]], np.float32)).astype(np.float32)
    hint = ""
    if found == 4 and channels in (1, 3):
        hint = "; if the fourth is transparency, hand over array[..., :3], or the picture's file"
    elif found == 2 and channels in (1, 3):
        hint = "; if the second is transparency, hand over array[..., :1]"
    raise BadInput(f"the picture has {found} channels and the model reads {channels}{hint}")


def resized(
    pixels: Array, size: tuple[int, int], rule: Resize, crop_share: float, interpolation: Interpolation
) -> Array:
    """A picture (H, W, C) → (*size, C) by the rule of an InputSpec."""
    height, width = pixels.shape[:2]
    if (height, width) == size:
        return np.ascontiguousarray(pixels, np.float32)
    ratios = (size[0] / height, size[1] / width)
    if rule == "crop":
        ratios = (max(ratios) / crop_share,) * 2
    elif rule == "squash":
        ratios = (ratios[0] / crop_share, ratios[1] / crop_share)
    else:
        ratios = (min(ratios),) * 2
    # the longer side is rounded down, as torchvision's Resize does; the hair is for ratios like 256/300
    inner = (max(1, int(height * ratios[0] + 1e-6)), max(1, int(width * ratios[1] + 1e-6)))
    return _padded(_scaled(pixels, inner, size, interpolation), *size)


def _scaled(
    pixels: Array, inner: tuple[int, int], wanted: tuple[int, int], interpolation: Interpolation
) -> Array:
    """Resized to `inner` channel by channel in floating point, smoothed where it shrinks, and cut to `wanted`.

    Only what the cut leaves is computed: a line of 1×10000 pixels would grow to a picture of gigabytes.
    """
    how = PILImage.Resampling[interpolation.upper()]
    (top, rows), (left, columns) = (_kept(a, b) for a, b in zip(inner, wanted, strict=True))
    high, wide = (
        pixels.shape[0] / inner[0],
        pixels.shape[1] / inner[1],
    )
    bottom, right = (top + rows) * high, (left + columns) * wide
    box = (left * wide, top * high, min(right, pixels.shape[1]), min(bottom, pixels.shape[0]))
    planes = [
        PILImage.fromarray(np.ascontiguousarray(pixels[..., c])).resize((columns, rows), how, box)
        for c in range(pixels.shape[-1])
    ]
    scaled = np.stack([np.asarray(p, np.float32) for p in planes], -1)
    return np.clip(scaled, 0, 1)  # bicubic and Lanczos overshoot at edges


def _kept(inner: int, wanted: int) -> tuple[int, int]:
    """Where the middle begins and how long it is."""
    spare = max(inner - wanted, 0)
    return round(spare / 2), inner - spare


def _padded(pixels: Array, height: int, width: int) -> Array:
    """Black about the middle, as much as is missing."""
    spares = (height - pixels.shape[0], width - pixels.shape[1])
    pads = [(spare // 2, spare - spare // 2) for spare in spares]
    return np.ascontiguousarray(np.pad(pixels, [*pads, (0, 0)]) if any(spares) else pixels, np.float32)
