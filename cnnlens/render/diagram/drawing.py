"""A diagram as lengths on paper: where each box stands, what fits into it, and how the edges run between."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from ...diagram import Diagram, Node
from ..charts import font
from .order import ordered
from .places import columns_of, placed
from .ranks import Ranked, ranked

LABEL, DETAIL = 12, 11  #: pixels of the lettering
HEIGHT, INSET, EDGE = 44, 12, 12  #: of a box; its text from its sides; the paper around it all
NARROWEST, WIDEST = 93, 301  #: boxes; longer text is cut
SPARE = 4  #: pixels more, for browsers that letter more widely
BESIDE, LANE = 20, 13  #: between two boxes, and where one of the two is an edge that runs past
BETWEEN = 24  #: at least, between ranks; more where steps run far across
FURTHER, MOST = 0.055, 40  #: so much more for each pixel across, and at most

Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """A node's place on the paper, and its text as far as it fits."""

    node: Node
    x: float
    y: float
    width: float
    label: str
    detail: str
    height: float = HEIGHT


@dataclass(frozen=True)
class Route:
    """An edge: points in pairs. Within a pair it runs straight down, from one to the next it swings over."""

    points: tuple[Point, ...]
    label: str = ""
    at: Point = (0.0, 0.0)

    @property
    def swings(self) -> list[tuple[Point, Point, Point, Point]]:
        """Its cubic curves, start, two handles and end each; straight ones among them."""
        found = []
        for (x0, y0), (x1, y1) in zip(self.points, self.points[1:], strict=False):
            middle = (y0 + y1) / 2
            found.append(((x0, y0), (x0, middle), (x1, middle), (x1, y1)))
        return found


@dataclass(frozen=True)
class Drawing:
    """All boxes and routes on a paper of that size, in pixels; the boxes in the order of the nodes."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    routes: tuple[Route, ...]


@functools.lru_cache(8)
def laid_out(panel: Diagram) -> Drawing:
    """Lay a diagram out; the last few are remembered, for a page asks for one in several forms."""
    edges = [(edge.start, edge.end, bool(edge.label)) for edge in panel.edges]
    graph = ranked(len(panel.nodes), edges)
    rows = ordered(graph)
    column = columns_of(graph, rows)
    widths = _widths(panel, graph, column)

    def apart(one: int, other: int) -> float:
        gap = BESIDE if max(one, other) < graph.real else LANE
        return (widths[one] + widths[other]) / 2 + gap

    middles = placed(graph, rows, column, apart)
    left = min(x - wide / 2 for x, wide in zip(middles, widths, strict=True)) - EDGE
    xs = [round(x - left, 1) for x in middles]
    tops = _tops(graph, rows, xs)
    boxes = tuple(
        Box(node, round(xs[i] - widths[i] / 2, 1), tops[graph.rank[i]], round(widths[i], 1),
            fitting(node.label, LABEL, widths[i] - 2 * INSET), fitting(node.detail, DETAIL, widths[i] - 2 * INSET))
        for i, node in enumerate(panel.nodes)
    )  # fmt: skip
    routes = tuple(
        _route(graph, way, xs, tops, edge.label) for way, edge in zip(graph.routes, panel.edges, strict=True)
    )
    right = max(x + wide / 2 for x, wide in zip(xs, widths, strict=True)) + EDGE
    return Drawing(round(right, 1), tops[-1] + HEIGHT + EDGE, boxes, routes)


def fitting(text: str, size: int, width: float) -> str:
    """As much of a text as is no wider, with an ellipsis where that is not all of it."""
    if font(size).getlength(text) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        half = (low + high + 1) // 2
        low, high = (half, high) if font(size).getlength(text[:half] + "…") <= width else (low, half - 1)
    return text[:low].rstrip() + "…"


def _widths(panel: Diagram, graph: Ranked, column: Sequence[int]) -> list[float]:
    """Boxes of one column are equally wide; a way point is as wide as its label on both sides of it."""
    widest: dict[int, float] = {}
    for i, node in enumerate(panel.nodes):
        text = max(font(LABEL).getlength(node.label), font(DETAIL).getlength(node.detail))
        wide = min(max(NARROWEST, text + 2 * INSET + SPARE), WIDEST)
        widest[column[i]] = max(widest.get(column[i], 0), _odd(wide))
    widths = [widest[one] if i < graph.real else 1.0 for i, one in enumerate(column)]
    for way, edge in zip(graph.routes, panel.edges, strict=True):
        if edge.label:
            widths[way[1]] = _odd(2 * font(DETAIL).getlength(edge.label) + 12)
    return widths


def _odd(width: float) -> float:
    """The odd number of pixels next to a width: with it middles lie in the middle of a pixel, and lines are crisp."""
    return 2.0 * round((width - 1) / 2) + 1


def _tops(graph: Ranked, rows: Sequence[Sequence[int]], xs: Sequence[float]) -> list[float]:
    """Where each rank begins."""
    tops = [float(EDGE)]
    for row in rows[:-1]:
        across = max((abs(xs[v] - xs[one]) for v in row for one in graph.down[v]), default=0.0)
        tops.append(tops[-1] + HEIGHT + BETWEEN + round(min(across * FURTHER, MOST)))
    return tops


def _route(
    graph: Ranked, way: Sequence[int], xs: Sequence[float], tops: Sequence[float], label: str
) -> Route:
    ends = [(xs[v], tops[graph.rank[v]]) for v in way]
    points = [point for x, y in ends for point in ((x, y), (x, y + HEIGHT))][1:-1]
    return Route(tuple(points), label, (ends[1][0] + 5, ends[1][1] + HEIGHT / 2) if label else (0.0, 0.0))
