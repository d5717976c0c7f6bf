"""Diagrams: boxes never overlap, edges run down and past boxes, few cross; hostile names stay text."""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree

import pytest

from cnnlens import Diagram, Edge, Link, Node
from cnnlens.errors import BadInput
from cnnlens.panels import panel_array
from cnnlens.render.card import draw_panel
from cnnlens.render.diagram import Drawing, laid_out
from cnnlens.render.diagram.drawing import HEIGHT, WIDEST
from cnnlens.render.diagram.order import crossings, ordered
from cnnlens.render.diagram.ranks import Ranked, ranked
from cnnlens.render.html import panel_html
from cnnlens.render.style import Style
from cnnlens.render.words import alt_text

Pairs = Sequence[tuple[int, int]]
HOSTILE = '<img src=x onerror="alert(1)">&amp;\'$x^2$'


def diagram(pairs: Pairs, labels: bool = False) -> Diagram:
    count = 1 + max(max(pair) for pair in pairs)
    nodes = [Node(f"box {i}" * (1 + i % 4), "1×2×3", "convolution") for i in range(count)]
    return Diagram(nodes, [Edge(a, b, f"to {b}" if labels and b % 3 == 0 else "") for a, b in pairs])


def any_graph(seed: int) -> list[tuple[int, int]]:
    """A random graph whose edges lead from smaller to larger numbers, with long ones among them."""
    draw = random.Random(seed)
    count = draw.randint(2, 40)
    pairs = {(draw.randrange(place), place) for place in range(1, count)}
    pairs |= {tuple(sorted(draw.sample(range(count), 2))) for _ in range(count)}  # type: ignore[misc]
    return sorted(pairs)


#: Kinds of networks: a chain, residual blocks, an inception block, a dense block, a gate, and anything at all.
GRAPHS: dict[str, Pairs] = {
    "chain": [(i, i + 1) for i in range(5)],
    "residual": [(0, 1), (1, 2), (0, 2), (2, 3), (3, 4), (4, 5), (2, 5)],
    "inception": [
        (0, 1),
        (0, 2),
        (2, 3),
        (0, 4),
        (4, 5),
        (5, 6),
        (0, 7),
        (7, 8),
        (1, 9),
        (3, 9),
        (6, 9),
        (8, 9),
    ],
    "dense": [(a, b) for a in range(6) for b in range(a + 1, 6)],
    "gate": [(0, 1), (1, 2), (2, 3), (0, 4), (3, 4)],
    "two ends": [(0, 1), (0, 2), (3, 2)],
    **{f"random {seed}": any_graph(seed) for seed in range(30)},
}


@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("name", GRAPHS)
def test_boxes_and_edges(name: str, labels: bool) -> None:
    panel = diagram(GRAPHS[name], labels)
    paper = laid_out(panel)
    assert [box.node for box in paper.boxes] == list(panel.nodes)
    for one, other in itertools.combinations(paper.boxes, 2):
        apart = one.x + one.width + 10 <= other.x or other.x + other.width + 10 <= one.x
        assert apart or abs(one.y - other.y) >= HEIGHT + 20
    for box in paper.boxes:
        assert 0 < box.x and box.x + box.width < paper.width and 0 < box.y and box.y + HEIGHT < paper.height
    for edge, route in zip(panel.edges, paper.routes, strict=True):
        start, end = paper.boxes[edge.start], paper.boxes[edge.end]
        assert route.points[0] == pytest.approx((start.x + start.width / 2, start.y + HEIGHT), abs=0.11)
        assert route.points[-1] == pytest.approx((end.x + end.width / 2, end.y), abs=0.11)
        heights = [y for _, y in route.points]
        assert heights == sorted(heights) and len(set(heights)) == len(heights)
        assert not [point for point in along(route) if inside(point, paper)]


def along(route: object) -> Iterator[tuple[float, float]]:
    """Many points of an edge, without its ends."""
    for (x0, y0), (x1, y1), (x2, y2), (x3, y3) in route.swings:  # type: ignore[attr-defined]
        for step in range(1, 20):
            t = step / 20
            a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
            yield a * x0 + b * x1 + c * x2 + d * x3, a * y0 + b * y1 + c * y2 + d * y3


def inside(point: tuple[float, float], paper: Drawing) -> bool:
    x, y = point
    return any(b.x - 3 < x < b.x + b.width + 3 and b.y < y < b.y + HEIGHT for b in paper.boxes)


def test_a_chain_is_straight_and_a_skip_runs_beside_it() -> None:
    paper = laid_out(diagram([(0, 1), (1, 2), (2, 3), (0, 3), (3, 4)]))
    assert len({box.x + box.width / 2 for box in paper.boxes}) == 1
    assert len({box.width for box in paper.boxes}) == 1  # of one column
    assert max(x for x, _ in paper.routes[3].points) > paper.boxes[1].x + paper.boxes[1].width


def test_long_edges_from_one_box_share_their_way() -> None:
    paper = laid_out(diagram([(0, 1), (1, 2), (2, 3), (3, 4), (0, 3), (0, 4)]))
    assert set(paper.routes[4].points[:-2]) <= set(paper.routes[5].points)


