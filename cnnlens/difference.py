"""difference: what one result has more than another, panel by panel.

Numbers are subtracted as they are, in float32 and in their own unit; nothing is aligned, scaled or guessed.
Where two panels do not measure the same thing at the same places, that is an error and no picture.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .arrays import Array
from .differing import Words, facts_of, words_of
from .errors import BadInput, UsageError
from .panels import Bars, Curve, Heatmap, Note, Panel, Picture, Table, Tiles
from .result import Result

Shown = Heatmap | Tiles | Picture | Bars | Curve


def difference(a: Result, b: Result) -> Result:
    """What `a` has more than `b`, panel by panel: `a − b`, signed, in the unit of both.

    Maps and tiles are taken place by place, bars and lines by name; tiles by name where both name the same
    ones in another order, else by position. Pictures become coloured tiles about mid-grey. Notes and tables
    are kept, with whose they are where only one of both has them. The facts name what differs under
    `difference`, with those of both results.
    Raises UsageError where panels differ in number, kind, unit or names, BadInput where they do in shape.
    """
    ours, theirs = _numbers(a, b)
    words = words_of(a.facts, b.facts)
    panels: list[Panel] = []
    for one, other in zip(ours, theirs, strict=True):
        panels += _Pair(one, other, words).taken()
    panels += _texts(a, b, words)
    same = a.pixels is not None and b.pixels is not None and np.array_equal(a.pixels, b.pixels)
    facts = facts_of(a.facts, b.facts, words)
    return Result(tuple(panels), facts, a.pixels if same else None)  # of two pictures neither lies under it


def _numbers(a: Result, b: Result) -> tuple[list[Shown], list[Shown]]:
    """The panels that hold numbers, which must be of the same kinds in the same order."""
    ours, theirs = (
        [p for p in one.panels if isinstance(p, (Heatmap, Tiles, Picture, Bars, Curve))] for one in (a, b)
    )
    kinds = [", ".join(type(panel).__name__ for panel in some) or "none" for some in (ours, theirs)]
    if kinds[0] != kinds[1]:
        raise UsageError(
            f"{a.facts['title']} with panels {kinds[0]} and {b.facts['title']} with {kinds[1]} cannot be "
            "subtracted: take two results of one visualiser"
        )
    if not ours:
        raise UsageError("both results hold only text: there is nothing to subtract")
    return ours, theirs


@dataclass(frozen=True)
class _Pair:
    """Two panels of one kind."""

    a: Shown
    b: Shown
    words: Words

    def taken(self) -> list[Panel]:
        """The difference, and a note on what was left out of it."""
        a, b, title = self.a, self.b, self.words.title(self.a.title, self.b.title)
        self._check("unit")
        if isinstance(a, Heatmap) and isinstance(b, Heatmap):
            means = self.words.means(a.means or b.means)
            return [Heatmap(self._values("maps"), True, title, a.unit, means)]
        if isinstance(a, Tiles) and isinstance(b, Tiles):
            return [self._tiles(a, b, title)]
        if isinstance(a, Bars) and isinstance(b, Bars):
            return _bars(a, b, title)
        if isinstance(a, Curve) and isinstance(b, Curve):
            return [self._curve(a, b, title)]
        values = self._values("pictures")  # colours of a Picture end at zero, those of Tiles are signed
        if values.shape[-1] == 1:
            return [Heatmap(values[..., 0], True, title, "intensity", self.words.means(""))]
        return [Tiles(values[None], ("",), True, title, "intensity")]

    def _tiles(self, a: Tiles, b: Tiles, title: str) -> Tiles:
        order, names = _order(a.names, b.names)
        there = {place: b.marks[i] for place, i in enumerate(order) if i in b.marks}
        marks = {i: self.words.mark(a.marks.get(i), there.get(i)) for i in sorted({*a.marks, *there})}
        return Tiles(self._values("maps", order), names, True, title, a.unit, marks=marks)

    def _curve(self, a: Curve, b: Curve, title: str) -> Curve:
        self._check("x_unit")
        if not np.array_equal(a.x, b.x):
            raise BadInput(
                f"{a.title or 'a curve'}: lines over {_span(b.x)} cannot be taken from lines over "
                f"{_span(a.x)}: run both with the same settings"
            )
        order, names = _order(a.names, b.names)
        return Curve(a.x, self._values("lines", order), names, title, a.x_unit, a.unit)

    def _values(self, what: str, order: Sequence[int] | None = None) -> Array:
        a, b = self.a.values, self.b.values
        if a.shape != b.shape:
            raise BadInput(
                f"{_size(b)} {what} cannot be taken from {_size(a)} ones ({self.a.title or self.b.title}): "
                "take results of one layer, and of pictures of one size"
            )
        return _less(a, b if order is None else b[list(order)])

    def _check(self, name: str) -> None:
        one, other = getattr(self.a, name, ""), getattr(self.b, name, "")
        if one != other:
            raise UsageError(
                f"{self.a.title or type(self.a).__name__}: what is in {other or 'no unit'} cannot be taken "
                f"from what is in {one or 'no unit'}: take results of one kind of target and one visualiser"
            )


def _bars(a: Bars, b: Bars, title: str) -> list[Panel]:
    """By name; those that only one has, and those that stand for two numbers, are left out and told of."""
    if a.names == b.names:
        return [Bars(_less(a.values, b.values), a.names, title, a.unit)]
    counts = Counter(a.names), Counter(b.names)
    kept = [name for name in a.names if counts[0][name] == counts[1][name] == 1]
    if not kept:
        raise UsageError(
            f"{a.title or 'bars'}: no name is in both, {_some(a.names)} here and {_some(b.names)} there: "
            "ask both for more of them"
        )
    values = [dict(zip(one.names, one.values, strict=True)) for one in (a, b)]
    taken = _less(*(np.asarray([some[name] for name in kept], np.float32) for some in values))
    told: list[Panel] = [Bars(taken, kept, title, a.unit)]
    left = [name for name in dict.fromkeys((*a.names, *b.names)) if name not in {*kept}]
    if left:
        told += [Note(f"{a.title or 'Bars'}: {len(left)} left out, which not both have once: {_some(left)}")]
    return told


def _order(ours: Sequence[str], theirs: Sequence[str]) -> tuple[list[int], list[str]]:
    """Which of theirs each of ours is matched with, and what the pair is called."""
    if tuple(ours) != tuple(theirs) and len({*ours}) == len(ours) and sorted(ours) == sorted(theirs):
        return [list(theirs).index(name) for name in ours], list(ours)
    pairs = zip(ours, theirs, strict=False)  # of other numbers the shapes tell
    return list(range(len(theirs))), [one if one == other else f"{one} − {other}" for one, other in pairs]


def _texts(a: Result, b: Result, words: Words) -> list[Panel]:
    """Tables and notes: once where both say the same, else with whose they are."""
    ours, theirs = ([p for p in one.panels if isinstance(p, (Table, Note))] for one in (a, b))
    both = [panel for panel in ours if any(_alike(panel, other) for other in theirs)]
    found: list[Panel] = [*both]
    for side, some in ((words.a or "the first", ours), (words.b or "the second", theirs)):
        for panel in some:
            if any(_alike(panel, other) for other in both):
                continue
            if isinstance(panel, Table):
                found.append(replace(panel, title=f"{side}: {panel.title}".rstrip(": ")))
            else:
                found.append(Note(f"{side}: {panel.text}"))
    return found


def _alike(one: Panel, other: Panel) -> bool:
    return type(one) is type(other) and repr(vars(one)) == repr(vars(other))  # a NaN is like a NaN


def _less(a: Array, b: Array) -> Array:
    with np.errstate(invalid="ignore", over="ignore"):  # infinity less infinity is not a number, and shown so
        return a - b


def _size(values: Array) -> str:
    return "×".join(map(str, values.shape))


def _span(x: Array) -> str:
    return f"{len(x)} points from {x[0]:g} to {x[-1]:g}"


def _some(names: Sequence[Any]) -> str:
    return ", ".join(map(str, names[:6])) + (" …" if len(names) > 6 else "")
