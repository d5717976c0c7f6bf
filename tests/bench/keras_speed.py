"""Keras on TensorFlow: saliency and SmoothGrad against tf-keras-vis, xplique and bare compiled passes.

TensorFlow's peers want other versions than the rest of the tests, so they and ours run in a process of their
own: the interpreter that CNNLENS_TF_PEERS names. It needs tensorflow-cpu, keras, tf-keras-vis, xplique,
tensorflow_probability, tf_keras, and what cnnlens stands on; cnnlens itself is taken from this folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from .measure import Row

INTERPRETER = "CNNLENS_TF_PEERS"
ROOT = Path(__file__).parents[2]


def rows(turns: int) -> Iterator[Row]:
    """The rows that the other process measures, as it tells them."""
    interpreter = os.environ.get(INTERPRETER)
    if not interpreter:
        told = f"keras_speed: left out; set {INTERPRETER} to a Python that has tf-keras-vis and xplique"
        print(told, file=sys.stderr)
        return
    # a package of the peers brings a `tests` of its own, so ours is entered one room further in
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "plugins", ROOT / "tests")))
    own = {"PYTHONPATH": paths, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [interpreter, "-m", "bench.keras_peers", str(turns)]
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **own}, stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout or ():
            if line.startswith("{"):
                facts = json.loads(line)
                facts.pop("reached")
                yield Row(**facts)
            else:
                print(line, end="", file=sys.stderr)
    if process.returncode:
        raise RuntimeError(f"keras_speed: {interpreter} ended with {process.returncode}")
