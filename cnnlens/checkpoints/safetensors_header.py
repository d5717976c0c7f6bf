"""The header of a safetensors file: read and held against the file before anybody maps its tensors."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CannotOpen, Refused
from .limits import MEBI, size

_MOST_HEADER = 10 * MEBI
_MOST_TENSORS = 20_000
_BITS = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U64": 64,
    "U32": 32, "U16": 16, "U8": 8, "BOOL": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "C64": 64,
}  # fmt: skip


@dataclass(frozen=True)
class HeaderTensor:
    """A tensor as the header names it; `begin` and `end` count from behind the header."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """The tensors in the order in which they are stored, and what the writer said of them."""

    tensors: tuple[HeaderTensor, ...]
    metadata: Mapping[str, str]


def read_header(path: Path) -> Header:
    """The checked header; CannotOpen where the file is cut off, Refused where its header is an attack."""
    total = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > _MOST_HEADER:
            raise Refused(
                f"{path.name} declares a header of {size(length)}; at most {size(_MOST_HEADER)} is read"
            )
        if 8 + length > total:
            raise CannotOpen(f"{path.name} is cut off within its header")
        told = _parsed(path, file.read(length))
    metadata = told.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise CannotOpen(f"{path.name} has metadata that is not text")
    if len(told) > _MOST_TENSORS:
        raise Refused(f"{path.name} declares {len(told):,} tensors; at most {_MOST_TENSORS:,} are read")
    tensors = sorted(
        (_tensor(path, name, value) for name, value in told.items()), key=lambda t: (t.begin, t.end)
    )
    _check_places(path, tensors, total - 8 - length)
    return Header(tuple(tensors), metadata)


def _parsed(path: Path, text: bytes) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise Refused(f"{path.name} names something twice in its header")
        return found

    try:
        told = json.loads(text.decode("utf-8"), object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise CannotOpen(f"{path.name} is not a whole safetensors file: {str(error)[:100]}") from error
    if not isinstance(told, dict):
        raise CannotOpen(f"{path.name} has a header that is no mapping")
    return told


def _tensor(path: Path, name: str, told: Any) -> HeaderTensor:
    try:
        dtype, shape, (begin, end) = told["dtype"], told["shape"], told["data_offsets"]
        whole = all(type(n) is int and 0 <= n < 1 << 62 for n in (*shape, begin, end))
        known = dtype in _BITS
    except (KeyError, TypeError, ValueError) as error:
        raise CannotOpen(
            f"{path.name} describes its tensor {name[:80]!r} in a way that is not read"
        ) from error
    if not known:
        raise CannotOpen(
            f"{path.name}: its tensor {name[:80]!r} is of dtype {dtype!r:.40}, which is not read"
        )
    if not whole or len(shape) > 64 or math.prod(shape) * _BITS[dtype] != 8 * (end - begin):
        raise Refused(
            f"{path.name}: its tensor {name[:80]!r} of shape {str(shape)[:80]} and dtype {dtype} does not "
            "take the bytes that it claims"
        )
    return HeaderTensor(name, dtype, tuple(shape), begin, end)


def _check_places(path: Path, tensors: list[HeaderTensor], there: int) -> None:
    at = 0
    for tensor in tensors:
        if tensor.begin != at:
            raise Refused(
                f"{path.name}: its tensor {tensor.name[:80]!r} overlaps another, or leaves a gap before it"
            )
        at = tensor.end
    if at > there:
        raise CannotOpen(f"{path.name} is cut off: its tensors take {size(at)} and {size(there)} are there")
    if at < there:
        raise Refused(f"{path.name} has {there - at} bytes behind its last tensor, which nothing describes")
