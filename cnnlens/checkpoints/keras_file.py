"""A Keras file → a keras.Model: never compiled, never in unsafe mode."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CannotOpen, MissingPackage, UsageError

if TYPE_CHECKING:
    from . import Opened


def open_keras(path: Path, device: str | None) -> Opened:
    """The model of a `.keras` or whole-model `.h5` file, on the engine that KERAS_BACKEND names."""
    from . import Opened

    if device is not None and device != "cpu":
        raise UsageError("Keras places its models itself; choose the device with its engine's own settings")
    try:
        import keras
    except ImportError as error:
        raise MissingPackage("keras or its engine", "keras", f"{path.name}, a Keras file,") from error
    try:
        native = keras.saving.load_model(_suffixed(path), compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever its layers raise
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise CannotOpen(f"{path.name} does not open with Keras {keras.__version__}: {reason}") from error
    return Opened(native, native.name, None, {"arch": type(native).__name__})


def _suffixed(path: Path) -> Path:
    """Keras goes by the name; a file without one of its suffixes is refused with what would do."""
    if path.suffix.lower() not in (".keras", ".h5", ".hdf5"):
        raise CannotOpen(f"{path.name} is a Keras file by its content: give it the suffix .keras or .h5")
    return path
