"""A file → a native model: recognised by content, read without running what it holds, and reported."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import CannotOpen
from .custom import Custom
from .formats import recognise
from .keras_folder import find_keras_folder
from .safety import check_before_loading


@dataclass(frozen=True)
class Opened:
    """A native model, its name, how its input is prepared where that is known, and where it is from."""

    native: Any
    name: str
    preprocess: object = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    labels: tuple[str, ...] | None = None  # the checkpoint's own


def open_checkpoint(
    path: Path,
    *,
    arch: Any,
    arch_args: Mapping[str, Any],
    device: str | None,
    trust: bool,
    custom: Custom = None,
) -> Opened:
    """Open a checkpoint file or a folder; CannotOpen, Mismatch, Refused or UsageError say what would do."""
    folder = None
    if path.is_dir():
        from .folder import open_folder
        from .hugging_face import is_repository

        folder = None if is_repository(path) else find_keras_folder(path)
        if folder is None:
            return open_folder(path, arch=arch, arch_args=arch_args, device=device, trust=trust)
    path = folder.weights if folder else path
    kind = recognise(path)
    check_before_loading(path, kind, trust=trust, arch=arch is not None)
    digest = sha256(path)
    facts = {"checkpoint": path.name, "checkpoint_sha256": digest, "format": kind.title}
    if kind.framework == "keras":
        from .keras_file import Asked, open_keras

        asked = Asked(arch, arch_args, custom, device, trust)
        opened = open_keras(path, asked, folder.architecture if folder else None)
    elif kind.framework == "torch":
        from .torch_file import open_torch

        opened = open_torch(path, kind, arch, arch_args, device, trust, digest)
    else:
        raise CannotOpen(
            f"{path} is {kind.title}, not a checkpoint that cnnlens opens (PyTorch weights, .keras, .h5)"
            + (f": {kind.hint}" if kind.hint else "")
        )
    notes = [*(folder.notes if folder else ()), *opened.facts.get("opening_notes", ())]
    told = {**facts, **opened.facts, **({"opening_notes": notes} if notes else {})}
    return replace(opened, facts=told)


def sha256(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
