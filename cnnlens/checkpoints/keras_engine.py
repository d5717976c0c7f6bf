"""Keras, on an engine that is installed: the one that it would take itself, where that can be."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import CannotOpen, MissingPackage, UsageError

#: What Keras runs on, in the order in which an installed one is looked for; the first is Keras's own default.
ENGINES = ("tensorflow", "torch", "jax")
#: Before it, crafted files could read other files, or run code in spite of its safe mode.
_FLOOR = (3, 15, 1)


def import_keras(why: str) -> tuple[Any, str]:
    """Keras, and which engine it runs on and why; MissingPackage names what to install.

    The engine can be chosen until Keras is imported: KERAS_BACKEND, the user's keras.json, else Keras's own
    default, else whichever is installed. Nothing is written, and the environment is left as it was.
    """
    if "keras" in sys.modules:
        keras = sys.modules["keras"]
        _check_version(keras)
        return keras, f"{keras.config.backend()}: Keras was running on it already"
    if importlib.util.find_spec("keras") is None:
        raise MissingPackage("keras", "keras", why)
    engine, reason = _choose(why)
    with _environment("KERAS_BACKEND", engine):
        try:
            keras = importlib.import_module("keras")
        except (ImportError, ValueError, OSError, AttributeError) as error:  # a broken engine has its own way
            told = str(error).partition("\n")[0]
            raise CannotOpen(f"keras cannot be imported on its engine {engine}: {told}") from error
    _check_version(keras)
    return keras, f"{engine}: {reason}"


def _choose(why: str) -> tuple[str, str]:
    """The engine and why it is this one."""
    asked = os.environ.get("KERAS_BACKEND")
    if asked:
        if asked not in ENGINES:
            raise UsageError(f"KERAS_BACKEND={asked}: cnnlens knows Keras on {', '.join(ENGINES)}")
        if not _is_installed(asked):
            raise MissingPackage(
                asked, "", f"{why} with KERAS_BACKEND={asked}", f"pip install {asked}, or unset KERAS_BACKEND"
            )
        return asked, "KERAS_BACKEND says so"
    written = _written()
    if written and _is_installed(written):
        return written, "keras.json says so"
    installed = [engine for engine in ENGINES if _is_installed(engine)]
    if not installed:
        package = " or ".join(ENGINES)
        raise MissingPackage(
            f"an engine for Keras ({package})", "", why, "pip install 'cnnlens[torch]', or one of the others"
        )
    if written:
        return installed[0], f"installed, and {written}, of keras.json, is not"
    return installed[0], "installed; KERAS_BACKEND chooses another"


def _written() -> str | None:
    """The engine in the user's keras.json, which Keras writes itself when it is first imported."""
    home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    try:
        told = json.loads((Path(home) / "keras.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none, or none that Keras reads either
        return None
    engine = told.get("backend") if isinstance(told, dict) else None
    return engine if isinstance(engine, str) else None


def _is_installed(engine: str) -> bool:
    return engine in ENGINES and importlib.util.find_spec(engine) is not None


def _check_version(keras: Any) -> None:
    version = getattr(keras, "__version__", "0")
    parts = tuple(int("".join(filter(str.isdigit, part)) or 0) for part in version.split(".")[:3])
    if parts < _FLOOR:
        raise CannotOpen(
            f"Keras {version} is installed, and files are opened safely from "
            f"{'.'.join(map(str, _FLOOR))} on: pip install -U keras"
        )


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """A variable set while something is imported: a process that is started later makes its own choice."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
