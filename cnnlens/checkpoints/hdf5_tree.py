"""An HDF5 file walked without reading its data: what is in it, and whether all of it is in the file.

HDF5 can point elsewhere (external links, external storage, virtual datasets), can declare terabytes that are
not stored, and can unpack a few bytes into more memory than there is. Keras writes none of these.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from ..errors import CannotOpen, MissingPackage, Refused
from .limits import GRACE, MEBI, TIMES, check_declared, size
from .words import shown

_MOST_OBJECTS = 100_000
_MOST_DEPTH = 64
_RATIO = 1000  # of a dataset; all of them together are held to `check_declared`
_GZIP, _SHUFFLE, _CHECKSUM = 1, 2, 3


@dataclass(frozen=True)
class Dataset:
    """An array in the file: its path, dtype and shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int


@dataclass
class Tree:
    """The datasets of numbers in their order, and the attributes of the root (`keras_version`, …)."""

    datasets: list[Dataset] = field(default_factory=list)
    attributes: Mapping[str, Any] = field(default_factory=dict)


def read_tree(source: Path | IO[bytes], name: str, stored: int) -> Tree:
    """Walk the file; Refused for what reaches outside or declares too much, CannotOpen for damage."""
    try:
        import h5py
    except ImportError as error:
        raise MissingPackage("h5py", "keras", f"{name}, an HDF5 file,") from error
    try:
        with h5py.File(source, "r") as file:
            tree = Tree(list(_Walk(h5py, name, stored).group(file, "", 0)), _attributes(file, name, stored))
    except (
        OSError,
        RuntimeError,
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
        OverflowError,
        zlib.error,
    ) as error:
        reason = shown(str(error).partition("\n")[0])
        raise CannotOpen(f"{name} is an HDF5 file that is damaged or cut off: {reason}") from error
    check_declared(name, sum(one.bytes for one in tree.datasets), stored, " in its datasets")
    return tree


def _attributes(file: Any, name: str, stored: int) -> dict[str, Any]:
    found = {}
    for key in file.attrs:
        declared = _declared(file.attrs.get_id(key))
        if declared > stored:
            raise Refused(f"{name} declares {size(declared)} in its attribute {key[:80]!r}")
        value = file.attrs[key]
        found[key] = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return found


def _declared(one: Any) -> int:
    count = 1
    for side in one.shape:
        count *= int(side)
    return count * int(one.dtype.itemsize)


class _Walk:
    """One walk through a file; remembers the objects it has met, for a link may lead back."""

    def __init__(self, h5py: Any, name: str, stored: int) -> None:
        self._h5py, self._name, self._stored = h5py, name, stored
        self._met: set[Any] = set()
        self._links = 0

    def group(self, group: Any, path: str, depth: int) -> Iterator[Dataset]:
        """The datasets under a group."""
        if depth > _MOST_DEPTH:
            self._refuse(f"groups more than {_MOST_DEPTH} deep")
        for key in group:
            place = f"{path}/{key}" if path else key
            self._links += 1
            if self._links > _MOST_OBJECTS:
                self._refuse(f"more than {_MOST_OBJECTS:,} entries")
            link = group.get(key, getlink=True)
            if not isinstance(link, self._h5py.HardLink):
                lies = "in another file" if isinstance(link, self._h5py.ExternalLink) else "elsewhere"
                self._refuse(f"a link to what lies {lies} ({place[:80]!r})")
            one = group[key]
            where = self._h5py.h5o.get_info(one.id)
            if (where.fileno, where.addr) in self._met:
                continue
            self._met.add((where.fileno, where.addr))
            self._check_attributes(one, place)
            if isinstance(one, self._h5py.Group):
                yield from self.group(one, place, depth + 1)
            elif isinstance(one, self._h5py.Dataset):
                yield from self._dataset(one, place)

    def _check_attributes(self, one: Any, place: str) -> None:
        for key in one.attrs:
            declared = _declared(one.attrs.get_id(key))
            if declared > self._stored:
                self._refuse(f"an attribute of {size(declared)} at {place[:80]!r}")

    def _dataset(self, one: Any, place: str) -> Iterator[Dataset]:
        if one.is_virtual or one.external:
            self._refuse(f"a dataset whose data is in another file ({place[:80]!r})")
        if one.shape is None or one.dtype.kind not in "fiubc":
            return  # text and the like, which no model reads as weights
        declared, stored = _declared(one), int(one.id.get_storage_size())
        if stored > self._stored:
            raise CannotOpen(f"{self._name} is cut off: {place[:80]!r} takes {size(stored)}")
        if declared > max(_RATIO * stored, MEBI):
            self._refuse(
                f"a dataset that declares {size(declared)} and stores {size(stored)} ({place[:80]!r})"
            )
        if one.chunks:
            self._check_chunks(one, place)
        yield Dataset(place, str(one.dtype), tuple(int(n) for n in one.shape), declared)

    def _check_chunks(self, one: Any, place: str) -> None:
        """A chunk is unpacked whole, and gzip unpacks as far as it goes: each is tried against its size."""
        whole = one.dtype.itemsize
        for side in one.chunks:
            whole *= int(side)
        if whole > self._stored * TIMES + GRACE:
            self._refuse(f"a chunk that declares {size(whole)} ({place[:80]!r})")
        pipeline = one.id.get_create_plist()
        filters = [pipeline.get_filter(i)[0] for i in range(pipeline.get_nfilters())]
        if not set(filters) <= {_GZIP, _SHUFFLE, _CHECKSUM}:
            raise CannotOpen(
                f"{self._name} is packed in a way that is not read ({place[:80]!r}): use h5repack -f NONE"
            )
        if filters.count(_GZIP) > 1 or len(filters) > 3:
            self._refuse(f"a dataset that is packed more than once ({place[:80]!r})")
        if _GZIP in filters:
            for index in range(one.id.get_num_chunks()):
                _, raw = one.id.read_direct_chunk(one.id.get_chunk_info(index).chunk_offset)
                if len(zlib.decompressobj().decompress(raw, whole + 65)) > whole + 64:
                    self._refuse(f"a chunk that unpacks to more than its {size(whole)} ({place[:80]!r})")

    def _refuse(self, what: str) -> None:
        raise Refused(f"{self._name} holds {what}; it is not read")