def test_crossings_are_counted() -> None:
    graph = ranked(4, [(0, 3, False), (1, 2, False)])
    assert crossings(graph, [[0, 1], [2, 3]]) == 1 and crossings(graph, [[1, 0], [2, 3]]) == 0
    every = ranked(6, [(a, b, False) for a in range(3) for b in range(3, 6)])
    assert crossings(every, every.rows) == 9  # K₃,₃: 3 · 3


def fewest(graph: Ranked) -> int:
    """The fewest crossings of all orders of all ranks."""
    options = [list(itertools.permutations(row)) for row in graph.rows]
    return min(crossings(graph, [list(row) for row in rows]) for rows in itertools.product(*options))


LADDERS = {
    "ladder": [(0, 2), (0, 3), (1, 2), (2, 4), (3, 5), (4, 6), (5, 6), (2, 5)],
    "crossed ladder": [(0, 1), (0, 2), (0, 3), (1, 6), (2, 5), (3, 4), (4, 7), (5, 8), (6, 9)],
    "skips": [(0, 1), (1, 2), (2, 3), (0, 2), (1, 3), (0, 3)],
    "dense": [(a, b) for a in range(5) for b in range(a + 1, 5)],
    "inception": GRAPHS["inception"],
}


@pytest.mark.parametrize("name", LADDERS)
def test_no_order_of_a_ladder_has_fewer_crossings(name: str) -> None:
    graph = graph_of(LADDERS[name])
    assert crossings(graph, ordered(graph)) == fewest(graph)


def graph_of(pairs: Pairs) -> Ranked:
    return ranked(1 + max(map(max, pairs)), [(*pair, False) for pair in pairs])


def test_hardly_an_order_of_small_graphs_has_fewer_crossings() -> None:
    graphs = [graph_of([pair for pair in any_graph(seed) if max(pair) < 9]) for seed in range(300)]
    small = [one for one in graphs if math.prod(math.factorial(len(row)) for row in one.rows) <= 600]
    best = [crossings(one, ordered(one)) == fewest(one) for one in small]
    assert len(small) > 120 and sum(best) / len(best) >= 0.95


def test_what_a_diagram_must_be() -> None:
    box = Node("a")
    for nodes, edges, words in (
        ([], [], "at least one node"),
        ([box], [Edge(0, 1)], "names node 1, and there are 1"),
        ([box], [Edge(0, -1)], "names node -1"),
        ([box, box], [Edge(0, 1), Edge(0, 1)], "two edges lead from node 0 to node 1"),
        ([box, box], [Edge(0, 1), Edge(1, 0)], "in a circle"),
        ([box], [Edge(0, 0)], "in a circle"),
        (["a"], [], "made of Node and Edge, got str"),
    ):
        with pytest.raises(BadInput, match=re.escape(words)):
            Diagram(nodes, edges)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="between 0 and 1, got 2"):
        Node("a", part=2)
    assert Node("a\n b").label == "a b" and panel_array(Diagram([box])) is None


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_hostile_names_stay_text(theme: str) -> None:
    link = Link("convolution", {"layer": HOSTILE}, HOSTILE)
    nodes = [Node(HOSTILE, HOSTILE, HOSTILE, HOSTILE, 0.5, link), Node("b")]
    panel = Diagram(nodes, [Edge(0, 1, HOSTILE)], HOSTILE, HOSTILE)
    html = panel_html(panel, None, Style(theme=theme))  # type: ignore[arg-type]
    assert "<img" not in html and 'onerror="' not in html
    found = ElementTree.fromstring(html)  # every element is closed, every word escaped
    assert {one.tag for one in found.iter()} == {
        "figure", "figcaption", "div", "svg", "path", "b", "small", "i", "span",
    }  # fmt: skip
    assert [one.text for one in found.iter() if one.text].count(HOSTILE) == 2  # the label is cut
    names = {name for one in found.iter() for name in one.attrib}
    assert names == {
        "class",
        "role",
        "aria-label",
        "tabindex",
        "style",
        "viewBox",
        "aria-hidden",
        "d",
        "title",
    }
    assert draw_panel(panel, None, Style(theme=theme)).width > 100  # type: ignore[arg-type]


def test_a_long_name_is_cut() -> None:
    (box,) = laid_out(Diagram([Node("very " * 100)])).boxes
    assert box.width == WIDEST and box.label.endswith("…") and len(box.label) < 60


def test_what_it_shows_in_words() -> None:
    panel = Diagram([Node("a"), Node("b")], [Edge(0, 1)], "Net")
    assert alt_text(panel) == "Net: 2 boxes, 1 line"


def test_what_would_take_minutes_to_lay_out_is_refused() -> None:
    """A diagram may come out of a process that means harm: the web process lays it out."""
    with pytest.raises(BadInput, match="at most 4096 nodes, got 5000"):
        Diagram([Node("a")] * 5000)
    count = 1000
    chain = [Edge(i, i + 1) for i in range(count - 1)]
    Diagram([Node("a")] * count, chain)
    skips = [Edge(i, count - 1) for i in range(count - 2)]
    with pytest.raises(BadInput, match="pass other nodes at most 20000 times in all, here"):
        Diagram([Node("a")] * count, [*chain, *skips])
