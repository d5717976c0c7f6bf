"""A Keras model whose own call() decides what runs: there is no graph to read, it is fed and read as a whole."""

from __future__ import annotations

from typing import Any

import keras

from ..errors import Unmet
from ._keras_heads import Head, close, pick_output
from ._keras_taps import Taps


class Opaque:
    """A subclassed model: scores and input gradients, nothing of its inside."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.head: Head | None = None

    def find_head(self, fed: Any) -> None:
        """Find a part whose softmax or sigmoid is the model's very output, by one more pass over `fed` each."""
        output = self._called(fed)
        for part in self.model._flatten_layers(include_self=False):
            head = Head.of(part.name, part)
            if head is None or not head.fused:
                continue
            with head.listened() as heard:
                self._called(fed)
            if len(heard) == 1 and close(head.finish(heard[0]), output):
                self.head = head
                return

    def run(self, fed: Any, taps: Taps) -> Any:
        """The scores of what is fed: what goes into the last activation, if there is one."""
        fed = taps.at("input", fed)
        if self.head is None:
            return self._called(fed)
        with self.head.listened() as heard:
            self._called(fed)
        if not heard:
            raise Unmet(f"{self.model.name} did not call {self.head.name!r} for this picture: its path depends on its input")
        return heard[-1]

    def _called(self, fed: Any) -> Any:
        output = self.model(fed, training=False)
        scores = pick_output(output)
        if scores is None or not keras.ops.is_tensor(scores):
            raise Unmet(f"{self.model.name} returns a {type(output).__name__}: no tensor of scores was found in it")
        return scores
