"""The directory of a zip archive, held to one reading before anybody unpacks it.

PyTorch reads zip archives with its own C++ code, Keras and we with Python's. A file that the two read
differently could show us one thing and them another, so whatever leaves room for two readings is refused:
data before or after the archive, entries that overlap or share a name, local headers that disagree.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

from ..errors import CannotOpen, Refused
from .limits import check_declared, size

_MOST_ENTRIES = 100_000
_MOST_DIRECTORY = 32 << 20  # bytes; Python holds about ten times as much to describe it
_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCAL = struct.Struct("<4s5H3L2H")
_UNSET = (0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)  # what stands in the end where the 64-bit one has the number


@dataclass(frozen=True)
class Entry:
    """One file within the archive: its size, how much is stored of it, where, and whether it is packed."""

    name: str
    size: int
    stored: int
    begin: int
    packed: bool


@dataclass(frozen=True)
class Archive:
    """A zip archive whose directory has been checked."""

    path: Path
    entries: Mapping[str, Entry]

    def read(self, name: str, most: int) -> bytes:
        """The content of an entry; Refused where it is larger than its kind has any use for."""
        entry = self.entries[name]
        if entry.size > most:
            raise Refused(f"{self.path.name}: {name} in it is {size(entry.size)}, more than {size(most)}")
        try:
            with zipfile.ZipFile(self.path) as archive:
                return archive.read(name)
        except (zipfile.BadZipFile, EOFError, OSError, ValueError, zlib.error) as error:
            raise CannotOpen(f"{self.path.name}: {name} in it is damaged: {error}") from error

    def open(self, name: str, most: int) -> IO[bytes]:
        """An entry as a file that can be searched: a window where it is stored, a copy where it is packed."""
        entry = self.entries[name]
        if entry.packed:
            return io.BytesIO(self.read(name, most))
        return io.BufferedReader(_Window(self.path, entry.begin, entry.size))


class _Window(io.RawIOBase):
    """A part of a file, read as if it were the whole; Python's own would read it all again for each seek."""

    def __init__(self, path: Path, begin: int, length: int) -> None:
        self._file = path.open("rb")
        self._begin, self._length, self._at = begin, length, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._length}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        wanted = max(0, min(len(buffer), self._length - self._at))
        self._file.seek(self._begin + self._at)
        got = self._file.readinto(memoryview(buffer)[:wanted])
        self._at += got
        return int(got)

    def close(self) -> None:
        self._file.close()
        super().close()


def read_archive(path: Path) -> Archive:
    """The checked directory; CannotOpen where the file is damaged, Refused where it is built to deceive."""
    total = path.stat().st_size
    try:
        with path.open("rb") as file:
            _check_end(path, file, total)
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            found = sorted(archive.infolist(), key=lambda info: info.header_offset)
            end = archive.start_dir
            entries = [_entry(path, file, info) for info in found]
    except (zipfile.BadZipFile, OSError, ValueError, struct.error, NotImplementedError) as error:
        raise CannotOpen(f"{path.name} begins as a zip archive and is damaged or cut off: {error}") from error
    _check_places(path, found, entries, end)
    _check_names(path, entries)
    check_declared(path.name, sum(entry.size for entry in entries), total)
    return Archive(path, {entry.name: entry for entry in entries})


def _check_end(path: Path, file: IO[bytes], total: int) -> None:
    """The end record must be the very end, and the directory it names must reach up to it."""
    file.seek(max(0, total - _END.size))
    end = file.read(_END.size)
    if len(end) < _END.size or end[:4] != b"PK\5\6" or end[-2:] != b"\0\0":
        file.seek(max(0, total - 66_000))
        if b"PK\5\6" in file.read():
            _deceives(path, "there is something behind its end")
        raise zipfile.BadZipFile("its end is not there")
    count, length, begin = _END.unpack(end)[4:7]
    at = total - _END.size
    file.seek(max(0, at - _LOCATOR.size))
    locator = file.read(_LOCATOR.size)
    if locator[:4] == b"PK\6\7":
        at = _LOCATOR.unpack(locator)[2]
        file.seek(at)
        record = _END64.unpack(file.read(_END64.size))
        here, there = (count, length, begin), record[7:10]
        if any(n not in (m, unset) for n, m, unset in zip(here, there, _UNSET, strict=True)):
            _deceives(path, "it has two ends that disagree")
        if record[0] != b"PK\6\6" or at + _END64.size + _LOCATOR.size + _END.size != total:
            _deceives(path, "its end is not in one piece")
        count, length, begin = there
    if count > _MOST_ENTRIES or length > _MOST_DIRECTORY:
        raise Refused(f"{path.name} declares {count:,} entries; at most {_MOST_ENTRIES:,} are read")
    if begin + length != at:
        _deceives(path, "its directory is not where its end says")


def _entry(path: Path, file: IO[bytes], info: zipfile.ZipInfo) -> Entry:
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
        raise CannotOpen(
            f"{path.name}: {info.filename!r} in it is encrypted or packed in a way that is not read"
        )
    file.seek(info.header_offset)
    local = _LOCAL.unpack(file.read(_LOCAL.size))
    name = file.read(local[9])
    encoding = "utf-8" if info.flag_bits & 0x800 else "cp437"
    if local[0] != b"PK\3\4" or name.decode(encoding) != info.orig_filename or local[3] != info.compress_type:
        _deceives(path, f"its directory and its entry {info.filename!r} disagree")
    packed = info.compress_type == zipfile.ZIP_DEFLATED
    if not packed and info.file_size != info.compress_size:
        _deceives(path, f"its entry {info.filename!r} is stored as it is, in another size")
    begin = info.header_offset + _LOCAL.size + local[9] + local[10]
    return Entry(info.orig_filename, info.file_size, info.compress_size, begin, packed)


def _check_places(path: Path, found: list[zipfile.ZipInfo], entries: list[Entry], end: int) -> None:
    starts = [info.header_offset for info in found]
    if starts and starts[0] != 0:
        _deceives(path, "there is something before it")
    for entry, after in zip(entries, [*starts[1:], end], strict=True):
        if entry.begin + entry.stored > after:
            _deceives(path, f"its entry {entry.name!r} overlaps what follows")


def _check_names(path: Path, entries: list[Entry]) -> None:
    seen: set[str] = set()
    for name in (entry.name for entry in entries):
        parts = name.removesuffix("/").split("/")
        if "\0" in name or "\\" in name or ":" in parts[0] or not all(parts) or {".", ".."} & set(parts):
            raise Refused(f"{path.name}: its entry {name!r} points outside of where it is unpacked")
        if name.lower() in seen:  # PyTorch looks names up without regard to case
            _deceives(path, f"it has two entries {name!r}")
        seen.add(name.lower())


def _deceives(path: Path, why: str) -> NoReturn:
    raise Refused(f"{path.name} can be read in more than one way, so it is not read at all: {why}")
