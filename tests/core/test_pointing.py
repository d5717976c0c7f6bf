"""Links and outlines: what a click opens, and what lies over a map in every way of drawing it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnlens.errors import BadInput
from cnnlens.panels import Bars, Heatmap, Picture, Tiles, describe
from cnnlens.pointing import Link, Outline
from cnnlens.render.card import draw_panel
from cnnlens.render.html import panel_html
from cnnlens.render.style import Style
from cnnlens.result import Result

RAMP = np.arange(16, dtype=np.float32).reshape(4, 4) / 4


def test_a_link_says_where_a_place_leads() -> None:
    link = Link(
        "convolution", {"layer": "a"}, place="place", tile="unit", start=(-1, 3), step=(2, 1), within=(9, 9)
    )
    assert link.at(1, 2, "7") == {"layer": "a", "place": "1,5", "unit": "7"}
    assert link.at(0, 0, "7") is None, "row -1 is padding"
    assert link.at(5, 0, "7") is None and link.at(1, 6, "7") is None, "behind the border"
    assert Link("x", {"n": 1}).at(3, 4) == {"n": 1}


@pytest.mark.parametrize("box", [(0, 0, 1), (2, 0, 1, 1), (0, 0, np.nan, 1), (0, 1, 1, 0)])
def test_an_outline_is_a_box(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(BadInput, match="an outline is"):
        Outline(box)


def test_what_lies_beyond_the_border_is_cut() -> None:
    assert Outline((-2, 1, 3, 99)).within(4, 4) == (0, 1, 3, 4)
    assert Outline((4, 0, 6, 2)).within(4, 4) is None


def test_outlines_and_links_fit_their_panel() -> None:
    with pytest.raises(BadInput, match="outlines name tiles"):
        Tiles(RAMP[None], ["a"], outlines=[Outline((0, 0, 1, 1), tile=1)])
    with pytest.raises(BadInput, match="one for each"):
        Bars(np.ones(2), ["a", "b"], opens=[Link("x")])
    told = describe(Bars(np.ones(1), ["a"], opens=[Link("x", {"n": 2})]))
    assert told["opens"][0]["visualiser"] == "x" and told["opens"][0]["settings"] == {"n": 2}
    assert "opens" not in describe(Heatmap(RAMP)) and "outlines" not in describe(Heatmap(RAMP))


@pytest.mark.parametrize(
    "panel",
    [
        Heatmap(np.tile(RAMP, (5, 5)), outlines=[Outline((2, 2, 12, 12))]),
        Tiles(np.stack([np.tile(RAMP, (5, 5))] * 2), ["a", "b"], outlines=[Outline((2, 2, 12, 12), tile=1)]),
        Picture(np.full((20, 20, 3), 0.5), outlines=[Outline((2, 2, 12, 12))]),
    ],
    ids=lambda panel: type(panel).__name__,
)
def test_outlines_are_drawn(panel: Heatmap | Tiles | Picture, tmp_path: Path) -> None:
    bare = type(panel)(**{**vars(panel), "outlines": ()})
    with_, without = (np.asarray(draw_panel(one, None, Style())).astype(int) for one in (panel, bare))
    changed = np.abs(with_ - without).sum(-1) > 0
    assert 0 < changed.mean() < 0.2, "lines alone are drawn"
    assert panel_html(panel, None, Style()).count('class="outline"') == 1
    facts = {"title": "T", "seconds": 0.1, "settings": {}, "visualiser": "x", "model": "m"}
    for one, name in ((panel, "with.svg"), (bare, "without.svg")):
        Result((one,), facts).save(tmp_path / name)
    assert (tmp_path / "with.svg").read_text() != (tmp_path / "without.svg").read_text()


def test_values_are_written_where_there_is_room() -> None:
    small = panel_html(Heatmap(RAMP), None, Style())
    assert "<b>0.25</b>" in small and "3.75" in small
    assert "<b" not in panel_html(Heatmap(np.tile(RAMP, (3, 3))), None, Style()), "12 places are too many"
    assert panel_html(Tiles(RAMP[None].repeat(17, 0), [""] * 17), None, Style()).count("<b") == 0
    tiles = panel_html(Tiles(RAMP[None].repeat(2, 0), ["a", "b"]), None, Style())
    assert tiles.count("<b") == 32
    plain = np.asarray(draw_panel(Picture(np.zeros((4, 4, 1))), None, Style()))
    assert len(np.unique(plain)) == 1, "pixels as they are have no numbers on them"


def test_a_written_value_is_read_on_light_and_dark() -> None:
    html = panel_html(Heatmap(np.asarray([[0.0, 1.0]], np.float32)), None, Style(colours="gray"))
    assert "<b>0</b>" in html and "<b class=dark>1</b>" in html
    out = io.BytesIO()
    draw_panel(Heatmap(np.asarray([[0.0, 1.0]], np.float32)), None, Style(colours="gray")).save(out, "PNG")
    drawn = np.asarray(Image.open(out).convert("L"))[:180, :360]
    assert drawn[:, :170].max() == 255 and drawn[:, 190:350].min() == 0
