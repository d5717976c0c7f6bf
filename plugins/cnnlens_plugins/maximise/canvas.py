"""A canvas: numbers whose every step moves the whole picture, and the picture that they are.

Olah, Mordvintsev & Schubert (2017): not pixels are moved but the amplitudes of waves, low ones further than high ones,
in colours that do not go together in photographs. That changes the way that is climbed, never what can be reached.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

#: The square root of the correlation of red, green and blue over ImageNet's pixels, by singular values, as published in
#: Lucid (tensorflow/lucid, lucid/optvis/param/color.py: `color_correlation_svd_sqrt`): brightness, then two contrasts.
COLOURS = np.asarray([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])

POWER, FINEST = 1.4, 0.35  #: of frequency, in waves a pixel; those of 0.35 count a third of what they would
LEVEL = 0.3  #: how much the mean of all counts: or pictures get all dark or all bright first

Numbers = np.ndarray[Any, np.dtype[Any]]


class Canvas:
    """Pictures (n, channels, h, w) in [0, 1] as spectra (n, channels, h, w // 2 + 1), complex.

    A wave counts the less, the finer it is (`_strengths`); three channels are mixed by `COLOURS`, others stay apart; a
    sigmoid ends it. `dtype` is the pictures' floating type.
    """

    def __init__(self, height: int, width: int, channels: int, dtype: Any = np.float32) -> None:
        self.size, self.dtype = (height, width), np.dtype(dtype)
        across = np.fft.rfftfreq(width)
        self._weight = _strengths(height, width).astype(dtype)
        twice = np.where((across == 0) | (across == 0.5), 1, 2)  # a real picture has these waves both ways
        self._back = (self._weight * twice).astype(dtype)
        mixing = COLOURS / np.linalg.norm(COLOURS, axis=0).max() if channels == 3 else np.eye(channels)
        self._mixing = mixing.astype(dtype)
        self._shape = (channels, *self._weight.shape)

    def noise(self, seed: int, numbers: Sequence[int], strength: float = 0.01, again: int = 0) -> Numbers:
        """Spectra to begin with, or to begin `again` with, one for each of the numbers; whatever others there are."""
        kind = np.result_type(self.dtype, np.complex64)
        drawn = [np.random.default_rng((seed, n, again)).standard_normal((*self._shape, 2)) for n in numbers]
        return np.stack([strength * (d[..., 0] + 1j * d[..., 1]) for d in drawn]).astype(kind)

    def pictures(self, spectra: Numbers) -> Numbers:
        """The pictures (n, channels, h, w) that spectra are."""
        waves = np.fft.irfft2(spectra * self._weight, s=self.size, norm="ortho")
        return np.asarray(
            0.5 + 0.5 * np.tanh(0.5 * self._mixed(waves, self._mixing))
        )  # a sigmoid that overflows nowhere

    def pull(self, gradients: Numbers, pictures: Numbers) -> Numbers:
        """A gradient by the pictures → that by the spectra: by real parts, and by imaginary ones as imaginary parts."""
        slopes = self._mixed(gradients * (pictures * (1 - pictures)), self._mixing.T)
        return np.asarray(np.fft.rfft2(slopes, norm="ortho") * self._back)

    @staticmethod
    def _mixed(values: Numbers, mixing: Numbers) -> Numbers:
        flat = values.reshape(*values.shape[:2], -1)
        return np.asarray((mixing @ flat).reshape(values.shape))


def _strengths(height: int, width: int) -> Numbers:
    """How much each wave counts, (h, w // 2 + 1): less with its frequency f, to the power 1.4, and less where fine.

    Lucid has f to the power 1 and no more. With that, channels of the last layers drown in a fine pattern that the
    network reacts to and nobody can see anything in.
    """
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    bounded = np.maximum(frequency, 1 / max(height, width))
    strengths = bounded**-POWER * np.exp(-((frequency / FINEST) ** 2))
    strengths[0, 0] *= LEVEL
    return np.asarray(
        strengths * (1 / bounded).sum() / strengths.sum() / 6
    )  # together as much as Lucid's, and calmer
