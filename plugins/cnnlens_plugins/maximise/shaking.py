"""A picture shifted, scaled and turned a little before each step, and how gradients come back from there.

What answers only at this very place, size and angle is no feature but a trick: Olah, Mordvintsev & Schubert (2017).
Beyond its border the canvas begins anew: it is made of waves, and those have no border.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Numbers = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Shake:
    """Where each place of what is seen is read on the canvas: four corners (4, places) and their shares (4, places)."""

    corners: np.ndarray[Any, np.dtype[np.intp]]
    shares: Numbers
    size: tuple[int, int]

    def see(self, pictures: Numbers) -> Numbers:
        """Pictures (n, channels, h, w) as they are seen, between pixels bilinearly."""
        flat = pictures.reshape(-1, self.size[0] * self.size[1])
        seen = sum(flat.take(c, axis=1) * s for c, s in zip(self.corners, self.shares, strict=True))
        return np.asarray(seen).reshape(pictures.shape)

    def pull(self, gradients: Numbers) -> Numbers:
        """A gradient by what is seen → that by the pictures."""
        flat = gradients.reshape(-1, self.corners.shape[1])
        corners, count = self.corners.ravel(), self.corners.shape[1]
        pulled = [np.bincount(corners, (row * self.shares).ravel(), count) for row in flat]
        return np.asarray(pulled, gradients.dtype).reshape(gradients.shape)


def shake(rng: np.random.Generator, size: tuple[int, int], strength: float, dtype: Any = np.float32) -> Shake:
    """A shake as Lucid's: up to 8 pixels of 224, 10 % and 10 degrees, then up to 4 pixels more; times `strength`."""
    height, width = size
    reach = strength * min(size) / 224
    before, after = rng.uniform(-8, 8, 2) * reach, rng.uniform(-4, 4, 2) * reach
    scale = 1 + strength * rng.uniform(-0.1, 0.1)
    angle = strength * np.deg2rad(rng.uniform(-10, 10)) * (rng.random() < 0.8)  # sometimes upright
    middle = (np.asarray(size) - 1) / 2
    y, x = (np.arange(side) - centre + late for side, centre, late in zip(size, middle, after, strict=True))
    sine, cosine = np.sin(angle) / scale, np.cos(angle) / scale
    rows = (cosine * y[:, None] - sine * x + middle[0] + before[0]).ravel()
    columns = (sine * y[:, None] + cosine * x + middle[1] + before[1]).ravel()
    top, left = np.floor(rows).astype(np.intp), np.floor(columns).astype(np.intp)
    down, right = (rows - top).astype(dtype), (columns - left).astype(dtype)
    tops, lefts = (top % height * width, (top + 1) % height * width), (left % width, (left + 1) % width)
    corners = np.stack([at + beside for at in tops for beside in lefts])
    shares = np.stack([a * b for a in (1 - down, down) for b in (1 - right, right)])
    return Shake(corners, shares, size)
