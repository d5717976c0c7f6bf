"""A class by its name, rank or number; on an output with places also where: `dog@40,60`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import BadInput, UnknownName
from .classes import ClassScore
from .places import Region

if TYPE_CHECKING:
    from ..model import Model

_RANK = re.compile(r"top-?(\d+)", re.IGNORECASE)
_SPAN = r"\s*\d{1,6}\s*(?::\s*\d{1,6}\s*)?"
_PLACED = re.compile(rf"(?P<name>.+)@(?P<y>{_SPAN}),(?P<x>{_SPAN})")


def named_class(text: str, model: Model) -> ClassScore | None:
    """A class by name, rank or number, in this order; None where the text is none of them."""
    names = [name.lower() for name in model.classes or ()]
    low = text.lower()
    if low in names:
        if names.count(low) > 1:
            numbers = [i for i, name in enumerate(names) if name == low]
            raise BadInput(f"{len(numbers)} classes are called {text!r}: ask by number, {numbers}")
        return ClassScore(names.index(low))
    rank = _RANK.fullmatch(text)
    if rank:
        if int(rank[1]) < 1:
            raise BadInput("ranks begin with top1")
        if model.classes and int(rank[1]) > len(model.classes):
            raise BadInput(f"{text} of {len(model.classes)} classes")
        return ClassScore(rank=int(rank[1]))
    if text.isdecimal() and len(text) < 10:
        return class_by_index(int(text), model)
    return _by_part(low, names)


def placed_class(text: str, model: Model) -> ClassScore | None:
    """A class at a place or in a region, in pixels of the model's input: `dog@40,60`, `dog@10:50,20:80`."""
    found = _PLACED.fullmatch(text)
    if not found:
        return None
    chosen = named_class(found["name"].strip(), model)
    if chosen is None:
        raise unknown_class(found["name"].strip(), model)
    grid = model.outputs[:-1]
    where = re.sub(r"\s", "", f"{found['y']},{found['x']}")
    if len(grid) != 2:
        raise BadInput(
            f"{text}: {model.name} has scores {model.outputs} a picture, not one for each class at each place; "
            f"leave out @{where}"
        )
    spec = model.input
    rows = _rows(found["y"], spec.height, grid[0], text)
    return ClassScore(
        chosen.index, chosen.rank, Region(rows, _rows(found["x"], spec.width, grid[1], text), where)
    )


def class_by_index(index: int, model: Model) -> ClassScore:
    """A class by its number, which is held to the names where there are any."""
    count = len(model.classes) if model.classes else None
    if index < 0 or (count is not None and index >= count):
        raise BadInput(f"no class {index}; classes are numbered 0 to {count - 1 if count else '…'}")
    return ClassScore(index)


def unknown_class(text: str, model: Model) -> UnknownName:
    """The error for a class that does not exist."""
    if model.classes is None:
        told = "; this model has no class names: give a number or top1, or --labels"
        return UnknownName("class", text, (), told)
    return UnknownName("class", text, model.classes)


def _by_part(low: str, names: Sequence[str]) -> ClassScore | None:
    """A name given by whole words of it ("tabby" for "tabby, tabby cat"), if only one class has them."""
    words = re.compile(rf"(?<!\w){re.escape(low)}(?!\w)")
    found = [i for i, name in enumerate(names) if low and words.search(name)]
    return ClassScore(found[0]) if len(found) == 1 else None


def _rows(span: str, side: int, places: int, text: str) -> tuple[int, int]:
    """Pixels `a` or `a:b` of a side → the places of the grid that they touch, end excluded."""
    first, colon, last = (part.strip() for part in span.partition(":"))
    start, end = int(first), int(last) if colon else int(first) + 1
    if not 0 <= start < end <= side:
        raise BadInput(f"{text}: the model's input has {side} pixels there, {span.strip()} is not within it")
    return start * places // side, max(start * places // side + 1, -(-end * places // side))
