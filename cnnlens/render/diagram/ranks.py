"""Ranks: every vertex below all that lead to it, and a chain of way points where an edge runs past ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

#: Start, end, and whether it wants a way point of its own, as for its label.
Leads = tuple[int, int, bool]


@dataclass(frozen=True)
class Ranked:
    """Vertices in ranks: those that were given first, then the way points. Steps join neighbouring ranks only.

    `routes` are the vertices that each edge runs through, both its ends among them. Long edges from one vertex share
    their way points, but for those that want their own.
    """

    real: int
    rank: list[int]
    up: list[list[int]]
    down: list[list[int]]
    routes: list[list[int]]

    @property
    def rows(self) -> list[list[int]]:
        """The vertices of each rank."""
        found: list[list[int]] = [[] for _ in range(max(self.rank) + 1)]
        for vertex, rank in enumerate(self.rank):
            found[rank].append(vertex)
        return found


def ranked(count: int, edges: Sequence[Leads]) -> Ranked:
    """Each of `count` vertices as high up as what leads to it allows; those that nothing leads to, just above."""
    rank = _ranks(count, edges)
    found = Ranked(count, rank, [[] for _ in rank], [[] for _ in rank], [])
    shared: dict[int, list[int]] = {}
    for start, end, own in edges:
        way = [start] if own else shared.setdefault(start, [start])
        while rank[way[-1]] < rank[end] - 1:
            way.append(_way_point(found, way[-1]))
        last = way[rank[end] - rank[start] - 1]
        found.down[last].append(end)
        found.up[end].append(last)
        found.routes.append([*way[: rank[end] - rank[start]], end])
    return found


def _ranks(count: int, edges: Sequence[Leads]) -> list[int]:
    reads: dict[int, list[tuple[int, int]]] = {vertex: [] for vertex in range(count)}
    readers: dict[int, list[int]] = {vertex: [] for vertex in range(count)}
    for start, end, own in edges:
        reads[end].append((start, 1 + own))
        readers[start].append(end)
    rank = [0] * count
    order = list(
        TopologicalSorter({vertex: [one for one, _ in reads[vertex]] for vertex in reads}).static_order()
    )
    for vertex in order:
        rank[vertex] = max((rank[one] + length for one, length in reads[vertex]), default=0)
    for vertex in order:
        if not reads[vertex] and readers[vertex]:
            rank[vertex] = min(
                rank[end] - length for end in readers[vertex] for one, length in reads[end] if one == vertex
            )
    return rank


def _way_point(found: Ranked, above: int) -> int:
    vertex = len(found.rank)
    found.rank.append(found.rank[above] + 1)
    found.up.append([above])
    found.down.append([])
    found.down[above].append(vertex)
    return vertex
