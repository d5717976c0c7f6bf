"""A tape followed from the picture on: what each call's output sees, from what it reads and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import Unmet
from ..tape import Call, CallInfo, Tape
from ..windows import Windows
from .probing import probed
from .span import ReceptiveField, Span

#: Calls that work number by number: where their output has the sides of all they read, place by place.
_PLACEWISE = frozenset(
    ("batch-norm", "activation", "add", "subtract", "multiply", "divide", "scale", "concat", "identity")
)
#: Calls that hand on values as they are; through arrays of other shapes than maps they are followed as one.
_MOVES = ("reshape", "identity")
#: Normalisations over the last axes of an array, as far as their weights go.
_OVER_LAST = ("layer_norm", "rms_norm", "layernormalization", "rmsnormalization")


@dataclass(frozen=True)
class Moved:
    """Values of the map at `origin` of the tape that `calls` have laid out in an array that is no map."""

    origin: int
    calls: tuple[Call, ...]


#: What is known of a call's output: its field, why there is none, or where the values of a map went.
Known = ReceptiveField | str | Moved


def followed(tape: Tape) -> list[Known]:
    """What is known of the output of each call of a tape."""
    height, width = tape.calls[0].info.shape[:2]
    known: list[Known] = [ReceptiveField(_pixels(height), _pixels(width))]
    for call in tape.calls[1:]:
        known.append(_after(call, tape, known))
    return known


def _pixels(count: int) -> Span:
    """The picture's own: each sees itself."""
    return Span(1, 1, 0, tuple((place, place + 1) for place in range(count)))


def _after(call: Call, tape: Tape, known: Sequence[Known]) -> Known:
    info = call.info
    read = [known[place] for place in info.inputs]
    if lost := next((one for one in read if isinstance(one, str)), None):
        return lost
    if info.hyper.get("steered"):
        return f"{_words(info)} reads a mask or an index that was made from the picture"
    if any(isinstance(one, Moved) for one in read) or len(info.shape) != 3:
        return _moved(call, tape, known)
    fields = [one for one in read if isinstance(one, ReceptiveField)]
    shapes = [tape.calls[place].info.shape for place in info.inputs]
    if info.kind in ("convolution", "pooling"):
        return _windowed(info, fields[0], shapes[0])
    placewise = info.kind in _PLACEWISE or _along_channels(call, shapes[0])
    if placewise and all(shape[:2] == info.shape[:2] for shape in shapes):
        return _union(info, fields)
    found = [_found((call,), n, field, shapes[n]) for n, field in enumerate(fields)]
    lost = next((one for one in found if isinstance(one, str)), None)
    return lost or _union(info, [one for one in found if isinstance(one, ReceptiveField)])


def _along_channels(call: Call, shape: Sequence[int]) -> bool:
    """Whether a dense call or a normalisation is known to mix channels alone; along columns it may look the same."""
    kind, function = call.info.kind, call.info.function
    weights = (
        call.params if kind == "dense" or (kind, function in _OVER_LAST) == ("normalisation", True) else {}
    )
    weight = weights.get("kernel" if kind == "dense" else "scale")
    return (
        weight is not None
        and weight.shape[0] == shape[2] != shape[1]
        and weight.ndim == 1 + (kind == "dense")
    )


def _moved(call: Call, tape: Tape, known: Sequence[Known]) -> Known:
    """What is known after a call that reads or makes an array that is no map: it may be laid out as one again."""
    info = call.info
    if info.kind not in _MOVES or len(info.inputs) != 1:
        whole = "every place of its map" if len(info.shape) == 1 else "an array without rows and columns"
        return f"{_words(info)} reads {whole}"
    before = known[info.inputs[0]]
    way = before if isinstance(before, Moved) else Moved(info.inputs[0], ())
    way = Moved(way.origin, (*way.calls, call))
    field = known[way.origin]
    if len(info.shape) != 3 or not isinstance(field, ReceptiveField):
        return way
    return _found(way.calls, 0, field, tape.calls[way.origin].info.shape)


def _found(calls: Sequence[Call], position: int, field: ReceptiveField, shape: Sequence[int]) -> Known:
    info = calls[-1].info
    try:
        found = probed(calls, position, field, shape)
    except Unmet as error:
        return f"{_words(info)} tells no derivative: {error}"
    return found or f"{_words(info)} reads every place of its map, or not the same way everywhere"


def _union(info: CallInfo, fields: Sequence[ReceptiveField]) -> Known:
    whole = fields[0]
    for field in fields[1:]:
        rows, columns = whole.rows.joined(field.rows), whole.columns.joined(field.columns)
        if rows is None or columns is None:
            return (
                f"{_words(info)} joins maps whose places lie {whole.stride} and {field.stride} pixels apart"
            )
        whole = ReceptiveField(rows, columns)
    return whole


def _windowed(info: CallInfo, field: ReceptiveField, shape: Sequence[int]) -> Known:
    """A convolution or pooling: windows with a kernel that is told, or equal ones that fill the map."""
    spans, told = [], info.hyper.get("kernel")
    for axis, span in enumerate((field.rows, field.columns)):
        size, out = shape[axis], info.shape[axis]
        windows = info.windows(axis, size)
        if windows is not None:
            spans.append(span.window(windows, out))
        elif told is None and size % out == 0 and (out > 1 or size == 1):
            spans.append(span.window(Windows(size // out, size // out, 1, 0), out))
        else:
            return f"{_words(info)} reads " + (
                "every place of its map" if out == 1 else "windows of several sizes"
            )
    return ReceptiveField(*spans)


def _words(info: CallInfo) -> str:
    return f"{info.name} ({info.kind})"
