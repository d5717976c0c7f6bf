"""A Keras file → a keras.Model: never compiled, never in unsafe mode unless somebody says --trust."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CannotOpen, CnnlensError, UsageError
from .architecture import build
from .custom import Custom, custom_objects
from .keras_classes import find_classes, is_layer
from .keras_engine import import_keras
from .keras_folder import architecture_beside, dated
from .keras_layer_weights import load_layer_weights
from .keras_legacy import OLD_HARD_SIGMOID, convert_model
from .keras_path_weights import load_path_weights
from .keras_source import Source, read_json, read_source

if TYPE_CHECKING:
    from . import Opened


@dataclass(frozen=True)
class Asked:
    """What the user says beside the file: an architecture, classes of their own, that the code may run."""

    arch: Any = None
    arch_args: Mapping[str, Any] = field(default_factory=dict)
    custom: Custom = None
    device: str | None = None
    trust: bool = False


def open_keras(path: Path, asked: Asked, architecture: Path | None = None) -> Opened:
    """The model of a Keras file; `architecture` is the JSON that goes with weights alone."""
    from . import Opened

    keras, engine = import_keras(f"{path.name}, a Keras file,")
    source = read_source(path)
    facts: dict[str, Any] = {"engine": engine, "written_by": source.writer}
    if source.config is not None and asked.arch is None:
        native, notes = _open_whole(keras, path, source, asked)
    else:
        native, notes = _open_weights(keras, path, source, asked, architecture)
    if asked.custom is not None:
        notes.append("classes and functions of your own, by --custom")
    _check_device(native, asked.device)
    return Opened(native, native.name, None, {**facts, "arch": type(native).__name__, "opening_notes": notes})


def _open_whole(keras: Any, path: Path, source: Source, asked: Asked) -> tuple[Any, list[str]]:
    """A model whose file holds its architecture; Keras's own loader reads what Keras 3 wrote."""
    if source.is_old:
        native, notes = _build(keras, source, asked)
        return native, notes + _load(keras, native, path, source, "its own architecture")
    custom = custom_objects(keras, asked.custom)
    objects = find_classes(keras, source.config, source, custom, asked.trust)
    with _saying(keras, path.name) as notes, _suffixed(path, source) as file:
        native = keras.saving.load_model(
            file, custom_objects=objects, compile=False, safe_mode=not asked.trust
        )
    return native, notes


def _open_weights(
    keras: Any, path: Path, source: Source, asked: Asked, architecture: Path | None
) -> tuple[Any, list[str]]:
    """Weights alone, and the architecture that goes with them."""
    notes: list[str] = []
    if asked.arch is not None:
        if source.config is not None:
            notes.append("the architecture is the one given; that of the file is not read")
        arguments = dict(asked.arch_args)
        if isinstance(asked.arch, str) and asked.arch.startswith("keras.applications"):
            arguments.setdefault("weights", None)  # else it would fetch its own
        built = build(asked.arch, arguments)
        native, name = built.native, asked.arch if isinstance(asked.arch, str) else built.name
        if not isinstance(native, keras.Model):
            raise UsageError(f"{name} is a {type(native).__name__}; {path.name} wants a keras.Model")
    else:
        found = architecture or architecture_beside(path)
        if found is None:
            raise UsageError(
                f"{path.name} holds the weights of a Keras model and no architecture: say --arch "
                "file.py:callable or package.module:callable, or put what model.to_json() gave beside it as "
                "model.json"
            )
        native, notes = _build(keras, read_json(found), asked)
        name = found.name
        if architecture is None:
            notes.insert(0, f"architecture from {dated(found)}, beside the weights")
    return native, notes + _load(keras, native, path, source, name)


