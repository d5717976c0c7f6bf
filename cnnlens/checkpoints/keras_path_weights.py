"""Weights by their places in the model, as `.keras` and `.weights.h5` have them → the variables of a model.

Keras reads them itself, and says nothing where the file holds more than the model asks for, or where it skips
a part: both are held against what the model would have written.
"""

from __future__ import annotations

import tempfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

from .keras_mismatch import Differences
from .keras_source import open_hdf5

_WEIGHTS = "model.weights.h5"
Shapes = dict[str, tuple[int, ...]]


def load_path_weights(native: Any, path: Path, name: str, architecture: str) -> list[str]:
    """Put the file's weights into the model, all of them; Mismatch says what does not fit."""
    failure: Exception | None = None
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            native.load_weights(path)
        except Exception as error:  # Keras raises whatever its layers raise
            failure = error
    skipped = any("Skipping" in str(one.message) for one in said)
    have, want = _in_file(path), _in_model(native)
    if failure is None and not skipped and have == want:
        return []
    differences = compare(have, want)
    if differences:
        last = [key for key in want if key.rpartition("/vars/")[0] == list(want)[-1].rpartition("/vars/")[0]]
        raise differences.error(name, architecture, last) from failure
    if failure is not None:
        raise failure
    return []


def compare(have: Shapes, want: Shapes) -> Differences:
    """What is in a file and what a model has, by their places."""
    return Differences(
        missing=[key for key in want if key not in have],
        unexpected=[key for key in have if key not in want],
        shapes=[(key, have[key], shape) for key, shape in want.items() if key in have and have[key] != shape],
    )


def _in_file(path: Path) -> Shapes:
    if not zipfile.is_zipfile(path):
        return _shapes(path)
    with zipfile.ZipFile(path) as archive, archive.open(_WEIGHTS) as file:
        return _shapes(file)


def _in_model(native: Any) -> Shapes:
    """The places that the model would write, by having it write them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "own.weights.h5"
        native.save_weights(path)
        return _shapes(path)


def _shapes(file: Any) -> Shapes:
    """Place → shape of every weight; the states of the optimiser and of dropout's dice are none."""
    found: Shapes = {}

    def visit(key: str, one: Any) -> None:
        if hasattr(one, "shape"):
            found[key] = one.shape

    with open_hdf5(file) as opened:
        opened.visititems(visit)
    renamed = {key.replace("_layer_checkpoint_dependencies", "layers"): shape for key, shape in found.items()}
    return {k: v for k, v in renamed.items() if not k.startswith("optimizer/") and "seed_generator/" not in k}
