"""What a rule has to know of a network before it walks: which calls belong together, and what reads the picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from cnnlens import CallInfo

LINEAR = frozenset(("convolution", "transposed-convolution", "dense"))

#: Calls with one input that change no more than scale, origin and place of what they read.
_PLAIN = frozenset(("reshape", "identity", "scale", "add", "subtract", "batch-norm"))

#: Activations that are zero, or nearly so, below zero and straight above it; as frameworks call them.
RECTIFIERS = frozenset(("relu", "relu6", "leakyrelu", "prelu", "rrelu", "clampmin"))

#: Activations with two bounds: what is multiplied by one of them is gated by it.
_BOUNDED = frozenset(("sigmoid", "hardsigmoid", "tanh", "hardtanh", "softsign", "relu6", "clamp", "clip"))


def plain(function: str) -> str:
    """A function's name without its underscores: `hard_sigmoid` and `hardsigmoid` are one."""
    return function.replace("_", "")


def is_rectifier(info: CallInfo) -> bool:
    """Whether a call is ReLU or one of its near kin."""
    return info.kind == "activation" and plain(info.function) in RECTIFIERS


def folds(calls: Sequence[CallInfo]) -> dict[int, int]:
    """Batch norm → the convolution or dense call right before it, where nobody else reads that.

    The two are one linear call, and rules treat them as one.
    """
    readers = Counter(place for info in calls for place in info.inputs)
    return {
        info.index: info.inputs[0]
        for info in calls
        if info.kind == "batch-norm" and calls[info.inputs[0]].kind in LINEAR and readers[info.inputs[0]] == 1
    }


def before(info: CallInfo, calls: Sequence[CallInfo]) -> list[CallInfo] | None:
    """The calls between the picture and this one, if none of them does more than move, scale or shift it."""
    way: list[CallInfo] = []
    while info.inputs:
        if len(info.inputs) > 1:
            return None
        info = calls[info.inputs[0]]
        if info.kind == "input":
            return way[::-1]
        if info.kind not in _PLAIN:
            return None
        way.append(info)
    return None


def first(calls: Sequence[CallInfo]) -> dict[int, list[CallInfo]]:
    """The linear calls that read the picture, and what stands before each."""
    ways = {info.index: before(info, calls) for info in calls if info.kind in LINEAR}
    return {index: way for index, way in ways.items() if way is not None}


def signals(info: CallInfo, calls: Sequence[CallInfo]) -> tuple[int, ...]:
    """Which inputs of a product carry the signal, by position; the others gate it.

    The largest do; of several as large those that do not come out of a bounded activation. Of a quotient it is
    the dividend.
    """
    if info.kind == "divide":
        return (0,)
    sizes = [_size(calls[place]) for place in info.inputs]
    largest = [position for position, size in enumerate(sizes) if size == max(sizes)]
    free = [position for position in largest if not _bounded(calls[info.inputs[position]], calls)]
    return tuple(free or largest)


def reached(calls: Sequence[CallInfo]) -> list[CallInfo]:
    """The calls that a signal walks back through from the scores, gates left aside; in their order."""
    wanted = {calls[-1].index}
    for info in reversed(calls):
        if info.index in wanted:
            positions = range(len(info.inputs))
            chosen = signals(info, calls) if info.kind in ("multiply", "divide") else positions
            wanted.update(info.inputs[position] for position in chosen)
    return [info for info in calls if info.index in wanted]


def _size(info: CallInfo) -> int:
    size = 1
    for side in info.shape:
        size *= side
    return size


def _bounded(info: CallInfo, calls: Sequence[CallInfo]) -> bool:
    while info.kind in ("reshape", "identity", "resize", "scale") and len(info.inputs) == 1:
        info = calls[info.inputs[0]]
    return info.kind == "softmax" or (info.kind == "activation" and plain(info.function) in _BOUNDED)
