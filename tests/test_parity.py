"""The same network in PyTorch and in Keras on each engine shows the same: numbers, not only shapes."""

from __future__ import annotations

import functools
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cnnlens

NET = Path(__file__).with_name("parity_net.py")
TOLERANCE = 1e-4


@functools.cache
def seen(framework: str, engine: str = "") -> dict[str, Any]:
    """What a process of its own sees in the network; Keras can have only one engine in each."""
    env = {**os.environ, "KERAS_BACKEND": engine, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "seen.npz"
        done = subprocess.run(
            [sys.executable, str(NET), framework, str(out)],
            env=env,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        with np.load(out) as arrays:
            return dict(arrays)


@pytest.fixture(params=["torch", "jax", "tensorflow"])
def pair(request: pytest.FixtureRequest) -> tuple[dict[str, Any], dict[str, Any], str]:
    for package in ("torch", "keras", request.param):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    return seen("torch"), seen("keras", request.param), request.param


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
    assert shown == {visualiser.name for visualiser in cnnlens.visualisers()}


def _error(got: Any, wanted: Any) -> float:
    if got.shape != wanted.shape:
        return float("inf")
    size = float(np.abs(wanted).max()) if wanted.size else 0.0
    return float(np.abs(got - wanted).max()) / (size or 1.0)
