"""Receptive fields: which part of the picture each place of a layer can see, whatever the weights are.

Read off a tape call by call, by the recurrence of Araujo, Norris & Sim (2019, Computing receptive fields of
convolutional neural networks): convolutions and poolings by kernel, stride, padding and dilation; sums and
concatenations by the union of what they join; all that is neither by its own derivative at a few places.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..model import Model
from ..tape import Tape
from .following import Known, Moved, followed
from .span import ReceptiveField, Span

__all__ = ["ReceptiveField", "ReceptiveFields", "Span", "receptive_fields"]


class ReceptiveFields(dict[str, ReceptiveField | None]):
    """The receptive field of each layer by name, in call order; None where there is none, and `why` says why."""

    def __init__(self, fields: Mapping[str, ReceptiveField | None], why: Mapping[str, str]) -> None:
        super().__init__(fields)
        self.why = dict(why)  #: for each layer without a field, the reason in words


def receptive_fields(model: Model, tape: Tape | None = None) -> ReceptiveFields:
    """The receptive field of every layer, by name and in call order. Cost: one recorded pass, unless a `tape` is given.

    None where every place may see the whole picture (behind a dense layer, global pooling or attention, and behind
    a squeeze-and-excite block, whose gates are made of all places), or where no one box fits all places; the
    answer's `why` says by which call. Raises Unmet where the model has no tape.
    """
    if tape is None:
        sides = (1, model.input.height, model.input.width, model.input.channels)
        tape = model.tape(np.random.default_rng(0).random(sides, np.float32))
    known = followed(tape)
    fields: dict[str, ReceptiveField | None] = {}
    why: dict[str, str] = {}
    for layer in model.layers:
        place = tape.layers.get(layer.name)
        found: Known = "it does not lie between the picture and the scores" if place is None else known[place]
        fields[layer.name] = found if isinstance(found, ReceptiveField) else None
        if isinstance(found, str):
            why[layer.name] = found
        elif isinstance(found, Moved):
            why[layer.name] = f"its output {layer.shape} has no rows and columns"
    return ReceptiveFields(fields, why)
