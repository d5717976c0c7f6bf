"""What a PyTorch file holds, read without PyTorch: its pickle as notes, and its storages held against it."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ..errors import CannotOpen, Refused
from .archives import Archive, read_archive
from .limits import MOST_TEXT, check_declared
from .notes import Global, Pickle
from .pickles import read_pickle
from .storages import ITEM_SIZES, Storage, storage_of, view_of
from .words import brief, shown


@dataclass(frozen=True)
class TorchContent:
    """A PyTorch file, described: what its pickles hold, its own value, versions, and programs in it."""

    pickle: Pickle  # all of them: code strikes from any
    value: Any
    versions: Mapping[str, str]
    programs: tuple[str, ...] = ()


def read_torch_zip(path: Path) -> TorchContent:
    """The description of a PyTorch file in the zip format, each storage held against what is stored of it."""
    archive = read_archive(path)
    tops = {name.partition("/")[0] for name in archive.entries}
    if len(tops) != 1:  # PyTorch takes the first, whatever stands in the others
        raise Refused(f"{path.name} has several folders where a PyTorch file has one: {_few(sorted(tops))}")
    top = tops.pop()
    pickled = archive.read(f"{top}/data.pkl", MOST_TEXT)
    pickle = read_pickle(io.BytesIO(pickled), f"data.pkl in {path.name}")
    for storage in _storages(path, pickle):
        entry = archive.entries.get(f"{top}/data/{storage.key}")
        if entry is None:
            raise CannotOpen(f"{path.name} lacks the storage {storage.key!r} that its pickle names")
        if entry.size != storage.bytes:
            raise Refused(
                f"{path.name} claims {storage.bytes} bytes of its storage {storage.key!r}, not {entry.size}"
            )
    programs = tuple(n.partition("/")[2] for n in archive.entries if n.startswith(f"{top}/code/"))
    return TorchContent(
        pickle, pickle.value, _versions(archive, top), tuple(p for p in programs if p.endswith(".py"))
    )


def _versions(archive: Archive, top: str) -> dict[str, str]:
    found = {}
    for name in ("version", ".data/version", ".format_version", "archive_version", "byteorder"):
        if f"{top}/{name}" in archive.entries:
            text = archive.read(f"{top}/{name}", 1000).decode("utf-8", "replace").strip()
            found[name.removeprefix(".data/").removeprefix(".").replace("_", " ")] = shown(text, 40)
    return found


def read_torch_legacy(path: Path) -> TorchContent:
    """The description of a file as PyTorch wrote them before 1.6: five pickles and then the raw storages."""
    total = path.stat().st_size
    with path.open("rb") as file:
        head = io.BytesIO(file.read(MOST_TEXT))
        five = [read_pickle(head, path.name) for _ in range(5)]
        _, protocol, system, pickle, keys = five
        if type(protocol.value) is not int:  # PyTorch prints it when it is not the one it knows
            raise CannotOpen(f"{path.name} has no version where a PyTorch file has one")
        if keys.names:
            name = shown(str(keys.names[0]), 80)
            raise Refused(f"{path.name} would run {name} where the names of its storages belong")
        storages = _storages(path, pickle)
        declared = sum(storage.bytes for storage in {s.key: s for s in storages}.values())
        check_declared(path.name, declared, total, " in its tensors")
        _check_raw(path, file, head.tell(), keys.value, storages, total)
    versions = {"protocol version": str(brief(protocol.value))}
    pairs = dict(p for p in getattr(system.value, "pairs", []) if isinstance(p[0], str))
    if "little_endian" in pairs:
        versions["byteorder"] = "little" if pairs["little_endian"] is True else "big"
    names = tuple(dict.fromkeys(name for one in five for name in one.names))
    return TorchContent(Pickle([one.value for one in five], names, pickle.kept), pickle.value, versions)


def _storages(path: Path, pickle: Pickle) -> list[Storage]:
    """Each storage once; Refused where one is claimed in two sizes, or is something else than numbers."""
    found: dict[str, Storage] = {}
    for kept in pickle.kept:
        storage = storage_of(kept)
        if storage is None and isinstance(kept.place, tuple) and kept.place[:1] == ("module",):
            continue  # a class with its source: named as code where the pickle is checked
        if storage is None:
            raise Refused(f"{path.name} holds {_unknown(kept.place)}; only dense tensors of numbers are read")
        before = found.setdefault(storage.key, storage)
        if before != storage:
            raise Refused(f"{path.name} claims its storage {storage.key!r} in two sizes or dtypes")
        view = view_of(kept)
        if view is not None and not _is_within(view, storage):
            raise Refused(f"{path.name} has a view beyond its storage {storage.key!r}")
    return list(found.values())


def _unknown(place: Any) -> str:
    kind = place[1] if isinstance(place, tuple) and len(place) > 1 else None
    if isinstance(kind, Global) and kind.name.startswith(("QInt", "QUInt")):
        return "a quantised tensor"
    return "something beside its pickle that is no storage of numbers"


def _is_within(view: tuple[Any, ...], storage: Storage) -> bool:
    if len(view) != 3 or not all(type(n) is int and n >= 0 for n in view[1:]):
        return False
    return bool(view[1] + view[2] <= storage.count)


def _check_raw(path: Path, file: IO[bytes], at: int, keys: Any, storages: list[Storage], total: int) -> None:
    """The storages behind the pickles: each is there, once, in the size that the pickle claims."""
    by_key = {storage.key: storage for storage in storages}
    if not isinstance(keys, list) or any(not isinstance(k, str) or k not in by_key for k in keys):
        raise CannotOpen(f"{path.name} does not list the storages that its pickle names")
    if len(keys) != len(by_key) or len(set(keys)) != len(keys):
        raise CannotOpen(f"{path.name} lists {len(keys)} storages and its pickle names {len(by_key)}")
    for key in keys:
        file.seek(at)
        length = file.read(8)
        if len(length) < 8 or at + 8 + by_key[key].bytes > total:
            raise CannotOpen(f"{path.name} is cut off: its storage {key!r} is not all there")
        if struct.unpack("<q", length)[0] != by_key[key].count:
            raise Refused(f"{path.name} claims two sizes of its storage {key!r}")
        at += 8 + by_key[key].count * ITEM_SIZES[by_key[key].dtype]


def _few(names: list[str]) -> str:
    return ", ".join(map(repr, names[:5])) + (" …" if len(names) > 5 else "")
