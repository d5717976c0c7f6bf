"""What a model returned as a flat mapping of paths to tensors, and which of them is the scores.

Frameworks differ in what a tensor is and in nothing else here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..errors import CnnlensError, UnknownName, Unmet

IsTensor = Callable[[Any], bool]

#: Names that say of themselves that they are the scores, the surest first.
_TELLING = ("logits", "out", "output", "scores")
_DEEPEST = 6  # containers in containers; what is nested deeper is a cache of some kind, and may be circular
_BARE = "output"  # the path of a tensor that is returned by itself


def flattened(output: Any, is_tensor: IsTensor) -> dict[str, Any]:
    """Every tensor in dicts, tuples, lists and objects with fields, by path: `logits`, `[0]`, `heads.age`."""
    if is_tensor(output):
        return {_BARE: output}
    return dict(_walk(output, "", is_tensor, _DEEPEST))


def _walk(output: Any, path: str, is_tensor: IsTensor, depth: int) -> Iterator[tuple[str, Any]]:
    for key, value in _parts(output).items():
        if str(key).startswith("_"):
            continue
        step = f"[{key}]" if isinstance(key, int) else f".{key}" if path else str(key)
        if is_tensor(value):
            yield path + step, value
        elif depth:
            yield from _walk(value, path + step, is_tensor, depth - 1)


def _parts(output: Any) -> Mapping[Any, Any]:
    """What a container holds, by key, field or place; nothing for what is none."""
    if isinstance(output, Mapping):
        return output
    if isinstance(output, (tuple, list)):
        return dict(zip(getattr(output, "_fields", range(len(output))), output, strict=True))
    if dataclasses.is_dataclass(output) and not isinstance(output, type):
        return {field.name: getattr(output, field.name) for field in dataclasses.fields(output)}
    return getattr(output, "__dict__", {}) if not isinstance(output, type) and not callable(output) else {}


def scores_path(output: Any, is_tensor: IsTensor, asked: str | None, owner: str) -> str:
    """The path of the tensor of scores.

    What was asked for; the only tensor; `logits`, `out`, `output` or `scores`; of a mapping the only one with
    a row of numbers a picture; of a sequence the first. Raises UnknownName, or Unmet where it cannot be told.
    """
    tree = flattened(output, is_tensor)
    if asked is not None:
        if asked not in tree:
            raise UnknownName("output", asked, tree, f" of {owner}")
        return asked
    found = _told(output, is_tensor, "")
    if found is None:
        raise _unsure(output, tree, owner)
    return found or _BARE


def _told(output: Any, is_tensor: IsTensor, path: str) -> str | None:
    if is_tensor(output):
        return path
    parts = _parts(output)
    dot = "." if path else ""
    for key in _TELLING:
        if is_tensor(parts.get(key)):
            return f"{path}{dot}{key}"
    if isinstance(output, (tuple, list)) and parts:
        key, first = next(iter(parts.items()))
        return _told(first, is_tensor, path + (f"[{key}]" if isinstance(key, int) else f"{dot}{key}"))
    tensors = flattened(output, is_tensor)
    rows = [name for name, value in tensors.items() if len(value.shape) == 2]
    only = list(tensors) if len(tensors) == 1 else rows
    return None if len(only) != 1 else f"{path}{'' if only[0].startswith('[') else dot}{only[0]}"


def _unsure(output: Any, tree: Mapping[str, Any], owner: str) -> CnnlensError:
    kind = type(output).__name__ + (f" with {list(output)}" if isinstance(output, Mapping) else "")
    told = f"{owner} returns a {kind}: no tensor of scores was found in it"
    if not tree:
        return Unmet(told)
    shown = ", ".join(f"{path} ({'×'.join(str(n) for n in t.shape[1:])})" for path, t in tree.items())
    first = next(iter(tree))
    return Unmet(f"{told} by itself; say which it is, output={first!r} or --scores {first}: it has {shown}")
