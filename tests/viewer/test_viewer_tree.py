"""The list of layers as the page has it: labels, depths, headings, words."""

from __future__ import annotations

from typing import Any

import pytest

from cnnlens.viewer.layer_tree import grouped, settings_of, tree_of, words_of


def layer(name: str, kind: str = "convolution", **hyper: Any) -> dict[str, Any]:
    """A layer as the API tells it."""
    return {"name": name, "kind": kind, "shape": [8, 8, 4], "parameters": 1234, "hyper": hyper}


def rows(*names: str, blocks: tuple[str, ...] = ()) -> list[tuple[str, int, str]]:
    """Label, depth and prefix of each row."""
    found = tree_of([layer(name, "block" if name in blocks else "convolution") for name in names])
    return [(row.label, row.depth, row.prefix) for row in found]


def test_names_are_told_by_what_they_add() -> None:
    assert rows("conv1", "layer1", "layer1.0", "layer1.0.conv1", "fc", blocks=("layer1", "layer1.0")) == [
        ("conv1", 0, ""), ("layer1", 0, ""), ("0", 1, ""), ("conv1", 2, ""), ("fc", 0, ""),
    ]  # fmt: skip


def test_a_folder_that_is_no_layer_gets_a_heading_where_it_holds_several() -> None:
    assert rows("features.0", "features.1", "features.2", "head.0") == [
        ("features", 0, "features."), ("0", 1, ""), ("1", 1, ""), ("2", 1, ""), ("head.0", 0, ""),
    ]  # fmt: skip


def test_keras_paths_have_slashes() -> None:
    assert rows("net", "net/conv", "net/relu", blocks=("net/",)) == [
        ("net", 0, ""), ("net/conv", 0, ""), ("net/relu", 0, ""),
    ]  # fmt: skip
    assert [row[:2] for row in rows("net/a", "net/b", "net/c")] == [("net", 0), ("a", 1), ("b", 1), ("c", 1)]


def test_no_row_is_deeper_than_the_page_indents() -> None:
    name = ".".join("abcdefgh")
    names = [name[: 2 * i + 1] for i in range(8)]
    assert max(depth for _, depth, _ in rows(*names, blocks=tuple(names))) == 5


@pytest.mark.parametrize(
    ("hyper", "words", "settings"),
    [
        ({"kernel": (3, 3), "stride": (2, 2), "groups": 1, "padding": (0, 0)},
         "convolution · 8×8×4 · kernel 3×3 · stride 2×2 · 1\N{THIN SPACE}234 parameters", "kernel 3×3, stride 2×2"),
        ({"kernel": (1, 1), "groups": 4, "dilation": (2, 2), "stride": (1, 1)},
         "convolution · 8×8×4 · kernel 1×1 · stride 1×1 · 4 groups · 1\N{THIN SPACE}234 parameters",
         "kernel 1×1, groups 4, dilation 2×2"),
        ({"padding": ((0, 1), (0, 1))}, "convolution · 8×8×4 · 1\N{THIN SPACE}234 parameters", "padding 0×1×0×1"),
    ],
)  # fmt: skip
def test_a_layer_in_words(hyper: dict[str, Any], words: str, settings: str) -> None:
    assert words_of(layer("a", **hyper)) == words
    assert settings_of(layer("a", **hyper)) == settings


def test_thousands_stand_apart() -> None:
    assert [grouped(n) for n in (7, 1234, 25557032)] == [
        "7",
        "1\N{THIN SPACE}234",
        "25\N{THIN SPACE}557\N{THIN SPACE}032",
    ]
