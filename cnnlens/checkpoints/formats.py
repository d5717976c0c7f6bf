"""Recognise a checkpoint by what is in it, not by its name; nothing of it is run."""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import CannotOpen
from .archives import Archive, read_archive

_HDF5 = b"\x89HDF\r\n\x1a\n"
_TORCH_MAGIC = bytes.fromhex("6cfc9c46f9206aa85019")  # torch's magic number, as the first pickle holds it
_PICKLED = 24  # bytes within which the magic number of the legacy format stands

_UNPACK = "unpack it and open what is in it"
#: What people mistake for a checkpoint, by its first bytes: what it is, and what to do.
_OTHERS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", "a gzip archive", _UNPACK),
    (b"BZh", "a bzip2 archive", _UNPACK),
    (b"\xfd7zXZ\x00", "an xz archive", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7-zip archive", _UNPACK),
    (b"Rar!", "a RAR archive", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "a zstandard archive", _UNPACK),
    (b"\x93NUMPY", "a NumPy array", ""),
    (b"GGUF", "a GGUF file of a language model", ""),
    (b"version https://git-lfs", "a Git LFS pointer", "git lfs pull brings the file that it points to"),
    (b"\x89PNG", "a picture", ""),
    (b"\xff\xd8\xff", "a picture", ""),
)


@dataclass(frozen=True)
class Format:
    """A kind of file: what people call it, whose it is, and its variant."""

    title: str
    framework: Literal["torch", "keras", "none"]
    variant: str = ""
    hint: str = ""  # what to do with a file that is no checkpoint


def recognise(path: Path) -> Format:
    """What kind of file this is; CannotOpen where it cannot be read at all."""
    head = _head(path)
    if head.startswith(b"PK"):
        return of_archive(read_archive(path))
    if head.startswith(_HDF5):
        return Format("Keras HDF5 file", "keras", "h5")
    if _TORCH_MAGIC in head[:_PICKLED]:
        return Format("PyTorch file (legacy)", "torch", "legacy")
    if _is_safetensors(head):
        return Format("safetensors file", "torch", "safetensors")
    return _other(head)


def _head(path: Path) -> bytes:
    if path.is_dir():
        raise CannotOpen(f"{path} is a folder; name the checkpoint file in it")
    if path.exists() and not path.is_file():  # reading from a pipe or a device may never end
        raise CannotOpen(f"{path} is not a plain file")
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except FileNotFoundError:
        raise CannotOpen(f"no such checkpoint: {path}") from None
    except (OSError, ValueError) as error:
        raise CannotOpen(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if not head:
        raise CannotOpen(f"{path} is empty")
    return head


def _other(head: bytes) -> Format:
    for magic, title, hint in _OTHERS:
        if head.startswith(magic):
            return Format(title, "none", hint=hint)
    if head[257:262] == b"ustar" or head.startswith(
        (b"pickle\0", b"storages\0", b"tensors\0", b"sys_info\0")
    ):
        old = (
            "PyTorch before 0.1.10 wrote such files: load it there and save its state_dict() with a newer one"
        )
        return Format("a tar archive", "none", hint=old)
    if head[4:8] == b"TFL3":
        return Format("a TensorFlow Lite model", "none")
    if head[:1] == b"\x80" or head.startswith((b"(dp", b"(lp", b"ccopy_reg\n", b"c__builtin__\n")):
        return Format("a plain pickle", "none")
    if head.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
        return Format("a web page", "none", hint="the download gave a page in place of the file")
    return Format("a text file" if _is_text(head) else "a file of unknown format", "none")


def of_archive(archive: Archive) -> Format:
    """What the entries of a zip archive make it; CannotOpen where they say two things at once."""
    found = list(_kinds(set(archive.entries)))
    if len(found) > 1:
        told = " and ".join(kind.title for kind in found)
        raise CannotOpen(f"{archive.path.name} is a zip archive that passes for two things at once: {told}")
    return found[0] if found else Format("a zip archive", "none")


def _kinds(names: set[str]) -> Iterable[Format]:
    leaves = {name.partition("/")[2] for name in names}
    if {"config.json", "metadata.json"} <= names:
        yield Format("Keras 3 model", "keras", "zip")
    if ".data/extern_modules" in leaves:
        yield Format("a torch.package archive, which is a program", "none")
    elif "constants.pkl" in leaves or any(leaf.startswith("code/") for leaf in leaves):
        yield Format("TorchScript program", "torch", "script")
    elif "archive_format" in leaves or any("exported_program" in name for name in names):
        yield Format("torch.export program", "torch", "export")
    elif any(leaf.startswith("models/") for leaf in leaves):
        yield Format("torch.export program", "torch", "export")
    elif "data.pkl" in leaves:
        yield Format("PyTorch file", "torch", "zip")
    if names and all(name.endswith(".npy") for name in names):
        yield Format("a NumPy archive (.npz)", "none")


def _is_safetensors(head: bytes) -> bool:
    """A length and then JSON; how long the header may be is said by whoever reads it."""
    return len(head) > 8 and int.from_bytes(head[:8], "little") >= 2 and head[8:9] == b"{"


def _is_text(head: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)  # a character may be cut off at the end
    except UnicodeDecodeError:
        return False
    return all(sign.isprintable() or sign in "\t\r\n\f" for sign in text)
