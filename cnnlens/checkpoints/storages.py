"""PyTorch's tensors as a file describes them: dtype, shape, and the storage they are a view of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from .notes import Global, Kept, Made

#: Bytes of an element, by the name of the dtype. Quantised dtypes are not among them on purpose.
ITEM_SIZES = {
    "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "complex32": 4, "complex64": 8,
    "complex128": 16, "int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint64": 8, "uint32": 4, "uint16": 2,
    "uint8": 1, "bool": 1, "float8_e4m3fn": 1, "float8_e5m2": 1, "float8_e4m3fnuz": 1,
    "float8_e5m2fnuz": 1, "float8_e8m0fnu": 1,
}  # fmt: skip
#: The dtype of each class of storage.
STORAGES = {
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16", "ComplexFloatStorage": "complex64", "ComplexDoubleStorage": "complex128",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
    "ByteStorage": "uint8", "BoolStorage": "bool", "UntypedStorage": "uint8",
}  # fmt: skip
_ALIASES = {
    "double": "float64", "float": "float32", "half": "float16", "long": "int64", "int": "int32",
    "short": "int16",
}  # fmt: skip

_REBUILD = {"_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3"}


@dataclass(frozen=True)
class Storage:
    """A stretch of memory kept outside the pickle: its name there, its dtype, how many elements it claims."""

    key: str
    dtype: str
    count: int

    @property
    def bytes(self) -> int:
        """What it claims to be."""
        return self.count * ITEM_SIZES[self.dtype]


@dataclass(frozen=True)
class Described:
    """A dense tensor as the pickle describes it."""

    storage: Storage
    dtype: str
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int

    @property
    def count(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """What its elements take."""
        return self.count * ITEM_SIZES[self.dtype]

    @property
    def fault(self) -> str | None:
        """Why it cannot be a view of its storage, in words; None where it is one."""
        if not self.count:
            return None
        reach = self.offset + 1 + sum((n - 1) * step for n, step in zip(self.shape, self.stride, strict=True))
        if reach * ITEM_SIZES[self.dtype] > self.storage.bytes:
            return f"a tensor of shape {self.shape} beyond its storage of {self.storage.bytes} bytes"
        if self.bytes > self.storage.bytes + (1 << 20):  # strides of 0: small in the file, large once copied
            return f"a tensor of shape {self.shape} blown up from {self.storage.bytes} bytes"
        return None


def storage_of(kept: Kept) -> Storage | None:
    """The storage that a persistent id names; None where it names none of numbers."""
    place = kept.place
    if not isinstance(place, tuple) or len(place) not in (5, 6) or place[0] not in ("storage", b"storage"):
        return None
    _, kind, key, location, count = place[:5]
    if not isinstance(kind, Global) or not kind.module.startswith("torch") or kind.name not in STORAGES:
        return None
    if not isinstance(key, str) or not isinstance(location, str) or not _is_count(count):
        return None
    return Storage(key, STORAGES[kind.name], count)


def view_of(kept: Kept) -> tuple[Any, ...] | None:
    """The part of its storage that a legacy persistent id names; None where it names the whole."""
    place = kept.place
    view = place[5] if isinstance(place, tuple) and len(place) == 6 else None
    return view if isinstance(view, tuple) else None


def described(value: Any) -> Described | None:
    """The dense tensor that a note would make, a parameter around it or not; None where it makes none."""
    name = _rebuilds(value)
    if name == "_rebuild_parameter":
        if len(value.args) != 3 or not _is_nothing(value.args[2]):
            return None
        value = value.args[0]
        name = _rebuilds(value)
    if name not in _REBUILD or len(value.args) < 4 or not isinstance(value.args[0], Kept):
        return None
    kept, offset, shape, stride = value.args[:4]
    storage, dtype = storage_of(kept), _dtype(name, value.args)
    if (
        storage is None
        or dtype is None
        or not (_is_count(offset) and _are_counts(shape) and _are_counts(stride))
    ):
        return None
    shape, stride = _counts(shape), _counts(stride)
    return Described(storage, dtype, shape, stride, offset) if len(shape) == len(stride) <= 64 else None


def _rebuilds(value: Any) -> str:
    """The function of torch._utils that a note would call; empty for all else."""
    if not isinstance(value, Made) or value.new or not isinstance(value.function, Global):
        return ""
    return value.function.name if value.function.module == "torch._utils" else ""


def _dtype(name: str, args: tuple[Any, ...]) -> str | None:
    """The dtype that a call to rebuild a tensor gives it; None where the call is not as PyTorch writes it."""
    storage = storage_of(args[0])
    if name == "_rebuild_tensor":
        return storage.dtype if storage and len(args) == 4 else None
    if len(args) < 6 or not _is_nothing(args[5]):
        return None
    if name == "_rebuild_tensor_v2":
        return storage.dtype if storage else None
    return dtype_of(args[6]) if len(args) > 6 else None


def dtype_of(value: Any) -> str | None:
    """The name of a dtype of numbers that a pickle names; None for all else."""
    if not isinstance(value, Global) or value.module != "torch":
        return None
    name = _ALIASES.get(value.name, value.name)
    return name if name in ITEM_SIZES else None


def _counts(value: Any) -> tuple[int, ...]:
    return tuple(value.args[0]) if isinstance(value, Made) else tuple(value)


def _are_counts(value: Any) -> bool:
    """A tuple or list of sizes, or a torch.Size of one."""
    if isinstance(value, Made) and value.function == Global("torch", "Size") and len(value.args) == 1:
        value = value.args[0]
    plain = isinstance(value, (tuple, list)) and not isinstance(value, Global)
    return plain and all(_is_count(part) for part in value)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 62


def _is_nothing(hooks: Any) -> bool:
    """No hooks: an empty OrderedDict, or None."""
    empty = isinstance(hooks, Made) and hooks.function == Global("collections", "OrderedDict")
    return hooks is None or (empty and not (hooks.args or hooks.pairs or hooks.items or hooks.state))