def _build(keras: Any, source: Source, asked: Asked) -> tuple[Any, list[str]]:
    """The model that a configuration describes, with untrained weights."""
    config, notes, shapes = source.config, [], {}
    custom = custom_objects(keras, asked.custom)
    if source.is_old:
        converted = convert_model(config, lambda kind: kind not in custom and is_layer(keras, kind))
        config, shapes = converted.config, dict(converted.shapes)
        notes = [f"architecture of {source.writer} read into Keras {keras.__version__}", *converted.notes]
    custom = {OLD_HARD_SIGMOID: _hard_sigmoid(keras), **custom}
    objects = find_classes(keras, config, source, custom, asked.trust)
    with _saying(keras, source.name) as said:
        native = keras.saving.deserialize_keras_object(
            config, custom_objects=objects, safe_mode=not asked.trust
        )
    for name, shape in shapes.items():
        if tuple(native.get_layer(name).output.shape)[1:] != tuple(shape)[1:]:
            raise CannotOpen(
                f"{source.name}: layer {name!r} is a Deconvolution2D whose output was {shape}; Keras 3 "
                f"gives it {native.get_layer(name).output.shape}, so its places would not be the same"
            )
    return native, notes + said


def _load(keras: Any, native: Any, path: Path, source: Source, name: str) -> list[str]:
    """Put the weights of a file into a model, whichever way they are laid out."""
    if not native.built:
        raise CannotOpen(
            f"{name} is not built: it does not say what size it reads, so it has no weights yet. Give it an "
            "Input, or build it in Python (--arch file.py:callable)"
        )
    with _saying(keras, path.name) as said, _suffixed(path, source) as file:
        if source.layout == "layers":
            notes = load_layer_weights(keras, native, path, source, name)
        else:
            notes = load_path_weights(native, file, path.name, name)
    return notes + said


def _hard_sigmoid(keras: Any) -> Any:
    """hard_sigmoid as it was before Keras 3."""

    def hard_sigmoid(x: Any) -> Any:
        return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)

    return hard_sigmoid


@contextmanager
def _saying(keras: Any, name: str) -> Iterator[list[str]]:
    """Keras at work on a file: its errors are told as ours, its warnings kept for the notes."""
    notes: list[str] = []
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            yield notes
        except CnnlensError:
            raise
        except Exception as error:  # Keras raises whatever its layers raise
            raise CannotOpen(
                f"{name} does not open with Keras {keras.__version__}: {_reason(error)}"
            ) from error
    told = [str(one.message).partition("\n")[0] for one in said if issubclass(one.category, UserWarning)]
    if any("Skipping" in one for one in told):
        raise CannotOpen(f"{name} does not hold all weights of its model: {'; '.join(told)}")
    notes.extend(f"Keras says: {one}" for one in dict.fromkeys(told))


def _reason(error: Exception) -> str:
    """What went wrong, without the frames that Keras puts around it, one for each level of the model."""
    inner = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).rpartition("Exception encountered:")[2]
    lines = (line.strip() for line in inner.splitlines())
    return next(filter(None, lines), type(error).__name__)[:500]


@contextmanager
def _suffixed(path: Path, source: Source) -> Iterator[Path]:
    """The file under a name that Keras takes for what it is: it goes by the name, not by the content."""
    whole = ".h5" if source.config is not None else ".weights.h5"
    suffix = ".keras" if zipfile.is_zipfile(path) else whole
    if path.name.endswith(suffix):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder) / f"checkpoint{suffix}"
        try:
            os.symlink(path.resolve(), other)
        except OSError:  # Windows, without the right to
            shutil.copyfile(path, other)
        yield other


def _check_device(native: Any, device: str | None) -> None:
    """Keras places models itself; `cpu` is accepted where that is where it did."""
    if device is None:
        return
    value = native.weights[0].value if native.weights else None
    devices = getattr(value, "devices", None)
    place = str(devices() if callable(devices) else getattr(value, "device", "cpu")).lower()
    if device != "cpu" or "cpu" not in place:
        raise UsageError(
            "Keras places its models itself; choose the device with its engine's own settings: "
            "CUDA_VISIBLE_DEVICES (empty for the CPU), or JAX_PLATFORMS for jax"
        )
