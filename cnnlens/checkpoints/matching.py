"""Find the architecture that weights were trained in, by the names and shapes of the weights alone.

Never guessed: where several architectures fit alike, and neither the file's own words nor its publisher's
digest decide, they are listed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

from .index import Entry, entries
from .old_names import renewed
from .prefixes import Peeled, peelings
from .signature import Signature, class_count, fingerprint, signature_of, words
from .zoo import Zoo, installed_zoos, make_on_meta

#: How many architectures are built, on the meta device, to find the nearest.
_BUILT = 8


@dataclass(frozen=True)
class Match:
    """Architectures that fit weights in every name and shape, and the weights by the names that fit."""

    entries: tuple[Entry, ...]
    classes: int
    weights: Mapping[str, Any] = field(repr=False)
    why: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What a user types for each."""
        return tuple(entry.title for entry in self.entries)

    def narrowed(self, name: str | None) -> Match | None:
        """The match within those of this name, by which the file calls its architecture; None for none."""
        bare = (name or "").partition(".")[0]  # timm adds a tag for the weights
        kept = tuple(e for e in self.entries if bare in (e.name, e.title))
        return replace(self, entries=kept) if kept else None


def find(weights: Mapping[str, Any], zoos: Sequence[Zoo] | None = None) -> Match | None:
    """All architectures that the weights fit, in as many wrappings as it takes to find one; None for none."""
    known = entries(installed_zoos() if zoos is None else zoos)
    for peeled in spellings(weights):
        found = _lookup(signature_of(peeled.weights), known)
        if found:
            classes, fitting = found
            return Match(_without_twins(fitting), classes, peeled.weights)
    return None


def spellings(weights: Mapping[str, Any]) -> Iterator[Peeled]:
    """The weights in each wrapping that comes off, and there by the names of today."""
    for peeled in peelings(weights):
        yield peeled
        new, notes = renewed(peeled.weights)
        if notes:
            yield Peeled(new, [*peeled.notes, *notes])


def _lookup(signature: Signature, known: Iterable[Entry]) -> tuple[int, list[Entry]] | None:
    by_head: dict[Any, list[Entry]] = defaultdict(list)
    for entry in known:
        if entry.tensors == len(signature):
            by_head[entry.head].append(entry)
    for head, candidates in by_head.items():
        classes = class_count(signature, head)
        if classes is not None:
            print_ = fingerprint(signature, head)
            if fitting := [entry for entry in candidates if entry.fingerprint == print_]:
                return classes, fitting
    return None


def _without_twins(found: Sequence[Entry]) -> tuple[Entry, ...]:
    """torchvision's alone where timm has the same by the same name, which computes the same (tested)."""
    own = {entry.name for entry in found if entry.zoo == "torchvision"}
    return tuple(entry for entry in found if entry.zoo == "torchvision" or entry.name not in own)


@dataclass(frozen=True)
class Near:
    """An architecture that does not fit, how much of it does, and what differs first."""

    entry: Entry
    share: float
    differences: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.entry.title} ({self.share:.0%} alike; {'; '.join(self.differences)})"


def nearest(weights: Mapping[str, Any], zoos: Sequence[Zoo] | None = None, count: int = 3) -> list[Near]:
    """The architectures that share most names and shapes with the weights, the nearest first."""
    opened = {zoo.title: zoo for zoo in (installed_zoos() if zoos is None else zoos)}
    one: dict[tuple[str, str], Entry] = {}  # of the same by the same name, torchvision's
    for entry in entries(opened.values()):
        one.setdefault((entry.name, entry.fingerprint), entry)
    found: list[tuple[float, int, Entry, Signature]] = []
    for peeled in spellings(weights):
        signature = signature_of(peeled.weights)
        for likeness, entry in _likely(signature, list(one.values()), _BUILT):
            found.append((likeness, len(found), entry, signature))
    best: dict[str, Near] = {}
    for _, _, entry, spelt in sorted(found, key=lambda row: -row[0])[:_BUILT]:
        near = _compare(opened[entry.zoo], entry, spelt)
        if near.share > 0 and near.share > (best[entry.title].share if entry.title in best else 0):
            best[entry.title] = near
    return sorted(best.values(), key=lambda near: -near.share)[:count]


def _likely(signature: Signature, known: Sequence[Entry], count: int) -> list[tuple[float, Entry]]:
    """The entries whose words, number of tensors and size are nearest; nothing is built for it."""
    own, numbers = words(signature), sum(map(prod, signature.values()))
    likeness: dict[frozenset[str], float] = {}
    ranked = []
    for entry in known:
        if entry.words not in likeness:
            likeness[entry.words] = len(own & entry.words) / len(own | entry.words)
        if likeness[entry.words] > 0.2:
            depth, size = _ratio(entry.tensors, len(signature)), _ratio(entry.parameters, numbers)
            ranked.append((likeness[entry.words] + depth + size, entry))
    return sorted(ranked, key=lambda pair: -pair[0])[:count]


def _ratio(one: int, other: int) -> float:
    return min(one, other) / max(one, other, 1)


def _compare(zoo: Zoo, entry: Entry, signature: Signature) -> Near:
    classes = class_count(signature, entry.head) or 1000
    module = make_on_meta(zoo, entry.name, {**entry.arguments, "num_classes": classes})
    wanted = signature_of(module.state_dict())
    alike = sum(signature.get(name) == shape for name, shape in wanted.items())
    share = alike / max(len(wanted.keys() | signature.keys()), 1)
    return Near(entry, share, tuple(differences(signature, wanted, 3)))


def differences(found: Signature, wanted: Signature, count: int) -> list[str]:
    """The first differences in words, those of shape first: they say most about the cause."""
    shapes = [
        f"{name} is {found[name]}, not {shape}"
        for name, shape in wanted.items()
        if name in found and found[name] != shape
    ]
    missing = [f"no {name}" for name in wanted if name not in found]
    more = [f"{name} besides" for name in found if name not in wanted]
    told = [*shapes[:1], *missing[:1], *more[:1], *shapes[1:], *missing[1:], *more[1:]]
    return [*told[:count], *([f"and {len(told) - count} more"] if len(told) > count else [])]
