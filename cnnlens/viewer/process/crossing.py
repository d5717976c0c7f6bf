"""What crosses between the viewer and the process that runs the model, as JSON and arrays, and back again.

Both ways are here side by side. What is read is held to what may be written: the closed set of panels, the types
of their fields, our own errors by their names.
"""

from __future__ import annotations

import dataclasses
import functools
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ...errors import CnnlensError, UnknownName
from ...panels import Bars, Curve, Heatmap, Note, Panel, Picture, Table, Tiles
from ...result import Result
from .wire import Arrays, Garbled

KINDS: dict[str, type[Panel]] = {
    kind.__name__: kind for kind in (Heatmap, Tiles, Picture, Bars, Curve, Table, Note)
}
WORDS = ("title", "unit", "means", "x_unit", "text")
DEEPEST = 64  #: how far values may lie within values
MOST_WORDS = 20_000  #: characters of an error that are handed on


def packed(value: Any) -> Any:
    """A value as JSON, tuples and keys that are no text kept apart; what is no plain value is its text."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, (np.generic, np.ndarray)):
        return packed(value.tolist())
    if isinstance(value, Mapping):
        return {"d": [[packed(key), packed(item)] for key, item in value.items()]}
    if isinstance(value, tuple):
        return {"t": [packed(item) for item in value]}
    if isinstance(value, list):
        return [packed(item) for item in value]
    for kind in (bool, int, float):
        if isinstance(value, kind):
            return kind(value)
    return str(value)


def unpacked(value: Any, depth: int = 0) -> Any:
    """What `packed` made, as it was. Raises Garbled."""
    if depth > DEEPEST:
        raise Garbled("values within values without an end")
    deeper = depth + 1
    if isinstance(value, list):
        return [unpacked(item, deeper) for item in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"t": list(items), **rest} if not rest:
            return tuple(unpacked(item, deeper) for item in items)
        case {"d": list(pairs), **rest} if not rest:
            try:
                return {unpacked(key, deeper): unpacked(item, deeper) for key, item in pairs}
            except (TypeError, ValueError):
                pass  # not pairs, or a key that cannot be one
    raise Garbled(f"no value is told as {str(value)[:80]}")


def facts_of(value: Any) -> dict[str, Any]:
    """What `packed` made of a mapping by names. Raises Garbled."""
    found = unpacked(value)
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise Garbled("facts have names")
    return found


# -- results ----------------------------------------------------------------------------------------


def send_result(result: Result) -> tuple[dict[str, Any], list[Any]]:
    """A result as JSON and arrays."""
    arrays: list[Any] = []

    def put(name: str, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            arrays.append(value)
            return {"array": len(arrays) - 1}
        return str(value) if name in WORDS else packed(bool(value) if name == "signed" else value)

    panels = [
        {"kind": type(panel).__name__, "fields": {name: put(name, value) for name, value in _fields(panel)}}
        for panel in result.panels
    ]
    return {
        "panels": panels,
        "facts": packed(dict(result.facts)),
        "pixels": None if result.pixels is None else put("pixels", np.asarray(result.pixels)),
    }, arrays


def read_result(told: Any, arrays: Arrays) -> Result:
    """The result that `send_result` took apart. Raises Garbled."""

    def get(value: Any) -> Any:
        match value:
            case {"array": int(number), **rest} if not rest and 0 <= number < len(arrays):
                return arrays[number]
        return unpacked(value)

    match told:
        case {"panels": list(panels), "facts": facts, "pixels": pixels}:
            pixels = get(pixels)
            if pixels is not None and (not isinstance(pixels, np.ndarray) or pixels.ndim != 3):
                raise Garbled("a picture's pixels are an array (h, w, c)")
            if pixels is not None:
                pixels.flags.writeable = False
            return Result(tuple(_panel(one, get) for one in panels), facts_of(facts), pixels)
    raise Garbled("no result is told so")


def _fields(panel: Panel) -> Iterator[tuple[str, Any]]:
    return ((field.name, getattr(panel, field.name)) for field in dataclasses.fields(panel))


def _panel(told: Any, get: Any) -> Panel:
    match told:
        case {"kind": str(name), "fields": dict(fields)} if name in KINDS:
            kind = KINDS[name]
            values = {key: get(value) for key, value in fields.items()}
            if values.keys() != {field.name for field in dataclasses.fields(kind)}:
                raise Garbled(f"a {name} has other fields than {', '.join(values)[:200]}")
            for key, value in values.items():
                if not _fits(name, key, value):
                    raise Garbled(f"{name}.{key} is not a {type(value).__name__} of that kind")
            try:
                return kind(**values)
            except (CnnlensError, TypeError, ValueError) as error:
                raise Garbled(f"no {name} can be made of that: {error}") from None
    raise Garbled("no panel is told so")


def _fits(kind: str, name: str, value: Any) -> bool:
    """Whether a field of a panel may have such a value."""
    if name in ("values", "x") or (kind == "Tiles" and name == "limits" and value is not None):
        return isinstance(value, np.ndarray) and value.dtype == np.float32
    if name in WORDS:
        return isinstance(value, str)
    if name == "signed":
        return isinstance(value, bool)
    if name == "limits":
        return value is None or (_is_row(value) and len(value) == 2 and all(map(_is_number, value)))
    if name == "marks":
        return isinstance(value, dict) and all(
            type(k) is int and isinstance(v, str) for k, v in value.items()
        )
    if name == "rows":
        return _is_row(value) and all(_is_row(row) and all(map(_is_cell, row)) for row in value)
    return _is_row(value) and all(map(_is_cell, value))  # names, columns


def _is_row(value: object) -> bool:
    return isinstance(value, (list, tuple))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_cell(value: object) -> bool:
    return value is None or isinstance(value, (str, int, float))


# -- errors -----------------------------------------------------------------------------------------


class Unforeseen(Exception):
    """An error of the other process that is none of ours; each kind is a class of its own, named as it was."""


def send_error(error: BaseException) -> dict[str, Any]:
    """An error as JSON: what it is, by name from the narrowest kind on, and what it says."""
    kinds = type(error).__mro__ if isinstance(error, CnnlensError) else type(error).__mro__[:1]
    trace = "" if isinstance(error, CnnlensError) else "".join(traceback.format_exception(error))
    return {
        "kinds": [kind.__name__ for kind in kinds],
        "ours": isinstance(error, CnnlensError),
        "message": str(error)[:MOST_WORDS],
        "trace": trace[-MOST_WORDS:],
    }


def read_error(told: Any) -> Exception:
    """The error that was sent: of our own kind where we know its name, else an Unforeseen. Raises Garbled."""
    match told:
        case {"kinds": [str(first), *others], "ours": bool(ours), "message": str(text), "trace": str(trace)}:
            if not ours:
                error: Exception = _unforeseen(first)(text)
                error.add_note(trace)
                return error
            known = {kind.__name__: kind for kind in _kinds(CnnlensError)}
            kind = next((known[name] for name in (first, *others) if name in known), CnnlensError)
            found = kind.__new__(kind)  # its text is made already: not by its own __init__ again
            found.args = (text,)
            if isinstance(found, UnknownName):
                found.what, found.asked, found.known = "", "", ()
            return found
    raise Garbled("no error is told so")


@functools.lru_cache(64)
def _unforeseen(name: str) -> type[Unforeseen]:
    """The class of errors that were called so."""
    return type(name if name.isidentifier() and len(name) <= 80 else "Exception", (Unforeseen,), {})


def _kinds(kind: type[CnnlensError]) -> Iterator[type[CnnlensError]]:
    yield kind
    for narrower in kind.__subclasses__():
        yield from _kinds(narrower)
