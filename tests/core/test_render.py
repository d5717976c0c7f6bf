"""Colours: zero is the middle, NaN is marked, scales are shared or not, the tables are the known ones."""

from __future__ import annotations

import numpy as np
import pytest

from cnnlens import Heatmap, Tiles
from cnnlens.errors import UnknownName
from cnnlens.render.colour import GAP, LEVELS, ODD, brief, codes_of, limits_of, tables
from cnnlens.render.raster import draw_heatmap, draw_tiles, overlay
from cnnlens.render.style import DIVERGING, SEQUENTIAL, Style


def test_limits() -> None:
    assert limits_of(np.asarray([-1.0, 3.0], np.float32), True) == (-3, 3)
    assert limits_of(np.asarray([1.0, 3.0], np.float32), False) == (0, 3)
    assert limits_of(np.asarray([-1.0, 3.0, np.inf], np.float32), False) == (-1, 3)
    assert limits_of(np.asarray([np.nan], np.float32), True) == (-1, 1)


def test_levels() -> None:
    values = np.asarray([-2, 0, 2, np.nan, np.inf], np.float32)
    assert codes_of(values, (-2, 2), True).tolist() == [0, 126, 252, ODD, ODD]
    assert codes_of(values[:3], (0, 2), False).tolist() == [0, 0, 252]
    assert codes_of(np.zeros(2, np.float32), (0, 0), True).tolist() == [126, 126]
    assert codes_of(np.zeros(2, np.float32), (0, 0), False).tolist() == [0, 0]
    lopsided = codes_of(np.asarray([0.0], np.float32), (-1, 5), True)
    assert lopsided.tolist() == [126]  # zero stays the middle of a signed scale


def test_each_tile_on_its_own_scale() -> None:
    values = np.asarray([[[0, 1]], [[0, 10]]], np.float32)
    own = codes_of(values, np.asarray([[0, 1], [0, 10]], np.float32), False)
    assert own.tolist() == [[[0, 252]], [[0, 252]]]
    assert codes_of(values, (0, 10), False)[0].max() == 25


@pytest.mark.parametrize("name", [*SEQUENTIAL, *DIVERGING])
def test_the_tables_are_matplotlibs(name: str) -> None:
    import matplotlib

    theirs = matplotlib.colormaps[name](np.linspace(0, 1, LEVELS))[:, :3] * 255
    assert np.abs(tables()[name].astype(float) - theirs).max() <= 4


def lightness(colours: np.ndarray) -> np.ndarray:
    """CIE L* of sRGB colours (n, 3) in 0 … 255."""
    shares = colours / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    y = linear @ [0.2126, 0.7152, 0.0722]
    return np.where(y > 0.008856, 116 * np.cbrt(y) - 16, 903.3 * y)


@pytest.mark.parametrize("name", ["viridis", "cividis", "inferno", "magma", "gray"])
def test_sequential_defaults_grow_lighter_all_the_way(name: str) -> None:
    assert np.diff(lightness(tables()[name].astype(float))).min() > -0.35


@pytest.mark.parametrize("name", ["RdBu_r", "berlin"])
def test_diverging_defaults_are_darkest_or_lightest_at_zero(name: str) -> None:
    light = lightness(tables()[name].astype(float))
    middle = light[(LEVELS - 1) // 2]
    assert middle > light[[0, -1]].max() + 30 if name == "RdBu_r" else middle < light[[0, -1]].min() - 30


def test_themes_choose_their_tables() -> None:
    assert Style().table_name(True) == "RdBu_r" and Style(theme="dark").table_name(True) == "berlin"
    assert Style().table_name(False) == "viridis" and Style(colours="cividis").table_name(False) == "cividis"
    with pytest.raises(UnknownName, match="did you mean 'viridis'"):
        Style(colours="virids")


def test_an_atlas_has_a_pixel_a_value_and_a_gap_between() -> None:
    values = np.arange(5 * 2 * 3, dtype=np.float32).reshape(5, 2, 3)
    atlas = draw_tiles(Tiles(values, range(5)), Style(), columns=2)  # type: ignore[arg-type]
    codes = np.asarray(atlas)
    assert atlas.mode == "P" and codes.shape == (8, 7)
    assert (codes[:, 3] == GAP).all() and (codes[2] == GAP).all() and (codes[6:, 4:] == GAP).all()
    assert codes[0, 0] == 0 and codes[7, 2] == 252
    page = draw_tiles(Tiles(values, range(5)), Style(first=4, count=9), columns=2)  # type: ignore[arg-type]
    assert page.size == (7, 2)


def test_a_heatmap_is_a_palette_image_and_an_overlay_covers_the_picture() -> None:
    panel = Heatmap(np.asarray([[0, 1], [2, np.nan]]), signed=False)
    image = draw_heatmap(panel, Style())
    assert image.mode == "P" and np.asarray(image).tolist() == [[0, 126], [252, ODD]]
    assert image.convert("RGB").getpixel((1, 1)) == (255, 0, 255)
    white = np.ones((4, 4, 3), np.float32)
    clear = overlay(panel, white, Style(alpha=0.0), (8, 8))
    assert clear.getpixel((0, 0)) == (255, 255, 255)
    full = overlay(panel, white, Style(alpha=1.0), (8, 8))
    assert full.getpixel((0, 0)) == tuple(tables()["viridis"][0])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0, "0"), (-0.0, "0"), (0.1234, "0.123"), (-0.5, "−0.5"), (-0.0476, "−0.048"), (-0.00953, "−0.01"),
        (6.21e-05, "6.2e−5"),
        (-6.25e-05, "−6e−5"), (-1.234e-12, "−1e−12"), (1234567.0, "1.23e6"), (float("nan"), "nan"),
    ],
)  # fmt: skip
def test_numbers_have_room_in_a_place(value: float, words: str) -> None:
    assert brief(value) == words and len(words) <= 6
