"""What a pickle would make, as notes: nothing of it is called or imported, so any of it can be looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Global(NamedTuple):
    """A name that the pickle would import."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Made:
    """What a call would have made: the callable, its arguments, and what would have been put into it."""

    function: Any
    args: tuple[Any, ...] = ()
    new: bool = False  # made by its class, past its constructor
    state: Any = None
    pairs: list[tuple[Any, Any]] = field(default_factory=list)
    items: list[Any] = field(default_factory=list)


@dataclass(eq=False)
class Pairs:
    """A mapping as the pairs that were put into it, in order."""

    pairs: list[tuple[Any, Any]] = field(default_factory=list)


@dataclass(eq=False)
class Kept:
    """Something kept outside the pickle, by the name it has there: a storage of a tensor."""

    place: Any


class Pickle(NamedTuple):
    """What a pickle holds: its value, what it names, and the things it keeps outside, in order."""

    value: Any
    names: tuple[Global, ...]
    kept: tuple[Kept, ...]


def mapping(value: Any) -> list[tuple[Any, Any]] | None:
    """The pairs of what would be a mapping (a dict, an OrderedDict); None for anything else."""
    if isinstance(value, Pairs):
        return value.pairs
    if isinstance(value, Made) and value.function == Global("collections", "OrderedDict"):
        first = value.args[0] if value.args and isinstance(value.args[0], list) else []
        early = [tuple(p) for p in first if isinstance(p, (list, tuple)) and len(p) == 2]
        return early + value.pairs
    return None


def parts(value: Any) -> Iterator[Any]:
    """What a value directly holds."""
    if isinstance(value, (list, tuple)) and not isinstance(value, Global):
        yield from value
    elif isinstance(value, Pairs):
        for pair in value.pairs:
            yield from pair
    elif isinstance(value, Made):
        yield from (value.function, value.args, value.state, value.items)
        for pair in value.pairs:
            yield from pair
    elif isinstance(value, Kept):
        yield value.place


def everything(value: Any) -> Iterator[Any]:
    """The value and all that it holds, each object once, however often the pickle points to it."""
    waiting, seen = [value], set()
    while waiting:
        one = waiting.pop()
        if isinstance(one, (str, int, float, bytes, type(None))) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting.extend(reversed(list(parts(one))))


def holders(value: Any, is_wanted: Callable[[Any], bool]) -> set[int]:
    """The ids of all that is wanted and of all that leads to it, in one walk: many are slow."""
    above: dict[int, list[int]] = {}
    found: list[int] = []
    for one in everything(value):
        if is_wanted(one):
            found.append(id(one))
        for part in parts(one):
            if isinstance(part, (list, tuple, Pairs, Made)):
                above.setdefault(id(part), []).append(id(one))
    reached = set(found)
    while found:
        for holder in above.get(found.pop(), ()):
            if holder not in reached:
                reached.add(holder)
                found.append(holder)
    return reached
