"""A folder with a model's JSON and its weights, as Picasso kept them; the newest of each is taken."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ..errors import CannotOpen
from .keras_source import is_model_config

_WEIGHTS = (".h5", ".hdf5", ".keras")
_HDF5 = b"\x89HDF\r\n\x1a\n"


class KerasFolder(NamedTuple):
    """The weights, the architecture where a file of its own holds it, and what was chosen among what."""

    weights: Path
    architecture: Path | None
    notes: list[str]


def find_keras_folder(path: Path) -> KerasFolder | None:
    """The newest weights and the newest architecture of a folder; None where it holds no Keras weights."""
    if not path.is_dir():
        return None
    files = [file for file in path.iterdir() if file.is_file()]
    weights = _newest(file for file in files if file.suffix.lower() in _WEIGHTS)
    if not weights:
        if (path / "saved_model.pb").is_file():
            raise CannotOpen(
                f"{path} is a SavedModel of TensorFlow: a program, not weights. Load it in the Keras that "
                "wrote it and save it as one file: model.save('model.keras') or model.save('model.h5')"
            )
        return None
    models = _newest(file for file in files if file.suffix.lower() == ".json" and is_architecture(file))
    notes = [_chosen("weights", weights), *([_chosen("architecture", models)] if models else [])]
    return KerasFolder(weights[0], models[0] if models else None, notes)


def architecture_beside(path: Path) -> Path | None:
    """The JSON of a model in the folder of its weights: of the same name, `model.json`, or the only one."""
    named = (
        path.with_suffix(".json"),
        path.parent / f"{path.name.partition('.')[0]}.json",
        path.parent / "model.json",
    )
    for file in named:
        if file.is_file() and is_architecture(file):
            return file
    others = [file for file in path.parent.glob("*.json") if is_architecture(file)]
    return others[0] if len(others) == 1 else None


def is_architecture(path: Path) -> bool:
    """Whether a JSON file is the configuration of a Keras model."""
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
        value = json.loads(value) if isinstance(value, str) else value
    except (OSError, ValueError, RecursionError):  # a JSON of something else, or none
        return False
    return is_model_config(value)


def dated(path: Path) -> str:
    """A file's name and when it was written."""
    written = datetime.datetime.fromtimestamp(path.stat().st_mtime)
    return f"{path.name} ({written:%Y-%m-%d %H:%M})"


def _newest(files: Iterable[Path]) -> list[Path]:
    return sorted(files, key=lambda file: (file.stat().st_mtime, file.name), reverse=True)


def _chosen(what: str, files: list[Path]) -> str:
    others = f", the newest of {len(files)}" if len(files) > 1 else ""
    return f"{what} from {dated(files[0])}{others}"
