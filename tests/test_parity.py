"""The same network in PyTorch and in Keras on each engine shows the same: numbers, not only shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engines import ENGINES, seen

import cnnlens

NET = Path(__file__).with_name("parity_net.py")
TOLERANCE = 1e-4


@pytest.fixture(params=ENGINES)
def pair(request: pytest.FixtureRequest) -> tuple[dict[str, Any], dict[str, Any], str]:
    return seen(NET, "torch", "torch"), seen(NET, "keras", request.param), request.param


def test_parity(pair: tuple[dict[str, Any], dict[str, Any], str]) -> None:
    ours, theirs, engine = pair
    assert str(theirs["framework"]) == f"keras/{engine}" and str(theirs["activation"]) == "softmax"
    names = ours.keys() - {"framework", "activation"}
    assert names == theirs.keys() - {"framework", "activation"}
    errors = {name: _error(theirs[name], ours[name]) for name in names}
    wrong = {name: error for name, error in errors.items() if not error <= TOLERANCE}
    assert not wrong, wrong
    print(f"{engine}: {len(errors)} arrays, largest relative error {max(errors.values()):.2g}")


def test_parity_covers_every_visualiser(pair: tuple[dict[str, Any], dict[str, Any], str]) -> None:
    shown = {name.split("/")[1] for name in pair[1] if name.startswith("look/")}
    first = {"class-probabilities", "feature-maps", "filter-weights", "saliency", "occlusion", "grad-cam"}
    first |= {"cam", "grad-cam++", "xgrad-cam", "hires-cam", "layer-cam", "eigen-cam", "eigen-grad-cam"}
    first |= {"smooth-grad-cam++", "score-cam", "ablation-cam", "finer-cam", "full-grad"}
    first |= {
        "input-x-gradient",
        "smoothgrad",
        "integrated-gradients",
        "gradient-shap",
        "guided-grad-cam",
        "unit",
        "convolution",
        "pooling",
        "activation",
        "dense",
        "receptive-field",
        "pixels",
        "architecture",
    }
    assert first <= shown <= {visualiser.name for visualiser in cnnlens.visualisers()}


def _error(got: Any, wanted: Any) -> float:
    if got.shape != wanted.shape:
        return float("inf")
    size = float(np.abs(wanted).max()) if wanted.size else 0.0
    return float(np.abs(got - wanted).max()) / (size or 1.0)
