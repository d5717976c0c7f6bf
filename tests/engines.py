"""A process of its own for each of Keras's engines: one process can host only one."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

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
