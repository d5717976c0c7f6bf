"""A replay of a Keras model's pass where Keras runs on PyTorch: the functions of torch that it called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import torch

from ._engines import unchanged
from ._keras_layers import kind_of
from ._keras_taps import Graph, Taps
from ._torch_recorder import Recorder
from .replay.program import program_of
from .replay.replayed import Border, Replayed


def replay_of(
    body: Graph, native: Any, fed: Any, border: Border, keep: Sequence[str], at: str, space: tuple[int, int]
) -> Replayed:
    """The pass over `fed`, a tensor with one picture, to be run again; `space` is its height and width's axes."""
    kept = [*keep, at] if at != "input" else list(keep)
    taps = Taps(tuple(kept))
    # two pictures: a number that is theirs is no other's by chance
    recorder = Recorder(torch.cat([fed, fed]), str)
    with unchanged(native), torch.enable_grad(), recorder:
        end = body.run(keras.ops.convert_to_tensor(recorder.fed), taps)
    layers = {name: recorder.place_of(taps.seen[name]) for name in kept}
    places = {name: place for name, place in layers.items() if place is not None}
    through = [name for name in kept if _is_handed_through(body, name)]
    program = program_of(recorder, end, places, kept, through)
    del recorder, end, taps  # with all values of the pass
    return Replayed(program.folded(), fed, border, at, space)


def _is_handed_through(body: Graph, name: str) -> bool:
    """Whether a layer may hand on the very array that it was given: nothing is computed there."""
    operation = body.operation(name)
    return operation is None or kind_of(operation) in ("dropout", "identity", "other", "reshape")
