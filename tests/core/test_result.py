"""Results save themselves whole or not at all, and every way of showing them keeps the numbers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import cnnlens
from cnnlens import Bars, Curve, Heatmap, Model, Note, Picture, Probe, Result, Table, Tiles, look, visualiser
from cnnlens.errors import BadInput, UnknownName, UsageError
from cnnlens.testing import picture


@visualiser(title="All panels")
def all_panels(probe: Probe) -> list[Any]:
    """One of each, with what is awkward: NaN, names like markup, many bars."""
    values = np.asarray(probe.activations("conv")[..., 0]).copy()
    values[0, 0] = np.nan
    return [
        Heatmap(values, signed=True, title="a <b>map</b>", unit="score", means="more is more"),
        Heatmap(np.abs(values)),
        Tiles(np.abs(values)[None].repeat(5, 0), list("abcde"), marks={1: "dead"}),
        Tiles(np.random.default_rng(0).standard_normal((70, 3, 3, 3)), range(70), signed=True),  # type: ignore[arg-type]
        Picture(probe.pixels, title="as seen"),
        Bars([0.5, 0.25], ["<script>alert(1)</script>", "b"], limits=(0, 1), unit="probability"),  # type: ignore[arg-type]
        Bars(np.arange(100.0), [str(i) for i in range(100)]),
        Curve(np.arange(4.0), np.asarray([[1, 2, 3, 4], [4, 3, np.nan, 1.0]]), ["up", "down"]),
        Table(("layer", "share"), [("conv", 0.123456), ("relu", 1)]),
        Note("a sentence & more"),
    ]


@pytest.fixture
def result(tiny: Model) -> Result:
    return look(tiny, picture(tiny), all_panels)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_png_is_a_picture_with_something_on_it(result: Result, tmp_path: Path, theme: str) -> None:
    with Image.open(result.save(tmp_path / "x.png", theme=theme)) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert len(np.unique(pixels.astype(np.uint32) @ [1, 256, 65536])) > 200
    assert pixels[0, 0].mean() > 200 if theme == "light" else pixels[0, 0].mean() < 50
    assert (pixels == (255, 0, 255)).all(-1).any()  # the NaN is marked


def test_an_npz_holds_raw_values_and_the_manifest(result: Result, tmp_path: Path) -> None:
    with np.load(result.save(tmp_path / "x.npz"), allow_pickle=False) as held:
        assert np.array_equal(held["panel0"], result.panels[0].values, equal_nan=True)  # type: ignore[union-attr]
        assert np.nanmin(held["panel0"]) < 0 and np.isnan(held["panel0"][0, 0])
        manifest = json.loads(str(held["manifest"]))
    assert manifest["facts"]["target_name"] == result.facts["target_name"]
    assert [p["kind"] for p in manifest["panels"]] == [type(p).__name__ for p in result.panels]
    assert manifest["panels"][8]["rows"] == [["conv", 0.123456], ["relu", 1]]


def test_json_has_no_nan(result: Result, tmp_path: Path) -> None:
    text = result.save(tmp_path / "x.json").read_text()
    told = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert told["values"][0][0][0] is None
    assert told["values"][1][2][3] == pytest.approx(float(result.panels[1].values[2, 3]))  # type: ignore[union-attr]


def test_html_needs_nothing_else_and_escapes_every_word(result: Result, tmp_path: Path) -> None:
    text = result.save(tmp_path / "x.html").read_text()
    assert "<script" not in text and "&lt;script&gt;" in text and "<b>map" not in text
    assert not re.findall(r'(?:src|href)="(?!data:)[^"]*"', text)
    alts = re.findall(r'<img[^>]* alt="([^"]*)"', text)
    assert all(alts) and len(alts) == text.count("<img") == 3 + 3 + 5 + 64 + 1 + 1 + 1


@pytest.mark.parametrize("suffix", [".svg", ".pdf"])
def test_figures(result: Result, tmp_path: Path, suffix: str) -> None:
    assert result.save(tmp_path / f"x{suffix}").stat().st_size > 2000
    assert len(result.figure().axes) >= len(result.panels)


def test_figures_are_made_without_pyplot() -> None:
    made = "look(tiny_model(), picture(tiny_model()), 'occlusion').figure()"
    code = f"import sys; from cnnlens import look; from cnnlens.testing import *; {made}; "
    subprocess.run([sys.executable, "-c", code + "assert 'matplotlib.pyplot' not in sys.modules"], check=True)


def test_it_shows_itself_in_a_notebook(result: Result) -> None:
    assert result._repr_png_().startswith(b"\x89PNG")
    assert result._repr_html_().startswith('<section class="cnnlens">')


def test_nothing_is_left_of_a_file_that_could_not_be_written(result: Result, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="theme"):
        result.save(tmp_path / "x.png", theme="sepia")
    with pytest.raises(UsageError, match="the suffix is one of"):
        result.save(tmp_path / "x.bmp")
    with pytest.raises(UsageError, match="no folder"):
        result.save(tmp_path / "nowhere" / "x.png")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_there_outlives_a_failed_save(result: Result, tmp_path: Path) -> None:
    file = tmp_path / "x.png"
    file.write_bytes(b"old")
    with pytest.raises(UsageError):
        result.save(file, alpha=7)
    assert file.read_bytes() == b"old"


def test_a_sheet_goes_into_a_folder_or_a_page(tiny: Model, tmp_path: Path) -> None:
    made = cnnlens.sheet(tiny, [picture(tiny, 1), picture(tiny, 2)], ["grad-cam"], targets=["top1", "top2"])
    names = [path.name for path in made.save(tmp_path / "out")]
    assert len(set(names)) == 4 and all(n.startswith("array-grad-cam-") for n in names)
    made.save(tmp_path / "all.html")
    assert (tmp_path / "all.html").read_text().count("<section") == 4
    with (
        Image.open(made.save(tmp_path / "all.png")[0]) as whole,
        Image.open(made[0].save(tmp_path / "a.png")) as one,
    ):
        assert whole.width * whole.height > 3 * one.width * one.height
    with np.load(made.save(tmp_path / "all.npz")[0], allow_pickle=False) as held:
        assert all(np.array_equal(held[f"{n}/panel0"], one.array) for n, one in enumerate(made))
    assert made.save(tmp_path / "all.pdf")[0].read_bytes().count(b"/Type /Page ") == 4
    assert len(json.loads(made.save(tmp_path / "all.json")[0].read_text())["results"]) == 4
    with pytest.raises(UsageError, match="no result to write"):
        cnnlens.Sheet(()).save(tmp_path / "none.png")


def test_a_report_tells_of_each_model_once(result: Result, tmp_path: Path) -> None:
    weights = {"model": "trained", "checkpoint": "b.pt", "checkpoint_sha256": "beef" * 16, "image": "b.png"}
    other = Result(result.panels, {**result.facts, **weights}, result.pixels)
    made = cnnlens.Sheet((result, result, cnnlens.difference(other, result)))
    text = made.save(tmp_path / "x.html", theme="dark")[0].read_text()
    header = text.partition("</header>")[0]
    assert header.count("<dl>") == 2 and header.count("beef" * 16) == 1 and "Preprocessing" in header
    assert header.count('<a href="#r') == 3 and 'class="dark"' in text and "trained − tiny" in header
    assert "content=\"default-src 'none';" in text


@pytest.mark.parametrize(
    "make",
    [
        lambda: Heatmap(np.zeros((2, 2, 3))),
        lambda: Heatmap(np.zeros((0, 2))),
        lambda: Tiles(np.zeros((2, 3, 3)), ["a"]),
        lambda: Tiles(np.zeros((2, 3, 3, 4)), ["a", "b"]),
        lambda: Tiles(np.zeros((2, 3, 3)), ["a", "b"], limits=np.zeros((3, 2))),
        lambda: Tiles(np.zeros((2, 3, 3)), ["a", "b"], marks={2: "dead"}),
        lambda: Picture(np.zeros((2, 2, 2))),
        lambda: Bars(np.zeros(2), ["a"]),
        lambda: Curve(np.zeros(3), np.zeros(4)),
        lambda: Table(("a", "b"), [("x",)]),
    ],
)
def test_a_panel_that_does_not_fit_is_refused(make: Any) -> None:
    with pytest.raises(BadInput):
        make()


def test_a_nan_among_the_facts_is_null(tiny: Model, tmp_path: Path) -> None:
    result = look(tiny, picture(tiny), all_panels)
    odd = Result(result.panels, {**result.facts, "score": float("nan")}, result.pixels)
    told = json.loads(odd.save(tmp_path / "x.json").read_text(), parse_constant=pytest.fail)
    assert told["facts"]["score"] is None


def test_names_with_line_ends_and_dollars_are_drawn(tiny: Model, tmp_path: Path) -> None:
    @visualiser(title="Costs $x$")
    def costs(probe: Probe) -> Bars:
        """Names that drawing trips over."""
        return Bars([1.0, 2.0], ["two\nlines", r"$x$ $\foo$"], title="$5 and $6")  # type: ignore[arg-type]

    result = look(tiny, picture(tiny), costs)
    for suffix in (".png", ".svg", ".html"):
        assert result.save(tmp_path / f"x{suffix}").stat().st_size > 500


def test_options_of_drawing_are_checked(result: Result) -> None:
    with pytest.raises(UnknownName, match="did you mean 'alpha'"):
        result.image(alfa=0.5)
    with pytest.raises(UsageError, match="alpha is a number"):
        result.image(alpha="x")
    with pytest.raises(UsageError, match="there are 5, counted from 0"):
        result.image(first=6)


def test_a_link_is_followed_and_odd_places_are_told(result: Result, tmp_path: Path) -> None:
    (tmp_path / "link.npz").symlink_to(tmp_path / "real.npz")
    result.save(tmp_path / "link.npz")
    assert (tmp_path / "link.npz").is_symlink() and (tmp_path / "real.npz").is_file()
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UsageError, match="is not a file"):
        result.save(tmp_path / "folder.png")
    with pytest.raises(UsageError, match="longer than a file name"):
        result.save(tmp_path / f"{'a' * 260}.png")
    assert len(list(tmp_path.iterdir())) == 3
