"""Keras on each of its engines. A process can host only one, so each runs `keras_checks.py` in its own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKS = Path(__file__).with_name("keras_checks.py")


@pytest.mark.parametrize("engine", ["torch", "jax", "tensorflow"])
def test_keras_on(engine: str) -> None:
    for package in ("keras", engine):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    # Keras's own way into NumPy 2 is deprecated; cnnlens takes another
    ours = ["-W", "ignore:__array__ implementation:DeprecationWarning"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *ours, str(CHECKS)],
        env={**os.environ, "KERAS_BACKEND": engine, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
