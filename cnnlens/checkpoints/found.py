"""The weights within a pickle that nobody ran: under which key, with which prefixes, and what else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .inspection import TensorFact
from .notes import Global, Made, Pairs, holders, mapping
from .storages import described
from .words import brief, shown

#: Where training loops keep the weights, in the order in which they are looked for.
WRAPPERS = (
    "state_dict", "model_state_dict", "model_state", "state_dict_ema", "model_ema", "ema", "model", "net",
    "network", "module", "weights", "params", "params_ema",
)  # fmt: skip
#: What wrappers of modules put in front of every name.
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "backbone.", "encoder.")
#: Where a pickled module keeps what it is made of; its tensors are named as its state_dict would name them.
_INSIDE = ("_parameters", "_buffers", "_modules")

_MOST_ENTRIES = 200  # of a checkpoint's further entries are told
_MOST_LEVELS = 8
_LONGEST_NAME = 500


class WeightsFound(NamedTuple):
    """The weights, the tensors elsewhere, what is no tensor, and the key that led to the weights."""

    tensors: tuple[TensorFact, ...]
    others: tuple[TensorFact, ...]
    metadata: Mapping[str, Any]
    wrapper: str | None


def find_weights(value: Any) -> WeightsFound:
    """Look through the notes of a pickle for what is most likely the state_dict."""
    holding = holders(value, lambda one: described(one) is not None)
    keys, inner = _unwrapped(value, holding)
    noted = list(_noted(inner))
    ours = {id(note) for note, _ in noted}
    others = tuple(fact for note, fact in _noted(value) if id(note) not in ours) if keys else ()
    rest = [pair for pair in mapping(value) or [] if id(pair[1]) not in holding][:_MOST_ENTRIES]
    metadata = {shown(str(brief(key, 2)), 80): brief(inside) for key, inside in rest}
    return WeightsFound(tuple(fact for _, fact in noted), others, metadata, ".".join(keys) or None)


def _unwrapped(value: Any, holding: set[int]) -> tuple[list[str], Any]:
    """Down by the keys that people use, or else by any that leads to tensors; a few levels."""
    keys: list[str] = []
    while len(keys) < _MOST_LEVELS:
        pairs = mapping(value) or []
        if any(described(inner) is not None for _, inner in pairs):
            break
        held = {key: inner for key, inner in pairs if isinstance(key, str) and id(inner) in holding}
        key = next((key for key in (*WRAPPERS, *held) if key in held), None)
        if key is None:
            break
        keys.append(shown(key, 80))
        value = held[key]
    return keys, value


def _noted(value: Any) -> Iterator[tuple[Any, TensorFact]]:
    """Each tensor with its note, in the order of the file, however deep, named by the way to it."""
    waiting: list[tuple[str, Any]] = [("", value)]
    seen: set[int] = set()
    while waiting:
        path, one = waiting.pop()
        tensor = described(one)
        if tensor is not None:
            yield one, TensorFact(shown(path), tensor.shape, tensor.dtype, tensor.bytes)
        elif id(one) not in seen:
            seen.add(id(one))
            waiting.extend((_joined(path, key), part) for key, part in reversed(list(_inside(one))))


def _inside(one: Any) -> Iterator[tuple[Any, Any]]:
    pairs = mapping(one)
    if pairs is not None:
        yield from pairs
    elif isinstance(one, (list, tuple)) and not isinstance(one, Global):
        yield from enumerate(one)
    elif isinstance(one, Made):
        state = one.state if isinstance(one.state, Pairs) else Pairs()
        yield from state.pairs
        if not state.pairs:
            yield from (("", part) for part in (*one.args, one.state))


def _joined(path: str, key: Any) -> str:
    if key in _INSIDE or key == "" or len(path) > _LONGEST_NAME:
        return path
    told = key if isinstance(key, str) else str(brief(key, 2))
    return f"{path}.{told}" if path else told


def wrapped_prefixes(names: list[str]) -> tuple[str, ...]:
    """The prefixes that every name begins with, from the outside in."""
    found: list[str] = []
    while names:
        prefix = next((p for p in PREFIXES if all(name.startswith(p) for name in names)), None)
        if prefix is None:
            break
        found.append(prefix)
        names = [name.removeprefix(prefix) for name in names]
    return tuple(found)
