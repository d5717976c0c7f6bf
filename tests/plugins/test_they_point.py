"""Do they point where they should?  A cat above a cup of espresso, and both classes asked about.

Held to a threshold is the share of what a map has above zero that lies on the asked thing's half of the picture. With
no idea at all it is a half. Settings are small, to be quick; thresholds are what honest maps reach with room to spare:
class activation maps see little of the other half, gradients scatter.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from needs import need

import cnnlens
from cnnlens import Array, Heatmap, Model, Probe, look

CAT, ESPRESSO = "Egyptian cat", "espresso"
QUICK: dict[str, dict[str, Any]] = {
    "smoothgrad": {"samples": 5},
    "integrated-gradients": {"steps": 12},
    "gradient-shap": {"samples": 12},
    "smooth-grad-cam++": {"n": 4},
    "score-cam": {"channels": 32},
    "occlusion": {"window": 0.25, "stride": 0.125},
    "rise": {"masks": 100, "cells": 4},
    "lime": {"samples": 60, "cut": "grid", "regions": 16},
    "kernel-shap": {"samples": 16, "cut": "grid", "regions": 4},
    "extremal": {"steps": 30},
}

#: Method → the least share on the cat's half for the cat, and on the espresso's half for the espresso.
POINT = {
    "ablation-cam": (0.8, 0.7), "cam": (0.8, 0.7), "grad-cam": (0.8, 0.7), "hires-cam": (0.8, 0.7),
    "xgrad-cam": (0.8, 0.7), "finer-cam": (0.8, 0.7), "score-cam": (0.8, 0.65), "guided-grad-cam": (0.8, 0.7),
    "eigen-grad-cam": (0.7, 0.6),
    # without negative slopes what speaks against the class stays in the map
    "layer-cam": (0.65, 0.55), "grad-cam++": (0.65, 0.55), "smooth-grad-cam++": (0.65, 0.55),
    # the sum of what every channel has, whether it is loud or not
    "full-grad": (0.55, 0.53),
    "extremal": (0.8, 0.7), "kernel-shap": (0.8, 0.8), "lime": (0.8, 0.8), "occlusion": (0.75, 0.7),
    "rise": (0.75, 0.7),
    "lrp": (0.8, 0.7), "deeplift": (0.65, 0.65),
    "saliency": (0.55, 0.6), "smoothgrad": (0.55, 0.53), "integrated-gradients": (0.55, 0.55),
}  # fmt: skip
#: Where a half hides nothing, what the map has there for its own class is compared with what it has for the other.
LEAN = {
    "input-x-gradient": "a dark table is far from the grey that is fed as 0, so its pixels count most for both",
    "gradient-shap": "as input × gradient, along its ways from black and white",
    "guided-backprop": "edges of the picture, of which the cat has more; the class hardly tips them",
}
#: What hangs on no class, or on nothing in the picture, and need not point.
EXEMPT = {
    "eigen-cam": "knows no class: what the maps have in common",
    "deconvnet": "without max-pooling the picture has no say: the grid of the strides, for every class",
}


def sheet() -> Any:
    """The script that draws the sheet; it makes the picture."""
    place = Path(__file__).parents[2] / "docs" / "make_sheet.py"
    spec = importlib.util.spec_from_file_location("make_sheet", place)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pair(lite0: Model, cat: Path) -> Probe:
    image = need("PIL.Image")
    return Probe(lite0, sheet().below(image.open(cat), None))


def upper(values: Array) -> float:
    """The share of what is above zero that lies in the upper half; a middle row counts half."""
    rows = np.maximum(values, 0).sum(1, dtype=np.float64)
    half = len(rows) // 2
    return float((rows[:half].sum() + rows[half : len(rows) - half].sum() / 2) / rows.sum())


def shares(pair: Probe, name: str) -> tuple[float, float]:
    """The upper half's share of the map for the cat, and of that for the espresso."""
    maps = (look(pair.model, pair, name, target=target, **QUICK.get(name, {})) for target in (CAT, ESPRESSO))
    cat, espresso = (upper(result.array) for result in maps)
    return cat, espresso


def test_the_network_sees_both(pair: Probe) -> None:
    first = np.argsort(-pair.probabilities)[:2]
    assert {pair.model.class_name(index) for index in first} == {CAT, ESPRESSO}
    assert pair.probabilities[first].min() > 0.1


def test_every_explanation_is_spoken_of() -> None:
    names = {v.name for v in cnnlens.visualisers() if v.by_target} | {"eigen-cam"}
    ours = {name for name in names if cnnlens.registry.installed().origin(name).name.startswith("cnnlens:")}
    ours -= {v.name for v in cnnlens.visualisers() if v.family == "taken apart"}  # sums, not pictures of why
    assert ours == POINT.keys() | LEAN.keys() | EXEMPT.keys()


@pytest.mark.parametrize("name", POINT)
def test_it_points_at_what_is_asked(pair: Probe, name: str) -> None:
    cat, espresso = shares(pair, name)
    assert cat >= POINT[name][0] and 1 - espresso >= POINT[name][1], (cat, 1 - espresso)


@pytest.mark.parametrize("name", LEAN)
def test_it_leans_towards_what_is_asked(pair: Probe, name: str) -> None:
    cat, espresso = shares(pair, name)
    assert cat >= espresso + 0.05, (cat, espresso)


def test_a_map_upside_down_would_be_found(pair: Probe) -> None:
    result = look(pair.model, pair, "grad-cam", target=CAT)
    assert isinstance(result.panels[0], Heatmap) and upper(result.array[::-1]) < 0.2
