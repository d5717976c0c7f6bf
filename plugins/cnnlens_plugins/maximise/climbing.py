"""The climb: spectra moved step by step along the gradient of what their pictures are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cnnlens import Array, interpolation

from .canvas import Canvas, Numbers
from .shaking import Shake, shake

FAINT = 0.01  #: the strength of the noise: nearly grey
AGAIN = 40  #: how often it is begun again from other noise, 1.2 times as strong each time

#: Pictures (n, h, w, c) in [0, 1] → values (n,) and gradients (n, h, w, c).
Slope = Callable[[Array], tuple[Array, Array]]


@dataclass(frozen=True)
class Way:
    """From spectra to what the model is shown and back: canvas, shake, and an enlargement where the model needs one."""

    canvas: Canvas
    size: tuple[int, int]

    def show(self, spectra: Numbers, seen: Shake | None) -> tuple[Numbers, Array]:
        """The pictures (n, c, h, w), and what the model is shown of them (n, height, width, c)."""
        pictures = self.canvas.pictures(spectra)
        shown = pictures if seen is None else seen.see(pictures)
        if self.size != self.canvas.size:
            down, across = self._enlarging()
            shown = down @ shown @ across.T
        return pictures, np.moveaxis(shown, 1, -1)

    def pull(self, gradients: Array, pictures: Numbers, seen: Shake | None) -> Numbers:
        """A gradient by what was shown → that by the spectra."""
        pulled = np.moveaxis(gradients, -1, 1)
        if self.size != self.canvas.size:
            down, across = self._enlarging()
            pulled = down.T @ pulled @ across
        return self.canvas.pull(pulled if seen is None else seen.pull(pulled), pictures)

    def _enlarging(self) -> tuple[Numbers, Numbers]:
        kind = self.canvas.dtype
        down, across = (interpolation(a, b) for a, b in zip(self.canvas.size, self.size, strict=True))
        return down.astype(kind), across.astype(kind)


@dataclass(frozen=True)
class Climbed:
    """Pictures (n, h, w, c) in [0, 1] with their values at the start and at the end (n,), unshaken; and (steps, n) on
    the way, shaken."""

    pictures: Array
    start: Array
    end: Array
    values: Array


def joined(rounds: Sequence[Climbed]) -> Climbed:
    """Several climbs as one."""
    pictures, start, end = (
        np.concatenate([getattr(one, name) for one in rounds]) for name in ("pictures", "start", "end")
    )
    return Climbed(pictures, start, end, np.concatenate([one.values for one in rounds], 1))


def climbed(
    slope: Slope,
    way: Way,
    noise: Callable[[float, int], Numbers],
    steps: int,
    rate: float,
    strength: float,
    rng: np.random.Generator,
    tick: Callable[[int], None],
) -> Climbed:
    """`steps` of Adam (Kingma & Ba, 2015) upwards from noise, each under another shake; all pictures under the same.

    Adam does not ask how large a gradient is, so that every layer is climbed with one rate. Where nothing answers
    yet, there is no way up: it is begun again from other noise, a little stronger. `noise(strength, again)` gives it.
    """
    spectra = noise(FAINT, 0)
    begun = spectra
    mean, square, values = np.zeros_like(_parts(spectra)), np.zeros_like(_parts(spectra)), []
    answered = np.zeros(len(spectra), bool)
    for step in range(1, steps + 1):
        seen = shake(rng, way.canvas.size, strength, way.canvas.dtype) if strength else None
        pictures, shown = way.show(spectra, seen)
        found, gradients = slope(shown)
        values.append(found)
        answered |= gradients.reshape(len(gradients), -1).any(1)
        pull = _parts(way.pull(gradients, pictures, seen))
        mean += 0.1 * (pull - mean)
        square += 0.001 * (pull * pull - square)
        even = np.sqrt(square)
        # a pull of nearly nothing is no full step: engines differ there
        even += 1e-4 * even.max((1, 2, 3), keepdims=True) + 1e-12
        move = mean / even
        move *= rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        spectra = spectra + move.view(spectra.dtype)
        if not answered.all() and step <= AGAIN:
            spectra[~answered] = noise(FAINT * 1.2**step, step)[~answered]
            begun = np.where(answered[:, None, None, None], begun, spectra)
        tick(step)
    start = slope(way.show(begun, None)[1])[0]
    pictures, shown = way.show(spectra, None)
    return Climbed(np.moveaxis(pictures, 1, -1), start, slope(shown)[0], np.asarray(values))


def _parts(spectra: Numbers) -> Numbers:
    """Real and imaginary parts side by side: (…, w) → (…, 2 w)."""
    return np.ascontiguousarray(spectra).view(spectra.real.dtype)
