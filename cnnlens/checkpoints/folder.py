"""A folder → a model: a Hugging Face or timm repository, or the newest of the checkpoints that lie in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CannotOpen
from .formats import recognise
from .hugging_face import is_repository, open_repository

if TYPE_CHECKING:
    from . import Opened


def open_folder(
    path: Path, *, arch: Any, arch_args: Mapping[str, Any], device: str | None, trust: bool
) -> Opened:
    """Open what the folder is; kinds of folders are tried in turn, a heap of checkpoints is the last."""
    if is_repository(path) and arch is None:
        return open_repository(path, device=device)
    return _open_newest(path, arch=arch, arch_args=arch_args, device=device, trust=trust)


def _open_newest(path: Path, **options: Any) -> Opened:
    from . import open_checkpoint

    found = checkpoints_in(path)
    if not found:
        raise CannotOpen(f"{path} is a folder without a checkpoint that cnnlens opens; name the file")
    newest, others = found[0], found[1:]
    opened = open_checkpoint(newest, **options)
    note = f"the newest of {len(found)} checkpoints in {path.name}: {_dated(newest)}"
    notes = [*([note] if others else []), *opened.facts.get("opening_notes", [])]
    told = {"opening_notes": notes, "others": [_dated(other) for other in others]}
    return replace(opened, facts={**opened.facts, **told})


def checkpoints_in(path: Path) -> list[Path]:
    """The checkpoint files right in a folder, the newest first; of one age, the last by name."""
    found = [file for file in path.iterdir() if file.is_file() and _is_checkpoint(file)]
    return sorted(found, key=lambda file: (file.stat().st_mtime_ns, file.name), reverse=True)


def _is_checkpoint(file: Path) -> bool:
    try:
        return recognise(file).framework != "none"
    except CannotOpen:  # empty, damaged or not to be read: it could not be opened by its name either
        return False


def _dated(file: Path) -> str:
    changed = datetime.fromtimestamp(file.stat().st_mtime).isoformat(" ", "minutes")
    return f"{file.name} ({changed})"
