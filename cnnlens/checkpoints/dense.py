"""Only dense tensors of numbers: what a pickle of weights may hold, and what has come out of one.

PyTorch's weights-only reader is the gate; this is a narrower one before it. It knows which functions that
reader would call and with what, and lets pass those that make a dense tensor of what is stored in the file.
Sparse, quantised and other tensors have been made to read beyond their memory, so they do not pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from ..errors import CannotOpen, Refused
from .notes import Global, Kept, Made, Pairs, Pickle, everything, mapping
from .storages import described, dtype_of, storage_of
from .words import shown

#: The names that PyTorch's weights-only reader resolves; `Storage`, `Tensor` and dtypes besides.
_DATA = frozenset(
    "collections.OrderedDict collections.Counter torch.Size torch.device _codecs.encode builtins.bytearray "
    "builtins.set builtins.frozenset builtins.complex torch.nn.parameter.Parameter torch.Tensor "
    "torch.serialization._get_layout "
    "torch._utils._rebuild_tensor torch._utils._rebuild_tensor_v2 torch._utils._rebuild_tensor_v3 "
    "torch._utils._rebuild_parameter torch._utils._rebuild_parameter_with_state "
    "torch._utils._rebuild_qtensor "
    "torch._utils._rebuild_sparse_tensor torch._utils._rebuild_meta_tensor_no_storage "
    "torch._utils._rebuild_wrapper_subclass torch._utils._rebuild_device_tensor_from_numpy "
    "torch._utils._rebuild_device_tensor_from_cpu_tensor torch._tensor._rebuild_from_type_v2".split()
)
_TENSORLIKE = re.compile(
    r"torch(\.cuda|\.sparse|\.cuda\.sparse|\.storage)?\.\w+(Tensor|Storage)"
    r"|torch\.(q?u?int\d+x?\d*|quint\d+x\d+|bits\d+(x\d+)?|float\w*|bfloat16|complex\d+|bool|double|half|long|short|int"
    r"|per_(tensor|channel)_\w+)"
)
NAMESPACE = "argparse.Namespace"
#: What training scripts keep beside weights and what is read as mere data, or as nothing: never imported.
HARMLESS = (
    NAMESPACE, "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.dtype",
    "numpy.dtypes.Float64DType", "numpy.dtypes.Float32DType", "numpy.dtypes.Int64DType",
    "pathlib.PosixPath", "pathlib.WindowsPath", "pathlib.PurePosixPath", "pathlib._local.PosixPath",
)  # fmt: skip
_KINDS = {"sparse": "a sparse tensor", "qtensor": "a quantised tensor", "meta": "a tensor without numbers"}
_ENCODINGS = {"latin1", "latin-1", "utf-8", "utf8", "ascii"}
_DICT_NAMES = frozenset(dir(dict))


def foreign_names(pickle: Pickle, allowed: Iterable[str] = ()) -> list[str]:
    """The names that the pickle would import and that are not among data: what opening it would run."""
    known = _DATA.union(HARMLESS, allowed)
    told = (str(name) for name in pickle.names)
    return [name for name in told if name not in known and not _TENSORLIKE.fullmatch(name)]


def oddities(pickle: Pickle, allowed: Iterable[str] = ()) -> Iterable[str]:
    """What the pickle holds that no plain checkpoint of dense weights does, in words."""
    foreign = {*foreign_names(pickle), *allowed, *HARMLESS}
    for one in everything(pickle.value):
        told = None
        if isinstance(one, Made) and not (isinstance(one.function, Global) and str(one.function) in foreign):
            told = _odd_call(one)
        elif isinstance(one, Kept) and storage_of(one) is None:
            told = "a class with its source code"
        if told is None and isinstance(one, (Made, Pairs)):
            told = next((k for k in map(_odd_key, (pair[0] for pair in one.pairs)) if k), None)
        if told is not None:
            yield told


def _odd_call(made: Made) -> str | None:
    function = made.function
    if not isinstance(function, Global):
        return "a call of something that was itself made"
    tensor = described(made)
    if tensor is not None:
        return tensor.fault or (_unexpected(made) if made.state is not None or made.pairs else None)
    if function.module in ("torch._utils", "torch._tensor") or function.name.endswith(
        ("Tensor", "Parameter")
    ):
        kind = function.name.removeprefix("_rebuild_").replace("_", " ")
        if kind in ("tensor", "tensor v2", "tensor v3", "parameter"):
            return "a tensor whose storage, shape or strides are not as PyTorch writes them"
        words = [word for word in _KINDS if word in kind]
        return _KINDS[words[0]] if words else f"a tensor that is not a plain dense one of numbers ({kind})"
    rule = _CALLS.get(str(function))
    return None if rule is not None and rule(made) else _unexpected(made)


def _unexpected(made: Made) -> str:
    return f"a use of {made.function} that no weights have"


def _odd_key(key: Any) -> str | None:
    """Keys that are slow to hash, or to compare, are no names of weights."""
    simple = (str, int, float, bytes, type(None), Global)
    if isinstance(key, simple) or (
        isinstance(key, tuple) and len(key) < 9 and all(isinstance(k, simple) for k in key)
    ):
        return None
    if isinstance(key, Made) and key.function == Global(
        "_codecs", "encode"
    ):  # bytes, as protocol 2 writes them
        return None
    return f"a key that is a {type(key).__name__.lower()}"


def _is_ordered(made: Made) -> bool:
    """An OrderedDict; its attributes, such as a state_dict's `_metadata`, hide none of its own."""
    if made.state is None:
        return mapping(made) is not None and not made.items
    names = [pair[0] for pair in mapping(made.state) or [(None, None)]]
    return all(isinstance(name, str) and name not in _DICT_NAMES for name in names)


