"""Compiled passes of Keras on the engines that compile; what is checked stands in `keras_compiled_checks.py`."""

from __future__ import annotations

from pathlib import Path

import pytest
from engines import run_on

CHECKS = Path(__file__).with_name("keras_compiled_checks.py")


@pytest.mark.parametrize("engine", ["jax", "tensorflow"])
def test_compiled_passes_on(engine: str) -> None:
    ours = ["-W", "ignore:__array__ implementation:DeprecationWarning"]
    done = run_on(engine, "-m", "pytest", "-q", "-p", "no:cacheprovider", *ours, str(CHECKS))
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
