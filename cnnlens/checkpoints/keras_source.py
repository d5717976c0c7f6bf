"""What a Keras file holds: its configuration as data, who wrote it, and how its weights are laid out."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..errors import CannotOpen, MissingPackage

#: `layers`: by layer names and order, as until Keras 2.11; `paths`: by places in the model, as Keras 3 does.
Layout = Literal["layers", "paths", "none"]
_PATHS = {"layers", "vars", "_layer_checkpoint_dependencies"}


@dataclass(frozen=True)
class Source:
    """A Keras file; `config` is None where it holds weights alone, `version` "" where none is given."""

    name: str
    config: Any
    version: str
    backend: str
    layout: Layout

    @property
    def is_old(self) -> bool:
        """Whether the configuration is one of Keras 1 or 2."""
        major = self.version.partition(".")[0]
        if major.isdigit():
            return int(major) < 3
        return not (isinstance(self.config, dict) and "module" in self.config)

    @property
    def writer(self) -> str:
        """Who wrote it, in words."""
        version = f"Keras {self.version}" if self.version else "a version of Keras that it does not name"
        return version + (f" on {self.backend}" if self.backend else "")


def read_source(path: Path) -> Source:
    """The description of a `.keras` zip, an HDF5 file, or a model's JSON; known by content, not by name."""
    if zipfile.is_zipfile(path):
        return _read_zip(path)
    with path.open("rb") as file:
        is_text = file.read(4)[:1] in (b"{", b" ", b"\n", b"\t", b"\r", b"\xef")
    return read_json(path) if is_text else _read_hdf5(path)


def read_json(path: Path) -> Source:
    """The description of what `model.to_json()` wrote; CannotOpen where it is something else."""
    try:
        config = _parsed(path.read_text(encoding="utf-8-sig"), path.name)
    except (OSError, UnicodeDecodeError) as error:
        raise CannotOpen(f"cannot read {path.name}: {error}") from error
    if isinstance(config, str):  # some wrote json.dump(model.to_json()): a text within a text
        config = _parsed(config, path.name)
    if not is_model_config(config):
        raise CannotOpen(f"{path.name} is not what model.to_json() writes: it has no class_name and config")
    return Source(
        path.name, config, str(config.get("keras_version", "")), str(config.get("backend", "")), "none"
    )


def is_model_config(value: Any) -> bool:
    """Whether a piece of JSON is the configuration of a Keras model."""
    return isinstance(value, dict) and isinstance(value.get("class_name"), str) and "config" in value


def _read_zip(path: Path) -> Source:
    try:
        with zipfile.ZipFile(path) as archive:
            told = _parsed(archive.read("metadata.json"), path.name)
            config = _parsed(archive.read("config.json"), path.name)
    except (zipfile.BadZipFile, OSError, KeyError, ValueError) as error:
        raise CannotOpen(f"{path.name} is a Keras file that is damaged or cut off: {error}") from error
    version = str(told.get("keras_version", "")) if isinstance(told, dict) else ""
    return Source(path.name, config, version, "", "paths")


def _read_hdf5(path: Path) -> Source:
    with open_hdf5(path) as file:
        text = file.attrs.get("model_config")
        group = file["model_weights"] if "model_weights" in file else file
        config = None if text is None else _parsed(text, path.name)
        told = [_text(file.attrs.get(key, group.attrs.get(key, ""))) for key in ("keras_version", "backend")]
        layout = _layout(group, path.name)
        if layout == "layers" and not told[0]:
            told[0] = "1"  # it began to be written with Keras 2
    return Source(path.name, config, told[0], told[1], layout)


def _layout(group: Any, name: str) -> Layout:
    if any(key in group.attrs for key in ("layer_names", "layer_names0")):
        return "layers"
    if "nb_layers" in group.attrs:
        raise CannotOpen(
            f"{name} was written by Keras before 1.0, whose layers have no names in it: load it in Keras 1 "
            "and save it again"
        )
    if _PATHS & set(group):
        return "paths"
    has = ", ".join(list(group)[:8]) or "nothing"
    raise CannotOpen(f"{name} is an HDF5 file and not one of Keras: it holds {has}")


@contextmanager
def open_hdf5(path: Any) -> Iterator[Any]:
    """An HDF5 file to be read; CannotOpen where it is damaged."""
    name = getattr(path, "name", path)
    try:
        import h5py
    except ImportError as error:
        raise MissingPackage("h5py", "keras", f"{name}, a Keras HDF5 file,") from error
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError, ValueError) as error:  # what h5py raises, wherever the damage is
        reason = str(error).partition("\n")[0][:200]
        raise CannotOpen(f"{name} is an HDF5 file that is damaged or cut off: {reason}") from error


def _parsed(text: Any, name: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise CannotOpen(f"{name} has a configuration that is no JSON: {str(error)[:100]}") from error


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
