"""A picture as cnnlens holds it, and the limits on what may become one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from ..arrays import Array

#: Pillow knows some forty formats; each parser is a door, so only these are open.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
MAX_BYTES = 32 * 2**20
MAX_PIXELS = 50_000_000
#: A file of more pixels is shrunk by a whole number before it becomes floats, which are twelve bytes a pixel.
FULL_PIXELS = 12_500_000


@dataclass(frozen=True)
class Image:
    """A picture: pixels (H, W, C) in [0, 1], its name, a SHA-256 of them, and notes on how it was read."""

    pixels: Array
    name: str
    digest: str
    notes: tuple[str, ...] = ()


def image_of(pixels: Array, name: str, notes: list[str]) -> Image:
    """The picture of pixels that nobody else holds; nobody can write to them from here on."""
    pixels = np.ascontiguousarray(pixels, np.float32)
    pixels.flags.writeable = False
    return Image(pixels, name, digest(pixels), tuple(notes))


def digest(pixels: Array) -> str:
    """SHA-256 of the pixels and their shape: the same picture, the same digest, whatever file it was in."""
    found = hashlib.sha256(f"{pixels.shape}".encode())
    found.update(np.ascontiguousarray(pixels, np.float32).data)
    return found.hexdigest()
