"""What crosses between the viewer and the process that runs the model, as JSON, and back again: values and errors.

Both ways are here side by side. What is read is held to what may be written, our own errors by their names.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ...errors import CnnlensError, UnknownName
from .wire import Garbled

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
