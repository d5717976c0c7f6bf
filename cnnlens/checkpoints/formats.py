"""Recognise a checkpoint by what is in it, not by its name; nothing of it is run."""

from __future__ import annotations

import codecs
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import CannotOpen

_HDF5 = b"\x89HDF\r\n\x1a\n"
_LEGACY_TORCH = bytes.fromhex("8a0a6cfc9c46f9206aa85019")  # torch's magic number, pickled


@dataclass(frozen=True)
class Format:
    """A kind of file: what people call it, whose it is, and its variant."""

    title: str
    framework: Literal["torch", "keras", "none"]
    variant: str = ""


def recognise(path: Path) -> Format:
    """What kind of file this is; CannotOpen where it cannot be read at all."""
    if path.is_dir():
        raise CannotOpen(f"{path} is a folder; name the checkpoint file in it")
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except FileNotFoundError:
        raise CannotOpen(f"no such checkpoint: {path}") from None
    except OSError as error:
        raise CannotOpen(f"cannot read {path}: {error.strerror}") from error
    if not head:
        raise CannotOpen(f"{path} is empty")
    if head.startswith(b"PK"):
        return _recognise_zip(path)
    if head.startswith(_HDF5):
        return Format("Keras HDF5 file", "keras", "h5")
    if _LEGACY_TORCH in head[:24]:
        return Format("PyTorch file (legacy)", "torch", "legacy")
    if _is_safetensors(head):
        return Format("safetensors file", "torch", "safetensors")
    if head[:1] == b"\x80":
        return Format("a plain pickle", "none")
    if _is_text(head):
        return Format("a text file", "none")
    return Format("a file of unknown format", "none")


def _recognise_zip(path: Path) -> Format:
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise CannotOpen(f"{path} begins as a zip archive and is damaged or cut off: {error}") from error
    if {"config.json", "metadata.json"} <= names:
        return Format("Keras 3 model", "keras", "zip")
    leaves = {name.partition("/")[2] for name in names}
    if "constants.pkl" in leaves or any(leaf.startswith("code/") for leaf in leaves):
        return Format("TorchScript program", "torch", "script")
    if "data.pkl" in leaves:
        return Format("PyTorch file", "torch", "zip")
    if any("exported_program" in name or leaf.startswith("models/") for name in names for leaf in leaves):
        return Format("torch.export program", "torch", "export")
    return Format("a zip archive", "none")


def _is_safetensors(head: bytes) -> bool:
    length = int.from_bytes(head[:8], "little")
    return 2 <= length < 100_000_000 and head[8:9] == b"{"


def _is_text(head: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)  # a character may be cut off at the end
    except UnicodeDecodeError:
        return False
    return all(sign.isprintable() or sign in "\t\r\n\f" for sign in text)
