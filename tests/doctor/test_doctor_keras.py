"""The doctor on a Keras net whose preprocessing is known, in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import shapes

SCRIPT = Path(__file__).with_name("keras_doctor.py")


@pytest.mark.parametrize("how", ["caffe", "-1..1 BGR"])
def test_the_right_preprocessing_is_found_on_keras(how: str, tmp_path: Path) -> None:
    for package in ("keras", "torch"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    folder = shapes.write(tmp_path, 16)
    done = subprocess.run(
        [sys.executable, str(SCRIPT), how, str(folder)],
        env={
            **os.environ, "KERAS_BACKEND": "torch", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "",
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
        capture_output=True,
        text=True,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.rpartition("told:")[2])
    assert told["framework"] == "keras/torch" and told["untouched"]
    assert len(told["candidates"]) >= 6
    assert told["verdict"]["told"] and told["verdict"]["best"] == how, told["verdict"]
    codes = {finding["code"] for finding in told["findings"]}
    assert codes == {"preprocessing"}  # a fused softmax is seen; opened as unit, which it was not
