"""Places: vertices stand in columns, straight under each other where steps allow it, and none on another."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

from .order import Rows
from .ranks import Ranked

#: How far apart the middles of two neighbours must be.
Apart = Callable[[int, int], float]


def columns_of(graph: Ranked, rows: Rows) -> list[int]:
    """The column of each vertex, by the number of its topmost one.

    In every column there is one vertex a rank at most, and steps within columns do not cross. The longest way from
    top to bottom is one column; then come way points, which keeps long edges straight, then all others.
    """
    spine = spine_of(graph, rows)
    place = {vertex: i for row in rows for i, vertex in enumerate(row)}
    along = set(itertools.pairwise(spine))

    def worth(step: tuple[int, int]) -> tuple[bool, bool, int]:
        inner = all(vertex >= graph.real for vertex in step)
        return step not in along, not inner, len(graph.down[step[0]]) + len(graph.up[step[1]])

    column = list(range(len(graph.rank)))
    for row in rows[:-1]:
        taken: list[tuple[int, int]] = []
        for above, below in sorted(((v, one) for v in row for one in graph.down[v]), key=worth):
            here = (place[above], place[below])
            if all((here[0] - a) * (here[1] - b) > 0 for a, b in taken):
                taken.append(here)
                column[below] = column[above]
    return column


def spine_of(graph: Ranked, rows: Rows) -> list[int]:
    """A way from the first rank to the last, of all such that with the fewest way points."""
    real: dict[int, int] = {}
    for row in reversed(rows):
        last = row is rows[-1]
        for vertex in row:
            behind = [real[one] for one in graph.down[vertex] if one in real]
            if behind or last:
                real[vertex] = max(behind, default=0) + (vertex < graph.real)
    way = [max((v for v in rows[0] if v in real), key=real.__getitem__)]
    while len(way) < len(rows):
        way.append(max((v for v in graph.down[way[-1]] if v in real), key=real.__getitem__))
    return way


def placed(graph: Ranked, rows: Rows, column: Sequence[int], apart: Apart) -> list[float]:
    """The middle of each vertex: the spine at 0, and columns on either side as near to it as they can be."""
    spine = column[spine_of(graph, rows)[0]]
    beside: dict[bool, dict[int, list[tuple[int, float]]]] = {True: {}, False: {}}
    for row in rows:
        middle = next(i for i, vertex in enumerate(row) if column[vertex] == spine)
        for right, part in ((True, row[middle:]), (False, row[middle::-1])):
            for inner, outer in itertools.pairwise(part):
                least = apart(inner, outer)
                beside[right].setdefault(column[outer], []).append((column[inner], least))
    x = {spine: 0.0}
    for right, inner_of in beside.items():
        far = _furthest(inner_of, spine)
        x |= {one: far[one] if right else -far[one] for one in far if one != spine}
    return [x[one] for one in column]


def _furthest(inner_of: Mapping[int, Sequence[tuple[int, float]]], spine: int) -> dict[int, float]:
    """How far out each column stands: as far as those inside of it ask for."""
    far = {spine: 0.0}
    waiting = list(inner_of)
    while waiting:
        column = waiting[-1]
        first = [inner for inner, _ in inner_of[column] if inner not in far]
        if column not in far and first:
            waiting += first
            continue
        far.setdefault(waiting.pop(), max(far[inner] + least for inner, least in inner_of[column]))
    return far
