"""difference: exact numbers, what differs in words, and errors that say what does not match."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnlens import (
    Bars,
    CnnlensError,
    Curve,
    Heatmap,
    Model,
    Note,
    Panel,
    Picture,
    Result,
    Sheet,
    Table,
    Tiles,
    difference,
    look,
)
from cnnlens.errors import BadInput, UsageError
from cnnlens.result import SUFFIXES
from cnnlens.testing import picture, tiny_model

FACTS: dict[str, Any] = {
    "visualiser": "grad-cam", "title": "Grad-CAM", "paper": "A, 2016", "link": "https://example.org/",
    "settings": {"layer": "conv", "positive": True}, "model": "net", "framework": "torch",
    "checkpoint": "net.pt", "checkpoint_sha256": "aa" * 32, "image": "cat.png", "image_sha256": "11" * 32,
    "preprocess": {"mean": [0.5], "source": "given"}, "target": "top1", "target_name": "cat", "target_index": 3,
    "score": 1.5, "probability": 0.5, "seconds": 0.25, "versions": {"cnnlens": "0"},
    "verdict": {"level": "valid", "because": []},
}  # fmt: skip
R = np.random.default_rng(0)


def result(*panels: Panel, pixels: Any = None, **facts: Any) -> Result:
    """A result of these panels, with facts that differ from the usual ones in what is named."""
    return Result(panels, FACTS | facts, pixels)


def some(*shape: int) -> Any:
    """Random values."""
    return R.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(
    "make",
    [
        lambda v: Heatmap(v((5, 7)), title="at conv", unit="score"),
        lambda v: Tiles(v((4, 3, 3)), list("abcd"), unit="activation"),
        lambda v: Tiles(v((2, 3, 3, 3)), list("ab"), unit="weight"),
        lambda v: Bars(v((3,)), list("abc"), unit="score", limits=(0, 1)),
        lambda v: Curve(np.arange(6.0), v((2, 6)), ["up", "down"], x_unit="px", unit="score"),
    ],
    ids=["heatmap", "tiles", "coloured tiles", "bars", "curve"],
)
def test_numbers_are_subtracted_exactly_in_their_own_unit(make: Any) -> None:
    a, b = (make(lambda shape: some(*shape)) for _ in range(2))
    (panel,) = difference(result(a), result(b, image="dog.png", image_sha256="22" * 32)).panels
    assert type(panel) is type(a) and panel.values.dtype == np.float32
    assert np.array_equal(panel.values, a.values - b.values)
    assert panel.unit == a.unit and getattr(panel, "signed", True)
    assert getattr(panel, "limits", None) is None
    assert "cat.png − dog.png" in panel.title


def test_pictures_become_what_may_be_negative() -> None:
    colour, grey = np.zeros((4, 5, 3)), np.ones((4, 5, 1))
    taken = difference(result(Picture(colour), Picture(grey)), result(Picture(colour + 0.5), Picture(grey)))
    first, second = taken.panels
    assert isinstance(first, Tiles) and first.signed and (first.values == -0.5).all()
    assert first.values.shape == (1, 4, 5, 3)
    assert isinstance(second, Heatmap) and second.signed and not second.values.any()


def test_bars_are_matched_by_name_and_what_only_one_has_is_told() -> None:
    a, b = Bars([3, 2, 1, 7, 8], ["x", "y", "z", "w", "w"]), Bars([5, 1, 9], ["z", "x", "q"])  # type: ignore[arg-type]
    bars, note = difference(result(a), result(b)).panels
    assert isinstance(bars, Bars) and bars.names == ("x", "z") and bars.values.tolist() == [2, -4]
    assert isinstance(note, Note) and "y, w, q" in note.text and note.text.startswith("Bars: 3 left out")
    same = Bars([1, 2], ["w", "w"])  # type: ignore[arg-type]
    (twice,) = difference(result(same), result(same)).panels  # the very same names stand for the same
    assert isinstance(twice, Bars) and twice.values.tolist() == [0, 0]


def test_tiles_are_matched_by_channel_also_in_another_order() -> None:
    values = some(3, 2, 2)
    a = Tiles(values, ["0", "1", "2"], marks={1: "dead"})
    b = Tiles(values[[2, 0, 1]] * 2, ["2", "0", "1"], marks={2: "dead", 0: "flat"})
    (panel,) = difference(result(a), result(b)).panels
    assert isinstance(panel, Tiles) and np.array_equal(panel.values, values - values * 2)
    assert panel.names == ("0", "1", "2") and panel.marks == {1: "dead", 2: "flat in b"}
    (other,) = difference(result(a), result(Tiles(values, ["0", "x", "2"]))).panels
    assert isinstance(other, Tiles) and other.names == ("0", "1 − x", "2") and not other.values.any()


def test_what_is_not_finite_stays_so_and_is_drawn(tmp_path: Path) -> None:
    a = np.asarray([[np.inf, np.nan], [1, 3e38]], np.float32)
    b = np.asarray([[np.inf, 1], [np.inf, -3e38]], np.float32)
    with np.errstate(all="raise"):
        taken = difference(result(Heatmap(a)), result(Heatmap(b)))
    assert np.array_equal(taken.array, [[np.nan, np.nan], [-np.inf, np.inf]], equal_nan=True)
    assert "not finite" in taken.save(tmp_path / "x.html").read_text()


def map_of(**facts: Any) -> Result:
    """A result of one map."""
    return result(Heatmap(some(2, 2), title="at conv"), **facts)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"image": "dog.png", "image_sha256": "22"}, "cat.png − dog.png"),
        ({"image_sha256": "22" * 32}, "cat.png 11111111 − cat.png 22222222"),
        ({"image": "copy.png"}, "a − b"),
        ({"model": "other"}, "net − other"),
        ({"checkpoint": "b.pt", "checkpoint_sha256": "bb"}, "net.pt − b.pt"),
        ({"checkpoint_sha256": "bb" * 32}, "net.pt aaaaaaaa − net.pt bbbbbbbb"),
        ({"target": "dog", "target_name": "dog", "target_index": 4}, "cat − dog"),
        ({"target": "4", "target_index": 4}, "cat (3) − cat (4)"),
        ({"target": "3"}, "a − b"),
        ({"settings": {"layer": "relu", "positive": True}}, "conv − relu"),
        ({"settings": {"layer": "conv", "positive": False}}, "positive True − positive False"),
        ({"preprocess": {"mean": [0.4], "source": "assumed"}}, "mean [0.5] − mean [0.4]"),
        ({"precision": {"computed_in": "bf16"}}, "full precision − bf16"),
        ({"visualiser": "saliency", "title": "Saliency"}, "Grad-CAM − Saliency"),
        (
            {"image": "dog.png", "image_sha256": "2", "target_name": "dog", "target_index": 4, "score": 2.0},
            "cat.png, cat − dog.png, dog",
        ),
        ({"model": "other", "preprocess": {"mean": [0.4]}, "checkpoint_sha256": "b"}, "net − other"),
        ({"versions": {"cnnlens": "1"}, "seconds": 9.0}, "a − b"),
    ],
)
def test_what_differs_is_named_and_no_more(facts: dict[str, Any], words: str) -> None:
    taken = difference(map_of(), map_of(**facts))
    assert taken.facts["difference"]["words"] == words
    assert taken.caption.count(words) == 1 and taken.panels[0].title == f"at conv: {words}"  # type: ignore[union-attr]


def test_the_caption_says_what_both_share_once() -> None:
    taken = difference(map_of(), map_of(image="dog.png", image_sha256="2"))
    assert taken.caption == "Grad-CAM · cat.png − dog.png · cat (0.50) · conv · net · 0.5 s"
    models = difference(map_of(), map_of(model="other", probability=0.1))
    assert models.caption == "Grad-CAM · net − other · cat · conv · 0.5 s"
    methods = difference(map_of(), map_of(visualiser="saliency", title="Saliency"))
    assert methods.caption.startswith("Grad-CAM − Saliency · cat")


def test_titles_that_differ_are_not_said_twice() -> None:
    a = result(Heatmap(some(2, 2), title="Grad-CAM at conv"))
    b = result(Heatmap(some(2, 2), title="Grad-CAM at relu"), settings={"layer": "relu", "positive": True})
    assert difference(a, b).panels[0].title == "Grad-CAM at conv − Grad-CAM at relu"  # type: ignore[union-attr]


def test_the_facts_hold_both_and_what_they_share(tmp_path: Path) -> None:
    careful = {"level": "approximate", "because": ["it is so"]}
    a, b = map_of(), map_of(image="dog.png", image_sha256="2", verdict=careful, score=float("nan"))
    taken = difference(a, b)
    assert taken.facts["difference"]["a"] == a.facts and taken.facts["difference"]["b"] == b.facts
    assert taken.facts["checkpoint_sha256"] == "aa" * 32 and taken.facts["settings"] == FACTS["settings"]
    assert taken.facts["image"] == "cat.png − dog.png" and "image_sha256" not in taken.facts
    assert taken.is_approximate and taken.facts["verdict"]["because"] == ["it is so"]
    told = json.loads(taken.save(tmp_path / "x.json").read_text(), parse_constant=pytest.fail)
    assert told["facts"]["difference"]["differs"] == {"image": ["cat.png", "dog.png"]}


def test_the_picture_lies_under_it_only_where_both_saw_the_same() -> None:
    pixels = np.full((4, 4, 3), 0.5, np.float32)
    assert difference(map_of(pixels=pixels), map_of(pixels=pixels.copy())).pixels is not None
    assert difference(map_of(pixels=pixels), map_of(pixels=pixels / 2)).pixels is None
    assert difference(map_of(pixels=pixels), map_of(pixels=pixels[:2])).pixels is None


def test_texts_are_kept_with_whose_they_are() -> None:
    panel, shared = Heatmap(some(2, 2)), Table(("a",), [(float("nan"),)])
    a = result(panel, Note("dead"), Note("same"), shared)
    b = result(
        Note("same"), panel, shared, Table(("b",), [(1,)], title="t"), image="dog.png", image_sha256="2"
    )
    taken = difference(a, b)
    assert taken.notes == ("same", "cat.png: dead")
    assert [p.title for p in taken.panels if isinstance(p, Table)] == ["", "dog.png: t"]


@pytest.mark.parametrize(
    ("a", "b", "kind", "words"),
    [
        (Heatmap(np.ones((56, 56))), Heatmap(np.ones((28, 28))), BadInput,
         "28×28 maps cannot be taken from 56×56 ones .* take results of one layer"),
        (Tiles(np.ones((3, 2, 2)), "abc"), Tiles(np.ones((4, 2, 2)), "abcd"), BadInput, "4×2×2 maps"),
        (Picture(np.ones((2, 2, 3))), Picture(np.ones((2, 2, 1))), BadInput, "pictures cannot be taken"),
        (Heatmap(np.ones((2, 2))), Bars(np.ones(2), "ab"), UsageError, "panels Heatmap and .* with Bars"),
        (Note("a"), Heatmap(np.ones((2, 2))), UsageError, "panels none and"),
        (Note("a"), Note("a"), UsageError, "only text"),
        (Bars(np.ones(1), "a"), Bars(np.ones(1), "b"), UsageError, "no name is in both, a here and b there"),
        (Heatmap(np.ones((2, 2)), unit="score"), Heatmap(np.ones((2, 2)), unit="probability"), UsageError,
         "in probability cannot be taken from what is in score"),
        (Curve(np.arange(3.0), np.ones(3)), Curve(np.arange(3.0) * 2, np.ones(3)), BadInput,
         "over 3 points from 0 to 4 cannot be taken from lines over 3 points from 0 to 2"),
    ],
)  # fmt: skip
def test_panels_that_do_not_match_are_refused(
    a: Panel, b: Panel, kind: type[CnnlensError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        difference(result(a), result(b))


def test_real_results_in_every_format(tiny: Model, tmp_path: Path) -> None:
    names = ("grad-cam", "feature-maps", "class-probabilities")
    for name in names:
        a, b = (look(tiny, picture(tiny, seed), name) for seed in (1, 2))
        taken = difference(a, b)
        assert np.array_equal(taken.array, a.array - b.array) or name == "class-probabilities"
        for suffix in SUFFIXES:
            assert taken.save(tmp_path / f"{name}{suffix}").stat().st_size > 300
        assert taken._repr_html_().startswith('<section class="cnnlens">')
        assert taken._repr_png_().startswith(b"\x89PNG")
    assert Sheet((taken, taken)).save(tmp_path / "both.html")[0].is_file()


def test_two_models_and_differences_of_differences(tiny: Model) -> None:
    other = tiny_model()
    other.name = "other"
    a, b = (look(model, picture(model, 1), "grad-cam") for model in (tiny, other))
    first = difference(a, b)
    assert first.facts["difference"]["words"] == "tiny − other" and first.pixels is not None
    assert not first.array.any()
    again = difference(first, difference(b, a))
    assert np.array_equal(again.array, first.array * 2) and "(tiny − other) − (other − tiny)" in again.caption
