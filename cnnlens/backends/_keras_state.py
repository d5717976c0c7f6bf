"""Whether the Python side of a Keras model is what it was, and whether somebody other than Keras wrote it.

A compiled pass reads weights anew each time, but what Python decided is decided for good: a rate, a flag, a
layer that was exchanged. So what layers hold is remembered, and looked over before each compiled pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from operator import is_
from types import CodeType, FunctionType, MethodType
from typing import Any

import keras
import numpy as np

from ..arrays import Array
from ._keras_opaque import Opaque
from ._keras_taps import Graph

_BORROWED = ("builtins", "keras", "abc", "typing", "tensorflow", "jax")


def running_parts(body: Graph | Opaque) -> list[Any]:
    """Every layer and operation that a pass calls, however deep; not the models that were unrolled."""
    called = [body.model] if isinstance(body, Opaque) else body.operations
    nested = (op._flatten_layers() if isinstance(op, keras.layers.Layer) else [op] for op in called)
    return list({id(part): part for part in chain.from_iterable(nested)}.values())


def is_foreign(part: Any) -> bool:
    """Whether code that is not Keras's own runs in a layer: its class, or a function that it was given."""
    return _is_strange(type(part)) or any(
        _is_strange(value) for value in vars(part).values() if callable(value)
    )


def _is_strange(value: Any) -> bool:
    named = value if isinstance(value, (type, FunctionType, MethodType)) else type(value)
    return (getattr(named, "__module__", None) or "").partition(".")[0] not in ("keras", "builtins")


class Snapshot:
    """What the parts of a model hold, by identity; of foreign ones also what their containers hold.

    Functions that users wrote are followed to the globals and enclosing names that they read.
    """

    def __init__(self, parts: Iterable[Any]) -> None:
        self._held: list[tuple[Mapping[str, Any], tuple[str, ...], tuple[Any, ...]]] = []
        self._inside: list[tuple[Any, Any]] = []
        self._read: list[tuple[FunctionType, list[Any]]] = []
        for part in parts:
            self._hold(vars(part))
            if is_foreign(part):
                self._hold_foreign(part)

    def holds(self) -> bool:
        """Whether all is as it was."""
        for now, names, values in self._held:
            if len(now) != len(names) or not all(map(is_, now.values(), values)):
                return False
        if any(not _same(_copied(now), then) for now, then in self._inside):
            return False
        return all(_all_same(list(_outside(function)), then) for function, then in self._read)

    def _hold(self, held: Mapping[str, Any]) -> None:
        self._held.append((held, tuple(held), tuple(held.values())))

    def _hold_foreign(self, part: Any) -> None:
        own = [cls for cls in type(part).__mro__ if cls.__module__.partition(".")[0] not in _BORROWED]
        for cls in own:
            self._hold(vars(cls))
        values = list(chain(vars(part).values(), *(vars(cls).values() for cls in own)))
        self._inside += [
            (v, _copied(v)) for v in values if isinstance(v, (list, tuple, dict, set, np.ndarray))
        ]
        for value in values:
            function = getattr(value, "__func__", value)  # of a method, or a static one
            if isinstance(function, FunctionType) and _is_strange(function):
                self._read.append((function, list(_outside(function))))


def _outside(function: FunctionType) -> Iterator[Any]:
    """What a function reads that is not handed to it: its defaults, globals, and enclosing names."""
    yield from function.__defaults__ or ()
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # a name that is not bound yet
            yield None
    for name in _names(function.__code__):
        yield function.__globals__.get(name)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _copied(value: Any) -> Any:
    """What a container holds, one level deep; an array by its numbers."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return list(value)


def _same(now: Any, then: Any) -> bool:
    if isinstance(then, np.ndarray):
        return now.shape == then.shape and _equal(now, then)
    return _all_same(now, then)


def _equal(one: Array, other: Array) -> bool:
    return one.tobytes() == other.tobytes()


def _all_same(now: list[Any], then: list[Any]) -> bool:
    return len(now) == len(then) and all(map(is_, now, then))
