"""What hides: the picture that is seen where the picture itself is not."""

from __future__ import annotations

from typing import Literal

import numpy as np

from cnnlens import Array, cover_of

__all__ = ["Fill", "Of", "cover_of", "laid_over", "shown"]

Fill = Literal["mean", "black", "grey", "white", "blur"]
Of = Literal["score", "probability"]


def laid_over(pixels: Array, cover: Array, keep: Array) -> Array:
    """The picture (h, w, c) where `keep` (h, w) is 1, the cover where it is 0, and mixtures between."""
    share = np.asarray(keep, np.float32)[..., None]
    return np.asarray(share * pixels + (1 - share) * cover, np.float32)


def shown(pixels: Array) -> Array:
    """A picture of any number of channels as one that can be looked at, (h, w, 1 or 3)."""
    return np.clip(pixels if pixels.shape[-1] in (1, 3) else pixels[..., :1], 0, 1)
