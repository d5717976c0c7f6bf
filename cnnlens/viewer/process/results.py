"""Results on their way between the model's process and the viewer: as JSON and arrays, and back again.

What is read is held to what may be written: the closed set of panels, and the types of their fields.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from ... import pointing
from ...diagram import Diagram, Edge, Node
from ...errors import CnnlensError
from ...panels import Bars, Curve, Heatmap, Note, Panel, Picture, Table, Tiles
from ...pointing import Link, Outline
from ...result import Result
from .crossing import facts_of, packed, unpacked
from .wire import Arrays, Garbled

KINDS: dict[str, type[Panel]] = {
    kind.__name__: kind for kind in (Heatmap, Tiles, Picture, Bars, Curve, Table, Diagram, Note)
}
WORDS = ("title", "unit", "means", "x_unit", "text")
Pointing = type[Outline] | type[Link] | type[Node] | type[Edge]
POINTING: dict[str, Pointing] = {"outlines": Outline, "opens": Link, "nodes": Node, "edges": Edge}


def send_result(result: Result) -> tuple[dict[str, Any], list[Any]]:
    """A result as JSON and arrays."""
    arrays: list[Any] = []

    def put(name: str, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            arrays.append(value)
            return {"array": len(arrays) - 1}
        if name in POINTING:
            return packed(pointing.told(value))
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
            values = {
                key: _pointing(POINTING[key], get(value)) if key in POINTING else get(value)
                for key, value in fields.items()
            }
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


def _pointing(kind: Pointing, told: Any) -> Any:
    """The links, outlines, nodes or edges that `told` told. Raises Garbled."""
    if isinstance(told, list):
        return tuple(_pointing(kind, one) for one in told)
    if told is None:
        return None
    slots = {field.name for field in dataclasses.fields(kind)}
    if not isinstance(told, dict) or told.keys() != slots:
        raise Garbled(f"no {kind.__name__} is told so")
    if kind is Node:
        told = told | {"opens": _pointing(Link, told["opens"])}
    for name, value in told.items():
        if not _points(kind, name, value):
            raise Garbled(f"{kind.__name__}.{name} is not a {type(value).__name__} of that kind")
    try:
        return kind(**told)
    except (CnnlensError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise Garbled(f"no {kind.__name__} can be made of that: {error}") from None


def _points(kind: Pointing, name: str, value: Any) -> bool:
    """Whether a field of a link, an outline, a node or an edge may have such a value."""
    if kind is Edge and name != "label":
        return type(value) is int
    if name == "opens":
        return value is None or isinstance(value, Link)
    if name == "part":
        return value is None or _is_number(value)
    if name == "settings":
        return isinstance(value, dict) and all(isinstance(k, str) and _is_cell(v) for k, v in value.items())
    if name in ("start", "step", "within"):
        whole = _is_row(value) and len(value) == 2 and all(type(one) is int for one in value)
        return whole or (name == "within" and value is None)
    if name == "box":
        return _is_row(value) and len(value) == 4 and all(map(_is_number, value))
    if name == "tile" and (value is None or type(value) is int):
        return True  # an outline's; a link's is a word
    return isinstance(value, str)


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
    if name in ("outlines", "nodes", "edges"):
        return isinstance(value, tuple)
    if name == "opens":
        return isinstance(value, tuple) if kind == "Bars" else value is None or isinstance(value, Link)
    if name == "rows":
        return _is_row(value) and all(_is_row(row) and all(map(_is_cell, row)) for row in value)
    return _is_row(value) and all(map(_is_cell, value))  # names, columns


def _is_row(value: object) -> bool:
    return isinstance(value, (list, tuple))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_cell(value: object) -> bool:
    return value is None or isinstance(value, (str, int, float))
