"""Pictures without the thing: where paths begin."""

from __future__ import annotations

from typing import Literal

import numpy as np

from cnnlens import Array

Plain = Literal["black", "white", "mean", "blur", "noise"]
Generator = np.random.Generator


def baseline_of(pixels: Array, kind: Plain, rng: Generator) -> Array:
    """A picture (h, w, c) in [0, 1] of the picture's shape; `rng` is drawn from for `noise` alone.

    `mean` is the picture's mean colour, `blur` the picture blurred over a tenth of its shorter side, `noise`
    uniform in [0, 1], each channel of each pixel for itself.
    """
    match kind:
        case "black":
            return np.zeros_like(pixels)
        case "white":
            return np.ones_like(pixels)
        case "mean":
            return np.broadcast_to(pixels.mean((0, 1), dtype=np.float64).astype(np.float32), pixels.shape)
        case "blur":
            return blurred(pixels, min(pixels.shape[:2]) / 10)
        case "noise":
            return rng.random(pixels.shape, np.float32)


def blurred(pixels: Array, sigma: float) -> Array:
    """Gaussian blur; at the edges the mean is of what there is."""
    rows, columns = (_gaussian(side, sigma) for side in pixels.shape[:2])
    return np.asarray(np.einsum("yv,vuc,xu->yxc", rows, pixels, columns, optimize=True), np.float32)


def _gaussian(side: int, sigma: float) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """A matrix (side, side) each row of which weighs the places around its own; rows add up to one."""
    at = np.arange(side)
    weights = np.exp(-0.5 * ((at[:, None] - at) / sigma) ** 2)
    return np.asarray(weights / weights.sum(1, keepdims=True))


def drawer(seed: int, number: int) -> Generator:
    """The random numbers of one sample: the same whatever was drawn before it, and in whatever batch.

    The last number keeps them apart from `default_rng(seed)`, with which a picture may have been drawn.
    """
    return np.random.default_rng([seed, number, 1])
