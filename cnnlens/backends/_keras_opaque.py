"""A Keras model whose own call() decides what runs: it is fed and read as a whole."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from ..errors import Unmet
from ..outputs import is_output
from ._keras_heads import Head, close
from ._keras_outputs import Returned
from ._keras_taps import Taps


class Opaque:
    """A subclassed model: what it returns and input gradients, nothing of its inside."""

    names = ()
    last = None

    def __init__(self, model: Any, asked: str | None = None) -> None:
        self.model, self._asked = model, asked
        self.outputs: dict[str, str | None] = {}  # known when it has run
        self.score_path = ""
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

    def find_head(self, fed: Any, seen: dict[str, Any]) -> None:
        """Find a part whose softmax or sigmoid is the model's very output; a pass over `fed` for each.

        What the model returns is not known before it has run: it is put with what was `seen`.
        """
        returned = self._called(fed)
        self.outputs, self.score_path = dict.fromkeys(returned.tensors), returned.scores
        seen |= returned.named
        output = returned.tensors[returned.scores]
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
        heard: list[Any] = []
        with ExitStack() as undo:
            if self.head is not None:
                heard = undo.enter_context(self.head.listened())
            returned = self._called(fed)
        for name in filter(is_output, taps.watch):
            taps.at(name, returned.at(name))
        if self.head is None:
            return returned.tensors[returned.scores]
        if not heard:
            raise Unmet(f"{self.model.name} did not call {self.head.name!r}: its path depends on its input")
        return heard[-1]

    def _called(self, fed: Any) -> Returned:
        return Returned(self.model(fed, training=False), self._asked, self.model.name)
