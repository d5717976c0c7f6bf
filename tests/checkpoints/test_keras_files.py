"""Keras files of every age open and predict what their writer predicted; see `keras_file_checks.py`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from engines import run_on
from needs import need_installed

HERE = Path(__file__).parent


def test_files_of_keras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_installed("tf_keras")
    written = subprocess.run(
        [sys.executable, HERE / "keras2_writer.py", tmp_path],
        capture_output=True, text=True, timeout=300,
        env={**os.environ, "KERAS_BACKEND": "tensorflow"},
    )  # fmt: skip
    assert written.returncode == 0, written.stderr[-4000:]
    monkeypatch.setenv("CNNLENS_TEST_KERAS2", str(tmp_path))
    # Keras's own way into NumPy 2 is deprecated; cnnlens takes another
    ours = ["-W", "ignore:__array__ implementation:DeprecationWarning"]
    checks = str(HERE / "keras_file_checks.py")
    done = run_on("torch", "-m", "pytest", "-q", "-p", "no:cacheprovider", *ours, checks)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
