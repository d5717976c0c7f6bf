"""A Keras model whose own call() decides what runs: it is fed and read as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from ..errors import Unmet
from ._keras_heads import Head, close, no_scores, pick_output
from ._keras_taps import Taps


class Opaque:
    """A subclassed model: scores and input gradients, nothing of its inside."""

    names = ()
    last = None

    def __init__(self, model: Any) -> None:
        self.model = model
        self.head: Head | None = None
        reason = (
            "its own call() decides what runs, so Keras has no graph of it; "
            "build it with the functional API, keras.Model(inputs, outputs), to see inside"
        )
        self.cannot = dict.fromkeys(("activations", "replace", "tape"), reason)

    @property
    def operations(self) -> list[Any]:
        """The layers that it holds itself, in the order in which they were made."""
        return list(self.model.layers)

    def operation(self, name: str) -> Any:
        """The layer of that name."""
        return self.model.get_layer(name)

    def find_head(self, fed: Any, seen: Mapping[str, Any]) -> None:
        """Find a part whose softmax or sigmoid is the model's very output; a pass over `fed` for each."""
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
            raise Unmet(f"{self.model.name} did not call {self.head.name!r}: its path depends on its input")
        return heard[-1]

    def _called(self, fed: Any) -> Any:
        output = self.model(fed, training=False)
        scores = pick_output(output)
        if scores is None or not keras.ops.is_tensor(scores):
            raise no_scores(self.model.name, output)
        return scores
