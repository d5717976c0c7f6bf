"""keras.Model as a Model, on whichever engine Keras runs. Channels-first arrays are transposed only here."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from ..arrays import Array
from ..errors import BadInput, Unmet
from ..model import Layer, Model, Pass
from ..preprocess import InputSpec, read_preprocess
from ._engines import NAMES, array, device_of, differentiate, unchanged
from ._keras_layers import channel_axes, described, direct, kind_of, weights_of
from ._keras_opaque import Opaque
from ._keras_taps import Graph, Taps, graph_of

_SIDE = 224  #: Where a model takes any size and nobody says one.
_COLOURS = (1, 3, 4)


class KerasModel(Model):
    """Any Keras 3 model that takes one batch of pictures: functional, sequential, nested, or subclassed.

    Its layers are found by one pass over a grey picture. A subclassed model gives scores and input
    gradients; it has no graph, so nothing inside it can be read.
    """

    def __init__(
        self,
        native: Any,
        *,
        preprocess: object = None,
        classes: Sequence[str] | None = None,
        name: str | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        engine = keras.config.backend()
        if engine not in NAMES:
            raise Unmet(f"Keras runs on {engine} here; cnnlens knows it on {', '.join(NAMES)} (set KERAS_BACKEND)")
        self.native = native
        graph = graph_of(native)
        self._given = _given_shape(native, graph)
        self._axis = _channel_axis(self._given, graph)
        self._body: Graph | Opaque = Opaque(native) if graph is None else Graph(graph)
        spec = self._read_input(preprocess)
        self._axes: dict[str, int] = {"input": self._axis}
        self._layers, scores = self._survey(spec)
        head = self._body.head
        single = scores.ndim == 2 and scores.shape[1] == 1
        super().__init__(
            name=name or native.name,
            framework=f"keras/{engine}",
            input=spec,
            classes=classes,
            activation=head.kind if head else ("sigmoid" if single else "softmax"),
            device=device_of(native),
            cannot={} if graph else dict.fromkeys(("activations", "replace"), _NO_GRAPH.format(native.name)),
            facts=facts,
        )
