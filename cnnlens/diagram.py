"""Diagram: boxes and what leads from one to the next. Where they stand is the renderer's affair."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from .errors import BadInput
from .pointing import Link

MOST_NODES, MOST_LANES = 4096, 20_000  #: what can be laid out in a second or two


@dataclass(frozen=True)
class Node:
    """A box: what it is, and under that one line more. `kind` is a `Layer`'s or a `CallInfo`'s; it chooses the colour.

    `words` say what there was no room for, to whoever points at it. `part`, from 0 to 1, is drawn as a length at the
    foot of the box, None as nothing. `opens` says where a click leads.
    """

    label: str
    detail: str = ""
    kind: str = "other"
    words: str = ""
    part: float | None = None
    opens: Link | None = None

    def __post_init__(self) -> None:
        for name in ("label", "detail", "kind", "words"):
            object.__setattr__(self, name, " ".join(str(getattr(self, name)).split()))
        if self.part is not None and not (math.isfinite(self.part) and 0 <= self.part <= 1):
            raise BadInput(f"the part of a node lies between 0 and 1, got {self.part}")


@dataclass(frozen=True)
class Edge:
    """What leads from one node to another, by their positions."""

    start: int
    end: int
    label: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", " ".join(str(self.label).split()))


@dataclass(frozen=True, eq=False)
class Diagram:
    """Boxes and edges between them, drawn from top to bottom: a graph without circles.

    `means` says in words what the parts of its nodes are parts of.
    """

    nodes: Sequence[Node]
    edges: Sequence[Edge] = ()
    title: str = ""
    means: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", tuple(self.nodes))
        object.__setattr__(self, "edges", tuple(self.edges))
        if not self.nodes:
            raise BadInput("a diagram has at least one node")
        for one in (*self.nodes, *self.edges):
            if not isinstance(one, (Node, Edge)):
                raise BadInput(f"a diagram is made of Node and Edge, got {type(one).__name__}")
        reads: dict[int, set[int]] = {place: set() for place in range(len(self.nodes))}
        for edge in self.edges:
            for end in (edge.start, edge.end):
                if type(end) is not int or not 0 <= end < len(self.nodes):
                    raise BadInput(f"an edge names node {end!r}, and there are {len(self.nodes)}, from 0 on")
            if edge.start in reads[edge.end]:
                raise BadInput(f"two edges lead from node {edge.start} to node {edge.end}: draw one")
            reads[edge.end].add(edge.start)
        if len(self.nodes) > MOST_NODES:
            raise BadInput(
                f"a diagram has at most {MOST_NODES} nodes, got {len(self.nodes)}: fold some together"
            )
        try:
            order = list(TopologicalSorter(reads).static_order())
        except CycleError as error:
            circle = " → ".join(str(place) for place in reversed(error.args[1]))
            raise BadInput(
                f"a diagram is drawn from top to bottom, and its edges run in a circle: {circle}"
            ) from None
        if (lanes := _lanes(order, reads)) > MOST_LANES:
            raise BadInput(
                f"edges of a diagram pass other nodes at most {MOST_LANES} times in all, here {lanes} times: "
                "nobody could follow them; fold nodes together"
            )


def _lanes(order: Sequence[int], reads: Mapping[int, Collection[int]]) -> int:
    """How many rows edges pass on their way, those from one node together."""
    rank: dict[int, int] = {}
    down: dict[int, int] = {}
    for place in order:
        rank[place] = 1 + max((rank[one] for one in reads[place]), default=0)
        for one in reads[place]:
            down[one] = max(down.get(one, 0), rank[place])
    return sum(last - rank[one] - 1 for one, last in down.items())
