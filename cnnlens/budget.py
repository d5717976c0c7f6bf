"""How many pictures a model is shown at once, so that its passes stay within the bytes it may take."""

from __future__ import annotations

import itertools
import math
import time
from typing import TYPE_CHECKING

from .errors import Unmet
from .memory import MOST, Appetite, from_shapes, in_words, is_ample, measured, read_memory

if TYPE_CHECKING:
    from .model import Model

LARGEST = 32  #: of what begins at a layer, on a processor: more gain nothing
LARGER = (8, 16, 32, 64, 128, 256)  #: batches tried where a model does not run on a processor


class Budget:
    """The bytes a model's passes may take; by default half of what was free when it was first asked."""

    def __init__(self, model: Model, like: Budget | None = None) -> None:
        self._model = model
        self._asked: int | None = like._asked if like else None
        self._appetites: dict[bool, Appetite] = {}
        self._paces: dict[bool, int] = {}
        self._clock = time.perf_counter

    @property
    def bytes(self) -> int:
        """The bytes; they stay what they were when first asked for, so that batches do too."""
        if self._asked is None:
            self._asked = self._model.free_memory() // 2
        return self._asked

    @bytes.setter
    def bytes(self, asked: str | int) -> None:
        self._asked = read_memory(asked)
        self._paces.clear()
        self._appetites.clear()  # a larger one is measured by more pictures

    def batch(self, gradients: bool, most: int | None = None, at: str = "input") -> int:
        """Pictures per pass from `at` on, 1 to `most`; Unmet where one takes more than there is.

        Without `most` as many as are run fastest: on a processor `MOST` or what weighs as much, elsewhere what
        a probe finds.
        """
        if most is None:
            most = self._most_from(at) if self._model.device == "cpu" else self._pace(gradients)
        return self._fitting(gradients, most)

    def _most_from(self, layer: str) -> int:
        """So many that the largest map from there on is as large as that of `MOST` pictures."""
        sizes = [(one.name, math.prod(one.shape)) for one in self._model.layers if one.shape]
        behind = itertools.dropwhile(lambda one: one[0] != layer, sizes)
        largest = max((size for _, size in behind), default=0)
        return min(LARGEST, MOST * max(size for _, size in sizes) // largest) if largest else MOST

    def _fitting(self, gradients: bool, most: int) -> int:
        takes = self._appetites.get(gradients)
        if takes is None:
            if is_ample(self._model.layers, self._picture, self.bytes, most):
                return most
            takes = self.appetite(gradients)
        count = takes.batch(self.bytes, most)
        if not count:
            name, enough = self._model.name, in_words(takes.first * 11 // 10)
            raise Unmet(
                f"{name} takes {in_words(takes.first)} for one picture{' with gradients' if gradients else ''} "
                f"and may take {in_words(self.bytes)}: give it --memory {enough} or more, "
                "or a smaller picture by --preprocess"
            )
        return count

    def _pace(self, gradients: bool) -> int:
        """The batch from which on a larger one saves less than a tenth of the time per picture, found once."""
        if gradients not in self._paces:
            best, least = MOST, math.inf
            with self._model.lock:
                for size in LARGER:
                    if self._fitting(gradients, size) < size:
                        break
                    self._model.run_grey(size, gradients)  # what is made ready for a size is not counted
                    started = self._clock()
                    self._model.run_grey(size, gradients)
                    each = (self._clock() - started) / size
                    if each > 0.9 * least:
                        break
                    best, least = size, each
            self._paces[gradients] = best
        return self._paces[gradients]

    def appetite(self, gradients: bool) -> Appetite:
        """What passes take, found once: measured where the device tells, else estimated from shapes."""
        if gradients not in self._appetites:
            with self._model.lock:
                found = measured(
                    lambda count: self._model.run_grey(count, gradients), self._model.peak_of, self.bytes
                )
            self._appetites[gradients] = found or from_shapes(self._model.layers, self._picture, gradients)
        return self._appetites[gradients]

    def leaves_room(self, pictures: int, gradients: bool) -> bool:
        """Whether twice what a pass over so many takes is no more than there is: what is kept lies in pieces.

        Where a batch was found without measuring there is ample room.
        """
        takes = self._appetites.get(gradients)
        return takes is None or 2 * (takes.first + takes.more * (pictures - 1)) <= self.bytes

    @property
    def keeps_a_pass(self) -> bool:
        """Whether twice what layers hand on for the two pictures of a record is no more than there is."""
        return 4 * from_shapes(self._model.layers, self._picture, True).first <= self.bytes

    @property
    def _picture(self) -> int:
        spec = self._model.input
        return 4 * spec.height * spec.width * spec.channels
