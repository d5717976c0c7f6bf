"""A process of its own for each of Keras's engines: one process can host only one."""

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
from needs import need

ENGINES = ("torch", "jax", "tensorflow")


def run_on(engine: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments and Keras on that engine, on the CPU; skip or fail if it is missing."""
    for package in ("keras", engine):
        if importlib.util.find_spec(package) is None:
            need(package)
    quick = "--xla_backend_optimization_level=0"  # compiling takes jax longer than these small networks
    env = {
        "KERAS_BACKEND": engine,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
        "XLA_FLAGS": quick,
    }
    return subprocess.run(
        [sys.executable, *arguments], env={**os.environ, **env}, capture_output=True, text=True, timeout=400
    )


@functools.cache
def seen(net: Path, framework: str, engine: str) -> dict[str, Any]:
    """What a process of its own sees in a network: the arrays that `python NET framework OUT.npz` writes."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "seen.npz"
        done = run_on(engine, str(net), framework, str(out))
        assert done.returncode == 0, done.stderr[-4000:]
        with np.load(out) as arrays:
            return dict(arrays)
