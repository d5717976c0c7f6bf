"""Frames: a header of JSON and arrays as raw bytes, between the viewer and the process that runs the model.

That process may belong to a hostile model file, so nothing that it says is unpickled, and every size is held to
a limit, and to what the header says of it, before a byte is made room for.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import CnnlensError

Fill = Callable[
    [memoryview], None
]  #: fills what it is given with the bytes that come next; EOFError at the end
Arrays = Sequence[npt.NDArray[Any]]

MOST_HEAD = 32 * 2**20
MOST_BODY = 2**30  #: of one frame's arrays together, in bytes
MOST_ARRAYS = 4096
DTYPES = ("<f4", "<f8", "<f2", "|u1", "|b1", "<i4", "<i8")
_PREFIX = struct.Struct("<IQ")


class Garbled(CnnlensError):
    """What came over the wire is not what may come."""


def frame(head: Mapping[str, Any], arrays: Arrays = ()) -> list[bytes | memoryview]:
    """The pieces of a frame, to be sent one after the other. Garbled where it is more than may be sent."""
    size = sum(values.nbytes for values in arrays)
    _within(0, size)
    ready = [_ready(values) for values in arrays]
    specs = [[values.dtype.str, list(values.shape)] for values in ready]
    told = json.dumps({**head, "arrays": specs}, separators=(",", ":")).encode()
    _within(len(told), size)
    return [_PREFIX.pack(len(told), size) + told, *(_bytes_in(values) for values in ready if values.nbytes)]


def read_frame(fill: Fill) -> tuple[dict[str, Any], list[npt.NDArray[Any]]]:
    """The next frame: its header and its arrays. EOFError where there is none; Garbled for anything odd."""
    prefix = bytearray(_PREFIX.size)
    fill(memoryview(prefix))
    length, size = _PREFIX.unpack(prefix)
    _within(length, size)
    text = bytearray(length)
    fill(memoryview(text))
    try:
        head = json.loads(bytes(text))
    except (ValueError, RecursionError) as error:
        raise Garbled(f"a header is no JSON: {error}") from None
    specs = head.pop("arrays", None) if isinstance(head, dict) else None
    if not isinstance(specs, list) or len(specs) > MOST_ARRAYS:
        raise Garbled("a header says nothing of its arrays")
    kinds = [_spec(one) for one in specs]
    if sum(math.prod(shape) * dtype.itemsize for dtype, shape in kinds) != size:
        raise Garbled(f"the arrays of a frame have other sizes than its {size} bytes")
    arrays = [np.empty(shape, dtype) for dtype, shape in kinds]
    for values in arrays:
        if values.nbytes:
            fill(_bytes_in(values))
    return head, arrays


def _ready(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """As it lies in a frame: row by row, the lowest byte first."""
    values = np.asarray(values, order="C")
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    if little.dtype.str not in DTYPES:
        raise Garbled(f"an array of {little.dtype} is not sent")
    return little


def _bytes_in(values: npt.NDArray[Any]) -> memoryview:
    return values.reshape(-1).view(np.uint8).data


def _spec(one: object) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """What a header says of one array: its type and its shape."""
    match one:
        case [str(dtype), list(shape)] if dtype in DTYPES and len(shape) <= 8 and _are_lengths(shape):
            return np.dtype(dtype), tuple(shape)
    raise Garbled(f"a header tells of an array as {str(one)[:80]}")


def _are_lengths(shape: Iterable[object]) -> bool:
    return all(type(n) is int and 0 <= n <= MOST_BODY for n in shape)


def _within(length: int, size: int) -> None:
    if length > MOST_HEAD or size > MOST_BODY:
        raise Garbled(
            f"{(length + size) / 2**20:.0f} MiB are more than one answer may have ({MOST_BODY // 2**20} MiB)"
        )
