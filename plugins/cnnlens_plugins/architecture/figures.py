"""What each box costs: parameters, multiply-adds, memory; and what its places see of the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from cnnlens import CallInfo, Model, ReceptiveField, multiply_adds, receptive_fields

from .folding import Box

_BYTES = {"float64": 8, "float32": 4}  #: of a number; half precisions have 2


@dataclass(frozen=True)
class Figures:
    """The numbers of one box. `memory` is in bytes; `untold` counts calls whose multiply-adds are not known."""

    parameters: int
    multiply_adds: int
    untold: int
    memory: int
    field: ReceptiveField | None
    why: str
    shape: tuple[int, ...]  #: of what it hands on, before that is only looked at otherwise


def figures_of(model: Model, boxes: Sequence[Box], calls: Sequence[CallInfo]) -> list[Figures]:
    """The numbers of each box. Cost: one recorded pass, for the receptive fields."""
    fields = receptive_fields(model)
    own = {layer.name: layer.parameters for layer in model.layers if layer.kind != "block"}
    each, found = bytes_of(model), []
    for box in boxes:
        adds = [multiply_adds(call, calls) for call in box.calls]
        seen = [call for call in reversed(box.calls) if call is box.main or not is_view(call, calls)]
        named = [call.name for call in seen if call.name in fields]
        shape = seen[0].shape  # the main call is always seen
        # one place is no place: a flatten loses nothing, and Keras pools to channels alone
        if shape[:-1] == (1, 1):
            shape = box.last.shape
        # those of a layer that is called again count once
        weights = [own.pop(call.name.partition("#")[0], 0) for call in box.calls]
        held = sum(prod(call.shape) for call in box.calls if not is_view(call, calls))
        found.append(
            Figures(
                sum(weights),
                sum(one or 0 for one in adds),
                adds.count(None),
                held * each,
                next((fields[name] for name in named), None),
                next((fields.why[name] for name in named if name in fields.why), ""),
                shape,
            )
        )
    return found


def bytes_of(model: Model) -> int:
    """Bytes of a number in a pass."""
    return _BYTES.get(model.precision, 2)


def is_view(call: CallInfo, calls: Sequence[CallInfo]) -> bool:
    """Whether a call only looks at values that another holds."""
    if call.kind not in ("identity", "reshape") or len(call.inputs) != 1:
        return False
    return prod(call.shape) == prod(calls[call.inputs[0]].shape)


def at_once(calls: Sequence[CallInfo]) -> int:
    """The most numbers that a forward pass holds at once, if it lets go of what nobody reads any more."""
    holder: list[int] = []
    until: dict[int, int] = {}
    for call in calls:
        holder.append(holder[call.inputs[0]] if is_view(call, calls) else call.index)
        until |= {holder[place]: call.index for place in (*call.inputs, call.index)}
    sizes: Mapping[int, int] = {place: prod(calls[place].shape) for place in until}
    return max(
        sum(size for place, size in sizes.items() if place <= now <= until[place])
        for now in range(len(calls))
    )
