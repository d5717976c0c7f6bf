"""The fingerprints of the architectures of torchvision and timm, so that a search need not build a thousand.

The shipped table (`architectures.json`) is made by `.ci/index_architectures.py`. Names that it does not know,
of another version of the library, are built on the meta device when a search needs them; what it does know
is proven in the end by the weights, which must fit the built architecture in every name and shape.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from math import prod
from typing import Any

from .signature import Head, Signature, fingerprint, head_of, signature_of, words
from .zoo import Zoo, make_on_meta

#: A number of classes that no other axis of any architecture has.
_MARKED = 1009
#: Forms of an architecture whose weights differ, which arguments choose.
_VARIANTS: dict[tuple[str, str], Sequence[Mapping[str, Any]]] = {
    ("torchvision", "googlenet"): ({}, {"aux_logits": False}),
    ("torchvision", "inception_v3"): ({}, {"aux_logits": False}),
}


@dataclass(frozen=True)
class Entry:
    """An architecture as the index knows it: its weights' fingerprint, head, words, count and size."""

    zoo: str
    name: str
    fingerprint: str
    head: Head
    words: frozenset[str] = field(repr=False)
    tensors: int
    parameters: int
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What a user types for it: torchvision's by their name, others with their library's."""
        told = "".join(f", {k}={v}" for k, v in self.arguments.items())
        return (self.name if self.zoo == "torchvision" else f"{self.zoo}:{self.name}") + told


def entries(zoos: Iterable[Zoo]) -> list[Entry]:
    """The architectures of these libraries, from the shipped table or else built on the meta device."""
    return [entry for zoo in zoos for entry in _entries_of(zoo)]


@cache
def _entries_of(zoo: Zoo) -> tuple[Entry, ...]:
    shipped = read_table().get(zoo.title, {})
    found: list[Entry] = []
    for name in zoo.names():
        found += shipped[name] if name in shipped else describe(zoo, name)
    return tuple(found)


def describe(zoo: Zoo, name: str) -> list[Entry]:
    """The entries of one architecture, built on the meta device; none where it has no classes."""
    found = []
    for arguments in _VARIANTS.get((zoo.title, name), ({},)):
        try:
            module = make_on_meta(zoo, name, {**arguments, "num_classes": _MARKED})
        except (TypeError, ValueError, RuntimeError, AssertionError):
            continue  # it takes no number of classes, so it is no classifier that could be searched for
        signature = signature_of(module.state_dict())
        head = head_of(signature, _MARKED)
        if head:
            found.append(_entry(zoo.title, name, arguments, signature, head))
    return found


def _entry(zoo: str, name: str, arguments: Mapping[str, Any], signature: Signature, head: Head) -> Entry:
    return Entry(
        zoo, name, fingerprint(signature, head), head, words(signature), len(signature),
        sum(prod(shape) for key, shape in signature.items() if key not in dict(head)), arguments,
    )  # fmt: skip


@cache
def read_table() -> dict[str, dict[str, list[Entry]]]:
    """The shipped table: library → name → entries."""
    held = json.loads(resources.files(__package__).joinpath("architectures.json").read_text("utf-8"))
    heads = [tuple((key, axis) for key, axis in head) for head in held["heads"]]
    sets = [frozenset(held["words"][i] for i in chosen) for chosen in held["sets"]]
    table: dict[str, dict[str, list[Entry]]] = {}
    for zoo, rows in held["architectures"].items():
        table[zoo] = {name: [] for name in held["classless"].get(zoo, ())}
        for name, print_, head, chosen, tensors, parameters, arguments in rows:
            entry = Entry(zoo, name, print_, heads[head], sets[chosen], tensors, parameters, arguments)
            table[zoo].setdefault(name, []).append(entry)
    return table


def write_table(
    found: Mapping[str, Sequence[Entry]], classless: Mapping[str, Sequence[str]], versions: Mapping[str, str]
) -> str:
    """The table as JSON, a row a line; heads and sets of words are written once.

    `classless` names what is listed and classifies nothing, so that no search builds it to find that out.
    """
    flat = [entry for rows in found.values() for entry in rows]
    heads, sets = _numbered(e.head for e in flat), _numbered(tuple(sorted(e.words)) for e in flat)
    known = _numbered(word for chosen in sets for word in chosen)
    rows = {
        zoo: [
            [e.name, e.fingerprint, heads[e.head], sets[tuple(sorted(e.words))], e.tensors, e.parameters,
             dict(e.arguments)]
            for e in entries_
        ]
        for zoo, entries_ in found.items()
    }  # fmt: skip
    parts: dict[str, Any] = {"heads": list(heads), "words": list(known)}
    parts["sets"] = [[known[word] for word in chosen] for chosen in sets]
    lines = [f'"versions": {json.dumps(dict(versions))}', f'"classless": {json.dumps(dict(classless))}']
    lines += [f'"{key}": [\n{_lines(values)}\n]' for key, values in parts.items()]
    tables = ",\n".join(f'"{zoo}": [\n{_lines(values)}\n]' for zoo, values in rows.items())
    return "{\n" + ",\n".join([*lines, f'"architectures": {{\n{tables}\n}}']) + "\n}\n"


def _numbered(values: Iterable[Any]) -> dict[Any, int]:
    return {value: i for i, value in enumerate(dict.fromkeys(values))}


def _lines(values: Iterable[Any]) -> str:
    return ",\n".join(json.dumps(value, separators=(",", ":")) for value in values)
