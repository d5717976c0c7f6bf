"""A file → a native model: recognised by content, read without running what it holds, and reported."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import CannotOpen, UsageError
from .formats import recognise
from .safety import check_before_loading


@dataclass(frozen=True)
class Opened:
    """A native model, its name, how its input is prepared where that is known, and where it is from."""

    native: Any
    name: str
    preprocess: object = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def open_checkpoint(
    path: Path, *, arch: Any, arch_args: Mapping[str, Any], device: str | None, trust: bool
) -> Opened:
    """Open a checkpoint file; raises CannotOpen, Mismatch, Refused or UsageError with what would do."""
    kind = recognise(path)
    check_before_loading(path, kind, trust=trust)
    facts = {"checkpoint": path.name, "checkpoint_sha256": sha256(path), "format": kind.title}
    if kind.framework == "keras":
        if arch is not None:
            raise UsageError(f"{path.name} is a {kind.title}: it holds its architecture, so leave --arch out")
        from .keras_file import open_keras

        opened = open_keras(path, device)
    elif kind.framework == "torch":
        from .torch_file import open_torch

        opened = open_torch(path, kind, arch, arch_args, device, trust)
    else:
        raise CannotOpen(
            f"{path} is {kind.title}, not a checkpoint that cnnlens opens (PyTorch weights, .keras, .h5)"
            + (f": {kind.hint}" if kind.hint else "")
        )
    return Opened(opened.native, opened.name, opened.preprocess, facts | dict(opened.facts))


def sha256(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