def _is_bytes(made: Made) -> bool:
    texts = len(made.args) == 2 and all(isinstance(arg, str) for arg in made.args)
    return texts and made.args[1] in _ENCODINGS


def _members(made: Made) -> list[Any]:
    """What would be in a set."""
    return made.items + [m for arg in made.args for m in (arg if isinstance(arg, list) else [arg])]


def _is_numbers(made: Made) -> bool:
    return all(isinstance(arg, (int, float)) for arg in made.args)


_CALLS: dict[str, Any] = {
    "collections.OrderedDict": _is_ordered,
    "collections.Counter": lambda made: all(mapping(arg) is not None for arg in made.args),
    "torch.Size": lambda made: len(made.args) == 1 and isinstance(made.args[0], (tuple, list)),
    "torch.device": lambda made: all(isinstance(arg, (str, int)) for arg in made.args),
    "torch.serialization._get_layout": lambda made: made.args == ("torch.strided",),
    "_codecs.encode": _is_bytes,
    "builtins.complex": _is_numbers,
    "builtins.set": lambda made: all(
        isinstance(arg, list) and not any(map(_odd_key, arg)) for arg in made.args
    ),
    "builtins.bytearray": lambda made: (
        not any(isinstance(arg, int) for arg in made.args)
    ),  # a size is asked for
}


def check_pickled(pickle: Pickle, name: str, allowed: Iterable[str] = ()) -> None:
    """Refuse a pickle that names code, or that makes more than dense tensors and plain values."""
    foreign = foreign_names(pickle, allowed)
    if foreign:
        told = ", ".join(shown(name, 80) for name in foreign[:5]) + (
            f" and {len(foreign) - 5} more" if len(foreign) > 5 else ""
        )
        raise Refused(
            f"{name} holds more than weights, and opening it would run code that came with it "
            f"({told}). If you trust who made it, say --trust; better, save its state_dict() alone"
        )
    odd = next(iter(oddities(pickle, allowed)), None)
    if odd is not None:
        raise Refused(
            f"{name} holds {odd}; only dense tensors of numbers are read, with plain values around them"
        )


def check_loaded(torch: Any, content: Any, name: str) -> None:
    """The same of what has been loaded: every tensor is strided, of numbers, and within its storage."""
    waiting, seen = [content], set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, torch.Tensor):
            _check_tensor(torch, one, name)
        elif isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, (list, tuple, set, frozenset)):
            waiting.extend(one)


def _check_tensor(torch: Any, tensor: Any, name: str) -> None:
    plain = tensor.layout is torch.strided and not tensor.is_quantized and not tensor.is_nested
    if type(tensor) not in (torch.Tensor, torch.nn.Parameter) or not plain or tensor.device.type == "meta":
        raise Refused(
            f"{name} holds a tensor that is not a plain dense one of numbers: {type(tensor).__name__}"
        )
    if dtype_of(Global("torch", str(tensor.dtype).removeprefix("torch."))) is None:
        raise Refused(f"{name} holds a tensor of {tensor.dtype}, which are no plain numbers")
    if tensor.numel():
        spans = ((n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True))
        reach = (tensor.storage_offset() + 1 + sum(spans)) * tensor.element_size()
        if reach > tensor.untyped_storage().nbytes():
            raise CannotOpen(
                f"{name} holds a tensor of shape {tuple(tensor.shape)} that reaches beyond its storage"
            )
