"""Which engine Keras is given, before it is imported: the user's, Keras's default, or one that is there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from cnnlens.checkpoints import keras_engine
from cnnlens.errors import CannotOpen, MissingPackage, UsageError


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A machine with some engines, and a user who says some."""

    def made(installed: str, variable: str | None = None, written: str | None = None) -> tuple[str, str]:
        monkeypatch.setattr(keras_engine, "_is_installed", installed.split().__contains__)
        monkeypatch.setenv("KERAS_HOME", str(tmp_path))
        monkeypatch.delenv("KERAS_BACKEND", raising=False)
        if variable:
            monkeypatch.setenv("KERAS_BACKEND", variable)
        if written:
            (tmp_path / "keras.json").write_text(written)
        return keras_engine._choose("x.keras, a Keras file,")

    return made


def json_of(engine: str) -> str:
    return json.dumps({"floatx": "float32", "backend": engine})


@pytest.mark.parametrize(
    ("installed", "variable", "written", "engine", "why"),
    [
        ("torch jax tensorflow", "jax", json_of("torch"), "jax", "KERAS_BACKEND says so"),
        ("torch jax tensorflow", None, json_of("torch"), "torch", "keras.json says so"),
        ("torch jax tensorflow", None, None, "tensorflow", "KERAS_BACKEND chooses another"),
        ("jax torch", None, json_of("tensorflow"), "torch", "tensorflow, of keras.json, is not"),
        ("jax", None, None, "jax", "installed"),
        ("jax", None, "no json", "jax", "installed"),
    ],
)
def test_the_engine(
    machine: Any, installed: str, variable: str | None, written: str | None, engine: str, why: str
) -> None:
    chosen, reason = machine(installed, variable, written)
    assert chosen == engine and why in reason


def test_engines_that_are_missing(machine: Any) -> None:
    with pytest.raises(MissingPackage, match=r"KERAS_BACKEND=jax needs jax, .*pip install jax, or unset"):
        machine("torch", "jax")
    with pytest.raises(MissingPackage, match=r"tensorflow or torch or jax.*pip install 'cnnlens\[torch\]'"):
        machine("")
    with pytest.raises(UsageError, match="KERAS_BACKEND=theano"):
        machine("torch", "theano")


def test_the_environment_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    with keras_engine._environment("KERAS_BACKEND", "jax"):
        assert os.environ["KERAS_BACKEND"] == "jax"
    assert "KERAS_BACKEND" not in os.environ


def test_an_old_keras_is_not_used() -> None:
    for version, fits in (("2.15.0", False), ("3.15.0", False), ("3.15.1", True), ("4.0.0rc1", True)):
        keras = type("Keras", (), {"__version__": version})
        if fits:
            keras_engine._check_version(keras)
        else:
            with pytest.raises(CannotOpen, match=r"opened safely from 3\.15\.1 on: pip install -U keras"):
                keras_engine._check_version(keras)
