"""A file → a native model: recognised by content, read without running what it holds, and reported."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import CannotOpen, UsageError
from .formats import recognise


@dataclass(frozen=True)
class Opened:
    """A native model, its name, how its input is prepared where that is known, and where it is from."""

    native: Any
    name: str
    preprocess: object = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    labels: tuple[str, ...] | None = None  # the checkpoint's own


def open_checkpoint(
    path: Path, *, arch: Any, arch_args: Mapping[str, Any], device: str | None, trust: bool
) -> Opened:
    """Open a checkpoint file or a folder; CannotOpen, Mismatch, Refused or UsageError say what would do."""
    if path.is_dir():
        from .folder import open_folder

        return open_folder(path, arch=arch, arch_args=arch_args, device=device, trust=trust)
    kind = recognise(path)
    digest = sha256(path)
    facts = {"checkpoint": path.name, "checkpoint_sha256": digest, "format": kind.title}
    if kind.framework == "keras":
        if arch is not None:
            raise UsageError(f"{path.name} is a {kind.title}: it holds its architecture, so leave --arch out")
        from .keras_file import open_keras

        opened = open_keras(path, device)
    elif kind.framework == "torch":
        from .torch_file import open_torch

        opened = open_torch(path, kind, arch, arch_args, device, trust, digest)
    else:
        raise CannotOpen(
            f"{path} is {kind.title}, not a checkpoint that cnnlens opens (PyTorch weights, .keras, .h5)"
        )
    return replace(opened, facts=facts | dict(opened.facts))


def sha256(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
