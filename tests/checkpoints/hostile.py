"""A corpus of hostile and broken checkpoints: each is built here, and described by what it tries.

`@hostile` registers a builder `(path, canary) -> None`. A file that manages to run code touches its canary.
The families are in files of their own; this one holds the register and the ways to write raw parts.
"""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

Builder = Callable[[Path, Path], None]


class Case(NamedTuple):
    """One file: its name with the suffix, the error that load must raise, and what is to be built."""

    file: str
    error: str
    build: Builder


CORPUS: dict[str, Case] = {}


def hostile(file: str, error: str = "Refused") -> Callable[[Builder], Builder]:
    """Register a builder under its own name."""

    def register(build: Builder) -> Builder:
        name = build.__name__
        assert name not in CORPUS
        CORPUS[name] = Case(f"{name}{file}", error, build)
        return build

    return register


class Trap:
    """Pickles into a call of `os.system`."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return (os.system, (f"touch {self.canary}",))


class QuietTrap(Trap):
    """Pickles into a call that no list of bad names knows."""

    def __reduce__(self) -> Any:
        return (Path.touch, (self.canary,))


def weights() -> dict[str, Any]:
    """Honest weights of a small network, in which the attacks hide."""
    import torch

    torch.manual_seed(3)
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Linear(4, 3)).state_dict()


def saved(content: Any, **options: Any) -> bytes:
    """What torch.save writes."""
    import torch

    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def torch_zip(pickled: bytes, storages: dict[str, bytes] | None = None, top: str = "archive") -> bytes:
    """A PyTorch zip archive around a hand-made pickle."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{top}/data.pkl", pickled)
        archive.writestr(f"{top}/byteorder", "little")
        for key, data in (storages or {}).items():
            archive.writestr(f"{top}/data/{key}", data)
        archive.writestr(f"{top}/version", "3\n")
    return file.getvalue()


def storage(count: int, key: str = "0", kind: str = "FloatStorage") -> bytes:
    """The opcodes of a storage that is kept beside the pickle."""
    return (
        b"("
        + text("storage")
        + f"ctorch\n{kind}\n".encode()
        + text(key)
        + text("cpu")
        + number(count)
        + b"tQ"
    )


def tensor(count: int, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    """The opcodes of a dense tensor on that storage."""
    head = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage(count) + number(offset)
    return head + numbers(shape) + numbers(stride) + b"\x89" + b"ccollections\nOrderedDict\n)R" + b"tR"


def text(value: str) -> bytes:
    """The opcodes of a text."""
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value: int) -> bytes:
    """The opcodes of an integer, however long."""
    data = pickle.encode_long(value)
    return b"\x8a" + bytes([len(data)]) + data if value else b"K\0"


def numbers(values: tuple[int, ...]) -> bytes:
    """The opcodes of a tuple of integers."""
    return b"(" + b"".join(map(number, values)) + b"t"


def in_dict(value: bytes, key: bytes = text("w")) -> bytes:
    """A pickle of protocol 2 of a dict with one value."""
    return b"\x80\x02}" + key + value + b"s."
