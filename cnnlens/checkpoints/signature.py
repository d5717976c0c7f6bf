"""What a set of weights looks like from outside: names, shapes, and a fingerprint for any class count."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

Shape = tuple[int, ...]
Signature = Mapping[str, Shape]
#: Where a network's number of classes stands: names of weights, each with the axis.
Head = tuple[tuple[str, int], ...]

_COUNTER = "num_batches_tracked"  # a counter of training steps, which files of old torch lack


def signature_of(weights: Mapping[str, Any]) -> dict[str, Shape]:
    """Names and shapes of a state_dict, without the counters of batch norm and what is no tensor."""
    return {k: tuple(v.shape) for k, v in weights.items() if hasattr(v, "shape") and not is_counter(k)}


def is_counter(name: str) -> bool:
    """Whether it is a counter that no score depends on."""
    return name.rpartition(".")[2] == _COUNTER


def head_of(signature: Signature, classes: int) -> Head:
    """The weights and axes that are as long as there are classes, a length that nothing else has."""
    found = sorted(signature.items())
    return tuple((name, axis) for name, shape in found for axis, n in enumerate(shape) if n == classes)


def class_count(signature: Signature, head: Head) -> int | None:
    """The number of classes that every weight of the head agrees on; None where one is not there."""
    lengths = set()
    for name, axis in head:
        shape = signature.get(name, ())
        if len(shape) <= axis:
            return None
        lengths.add(shape[axis])
    return lengths.pop() if len(lengths) == 1 else None


def fingerprint(signature: Signature, head: Head) -> str:
    """A digest of names and shapes that is the same for every number of classes."""
    open_axes = set(head)
    digest = hashlib.sha256()
    for name in sorted(signature):
        lengths = ["*" if (name, axis) in open_axes else str(n) for axis, n in enumerate(signature[name])]
        digest.update(f"{name} {','.join(lengths)}\n".encode())
    return digest.hexdigest()[:16]


def words(names: Iterable[str]) -> frozenset[str]:
    """Names with their numbers taken out: what networks of a family share whatever their depth."""
    return frozenset(re.sub(r"\d+", "#", name) for name in names)
