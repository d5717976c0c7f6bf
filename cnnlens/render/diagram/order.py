"""Order: who stands left of whom in a rank, so that few steps between ranks cross."""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence

from .ranks import Ranked

_SWEEPS = 8  #: down and up; nothing is gained after a few
Rows = list[list[int]]


def ordered(graph: Ranked) -> Rows:
    """The vertices of each rank from left to right: by the middle of their neighbours (Sugiyama et al., 1981), then
    swapped with the one beside them where that spares crossings (Gansner et al., 1993).

    Vertices that nothing tells apart stand in their own order, way points right of them.
    """
    best, least = graph.rows, -1
    for start in _starts(graph):
        rows = start
        for sweep in range(_SWEEPS):
            rows = _swapped(graph, _swept(graph, rows, downwards=sweep % 2 == 0, turned=sweep % 4 > 1))
            now = crossings(graph, rows)
            if least < 0 or now < least:
                best, least = [list(row) for row in rows], now
            if not least:
                return best
    return best


def _starts(graph: Ranked) -> Iterator[Rows]:
    """Orders to begin with: as given, by who is met first on ways down, both the other way round too."""
    met: dict[int, int] = {}
    waiting = [vertex for vertex in reversed(range(graph.real)) if not graph.up[vertex]]
    while waiting:
        if (vertex := waiting.pop()) not in met:
            met[vertex] = len(met)
            waiting += graph.down[vertex][::-1]
    deep = [sorted(row, key=met.__getitem__) for row in graph.rows]
    for rows in (graph.rows, deep):
        yield rows
        yield [row[::-1] for row in rows]


def crossings(graph: Ranked, rows: Rows) -> int:
    """How often steps between neighbouring ranks cross."""
    count = 0
    for above, below in itertools.pairwise(rows):
        place = {vertex: i for i, vertex in enumerate(below)}
        seen: list[int] = []
        for vertex in above:
            ends = sorted(place[one] for one in graph.down[vertex])
            for end in ends:
                count += len(seen) - bisect_right(seen, end)
            for end in ends:
                insort(seen, end)
    return count


def _swept(graph: Ranked, rows: Rows, downwards: bool, turned: bool) -> Rows:
    """Each rank in turn by the middle of the neighbours in the rank before; those of one middle `turned` about."""
    sorted_rows = [list(row) for row in rows]
    ranks = range(1, len(rows)) if downwards else range(len(rows) - 2, -1, -1)
    beside = graph.up if downwards else graph.down
    for rank in ranks:
        before = sorted_rows[rank - 1 if downwards else rank + 1]
        place = {vertex: i for i, vertex in enumerate(before)}
        row = sorted_rows[rank]
        middle = {v: _mean([place[one] for one in beside[v]]) for v in row}
        known = [v for v in (row[::-1] if turned else row) if middle[v] is not None]
        kept = iter(sorted(known, key=lambda v: middle[v] or 0.0))
        sorted_rows[rank] = [v if middle[v] is None else next(kept) for v in row]
    return sorted_rows


def _mean(values: Sequence[int]) -> float | None:
    return sum(values) / len(values) if values else None


def _swapped(graph: Ranked, rows: Rows) -> Rows:
    """Neighbours swapped, rank by rank and again, as long as that spares crossings."""
    gained = True
    while gained:
        gained = False
        for rank, row in enumerate(rows):
            places = [
                {vertex: i for i, vertex in enumerate(rows[other])} if 0 <= other < len(rows) else {}
                for other in (rank - 1, rank + 1)
            ]
            ends = {
                vertex: [
                    sorted(at[one] for one in some)
                    for at, some in zip(places, (graph.up[vertex], graph.down[vertex]), strict=True)
                ]
                for vertex in row
            }
            for i in range(len(row) - 1):
                a, b = ends[row[i]], ends[row[i + 1]]
                if _between(a, b) > _between(b, a):
                    row[i], row[i + 1] = row[i + 1], row[i]
                    gained = True
    return rows


def _between(left: Iterable[Sequence[int]], right: Iterable[Sequence[int]]) -> int:
    """The crossings of the steps of two neighbours."""
    return sum(bisect_left(theirs, end) for ours, theirs in zip(left, right, strict=True) for end in ours)
