"""A picture in regions: superpixels that keep to its edges, or a plain grid; and numbers painted on them."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cnnlens import Array

from .borrowing import borrowed

Cut = Literal["slic", "quickshift", "grid"]
Labels = NDArray[np.intp]


def regions_of(pixels: Array, cut: Cut, count: int) -> Labels:
    """The number of its region for each pixel, (h, w), from 0; about `count` regions of picture (h, w, c).

    "slic" (Achanta et al., 2012) makes regions of like size and colour; "quickshift" (Vedaldi & Soatto, 2008)
    finds their number itself; "grid" is rectangles, exactly the largest square number within `count`.
    """
    height, width = pixels.shape[:2]
    if cut == "grid":
        side = max(1, int(count**0.5))
        rows, columns = (np.arange(length) * min(side, length) // length for length in (height, width))
        return np.asarray(rows[:, None] * min(side, width) + columns, np.intp)
    segment = borrowed("skimage.segmentation", "scikit-image", "a picture in superpixels")
    colour, wide = pixels.shape[-1] == 3, np.asarray(pixels, np.float64)
    if cut == "slic":
        found = segment.slic(
            wide, n_segments=min(count, height * width), compactness=20, sigma=1, start_label=0
        )
    else:  # as LIME's authors set it; the numbers that break ties are drawn alike each time
        found = segment.quickshift(wide, ratio=0.2, kernel_size=4, max_dist=200, convert2lab=colour, rng=0)
    return np.asarray(np.unique(found, return_inverse=True)[1].reshape(height, width), np.intp)


def means(pixels: Array, labels: Labels) -> Array:
    """The picture with each region in its own mean colour."""
    sizes = np.bincount(labels.ravel())
    planes = [
        (np.bincount(labels.ravel(), plane.ravel()) / sizes)[labels] for plane in np.moveaxis(pixels, -1, 0)
    ]
    return np.asarray(np.stack(planes, -1), np.float32)


def outlined(pixels: Array, labels: Labels) -> Array:
    """The picture with the borders between regions in yellow, or white where it has no colours."""
    edge = np.zeros(labels.shape, bool)
    edge[1:] |= labels[1:] != labels[:-1]
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    drawn = np.array(pixels)
    drawn[edge] = (1, 0.9, 0) if drawn.shape[-1] == 3 else 1
    return drawn
