"""Keras on each of its engines; what is checked stands in `keras_checks.py`."""

from __future__ import annotations

from pathlib import Path

import pytest
from engines import ENGINES, run_on

CHECKS = Path(__file__).with_name("keras_checks.py")


@pytest.mark.parametrize("engine", ENGINES)
def test_keras_on(engine: str) -> None:
    # Keras's own way into NumPy 2 is deprecated; cnnlens takes another
    ours = ["-W", "ignore:__array__ implementation:DeprecationWarning"]
    done = run_on(engine, "-m", "pytest", "-q", "-p", "no:cacheprovider", *ours, str(CHECKS))
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
