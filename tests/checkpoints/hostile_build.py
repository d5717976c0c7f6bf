"""Builds the corpus in a folder: `python hostile_build.py FOLDER`, in a process with an engine of its own."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import hostile_archives  # noqa: F401 - registers its files
import hostile_keras
import hostile_torch  # noqa: F401
from hostile import CORPUS, saved, weights


def build(folder: Path) -> None:
    """The corpus, and beside it honest files to warm up on."""
    import safetensors.torch

    for name, case in CORPUS.items():
        case.build(folder / case.file, folder / "canaries" / name)
    warm = folder / "warm"
    (warm / "a.pt").write_bytes(saved(weights()))
    (warm / "b.pt").write_bytes(saved(weights(), _use_new_zipfile_serialization=False))
    for suffix in (".keras", ".h5"):
        (warm / f"c{suffix}").write_bytes(hostile_keras.model_bytes(suffix))
    safetensors.torch.save_file(weights(), warm / "d.safetensors")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.modules["tensorflow"] = None  # type: ignore[assignment] # Keras does without, and starts sooner
    build(Path(sys.argv[1]))
