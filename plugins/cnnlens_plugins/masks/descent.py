"""A smooth mask of a given area, found by descent along the gradient of what is seen through it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cnnlens import Array

from .grids import Wide, gaussian


def descended(
    slope: Callable[[Wide], Wide],
    to_large: tuple[Wide, Wide],
    area: float,
    steps: int,
    rate: float,
    tick: Callable[[int], None],
) -> Wide:
    """The mask (h, w) in [0, 1] after `steps` of Adam (Kingma & Ba, 2015), its low grid kept in [0, 1]."""
    down, across = to_large
    grid = np.full((down.shape[1], across.shape[1]), 0.5)
    mean, square = np.zeros((2, *grid.shape))
    for step in range(1, steps + 1):
        mask = down @ grid @ across.T
        # Never so little that the score alone rules: then the mask would fill or empty the whole picture first,
        # and what was left of it in the end would be where ties fall and not where the score says.
        weight = 3 * 100 ** (step / steps)
        push = slope(mask) - weight * area_slope(mask, area)
        pull = -down.T @ push @ across
        mean, square = 0.9 * mean + 0.1 * pull, 0.999 * square + 0.001 * pull**2
        even = np.sqrt(square / (1 - 0.999**step))
        even += 1e-2 * even.max() + 1e-12  # a pull of nearly nothing is no full step: engines differ there
        grid = np.clip(grid - rate * (mean / (1 - 0.9**step)) / even, 0, 1)
        tick(step)
    return np.asarray(down @ grid @ across.T)


def area_slope(mask: Wide, area: float) -> Wide:
    """The derivative of the mean squared distance of the sorted mask from ones for `area` of it and zeros."""
    values, ones = mask.ravel(), round(area * mask.size)
    wanted = np.zeros(mask.size)
    wanted[np.argsort(-values, kind="stable")[:ones]] = 1
    return np.asarray(2 * (values - wanted) / mask.size).reshape(mask.shape)


def random_masks(count: int, to_large: tuple[Wide, Wide], like: Array, seed: int) -> list[Array]:
    """Smooth random masks (h, w) with the very values of `like`, in places of chance."""
    down, across = to_large
    rng, found = np.random.default_rng(seed), []
    for _ in range(count):
        rough = rng.standard_normal((4, 4))
        field = gaussian(4, len(down)) @ rough @ gaussian(4, len(across)).T
        placed = np.empty(like.size)
        placed[np.argsort(field, axis=None, kind="stable")] = np.sort(like, axis=None)
        found.append(np.asarray(placed.reshape(like.shape), np.float32))
    return found
