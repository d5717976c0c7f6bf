"""Pass and Trace: what running a model gives, to a backend and to those who ask; and pictures with parts hidden."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from .arrays import Array

T = TypeVar("T")
Box = tuple[int, int, int, int]
Fill = Array | Sequence[float] | float


@dataclass(frozen=True)
class Trace:
    """What one pass showed: scores (n, classes), activations and gradients by layer name, each (n, …).

    An output with one score for each class at each place has scores (n, h, w, classes).
    """

    scores: Array
    activations: Mapping[str, Array]
    gradients: Mapping[str, Array]

    def of_first(self, count: int) -> Trace:
        """The same of the first pictures alone."""
        cut = ({name: a[:count] for name, a in held.items()} for held in (self.activations, self.gradients))
        return Trace(self.scores[:count], *cut)


@dataclass(frozen=True)
class Pass:
    """A finished forward pass that can still be pulled on; backends return it, `Model.trace` uses it.

    `pull(cotangents, names)` takes the derivative of the target by the scores (key "scores") and by
    activations (keyed by name) and returns the gradient at each of `names` ("input": by what was fed).
    """

    scores: Array
    activations: Mapping[str, Array]
    pull: Callable[[Mapping[str, Array], Sequence[str]], Mapping[str, Array]]


class Replay(Protocol):
    """A recorded pass that runs again at less cost than the model's own; see `Model.replay`."""

    def forward(
        self, values: Array, watch: Sequence[str], differentiable: bool, *, to_end: bool = True
    ) -> Pass:
        """The pass over other pictures (n, h, w, c), preprocessed; or over other values (n, …) at its layer.

        Not `to_end` it goes no further than what is watched, and its scores are none: (n, 0).
        """

    def hide(self, cover: Array, boxes: Sequence[Box], pause: Callable[[], object] | None = None) -> Array:
        """The scores (n, classes) of its picture with each of the boxes, all of one size, showing `cover`.

        `pause` is called between layers, where work may be stopped by what it raises.
        """


def hidden(image: Array, boxes: Sequence[Box], fill: Fill) -> Array:
    """The picture (h, w, c) once for each box, that box covered by `fill`: (n, h, w, c)."""
    cover = np.broadcast_to(np.asarray(fill, np.float32), image.shape)
    pictures = np.repeat(np.asarray(image, np.float32)[None], len(boxes), 0)
    for picture, (y0, x0, y1, x1) in zip(pictures, boxes, strict=True):
        picture[y0:y1, x0:x1] = cover[y0:y1, x0:x1]
    return pictures


def batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """`items` in runs of `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
