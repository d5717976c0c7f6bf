"""What is being explained: a class, one class rather than another, a channel, a unit.

A target is a weighted sum of scores and of units of layers. It is evaluated here, in NumPy, after the
forward pass; a backend is only ever handed the cotangents to pull on, so a new kind of target needs no
line in any backend.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .arrays import Array
from .errors import BadInput, UnknownName, Unmet

if TYPE_CHECKING:
    from .model import Model

_RANK = re.compile(r"top-?(\d+)", re.IGNORECASE)
_UNIT = re.compile(r"(?P<layer>.+)\[\s*(?P<at>\d+(?:\s*,\s*\d+\s*,\s*\d+)?)\s*\]")


@dataclass(frozen=True)
class Term:
    """One weighted part of a target: the score of a class by index or by rank, or a unit of a layer.

    A unit without a place is a whole channel: the mean over its map.
    """

    weight: float = 1.0
    index: int | None = None
    rank: int | None = None
    layer: str | None = None
    channel: int = 0
    place: tuple[int, int] | None = None


@dataclass(frozen=True)
class Target:
    """A weighted sum of scores and units, with the text it was asked by.

    Gradients are those of `value`, pictures of a batch apart from each other.
    """

    terms: tuple[Term, ...]
    text: str

    @classmethod
    def of_class(cls, index: int) -> Target:
        """The score of one class."""
        return cls((Term(index=index),), str(index))

    @classmethod
    def of_rank(cls, rank: int) -> Target:
        """The score of whatever class comes first, second, …; each picture's own."""
        return cls((Term(rank=rank),), f"top{rank}")

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers whose activations it reads."""
        return tuple(dict.fromkeys(t.layer for t in self.terms if t.layer is not None))

    @property
    def index(self) -> int | None:
        """The class, where the target is a single class by index."""
        only = self.terms[0]
        return only.index if len(self.terms) == 1 and only.weight == 1 else None

    def pinned(self, scores: Array) -> Target:
        """The same target with ranks made classes, by the scores (classes,) of the picture asked about."""
        terms = tuple(
            replace(t, rank=None, index=int(_ranked(scores[None], t.rank)[0])) if t.rank is not None else t
            for t in self.terms
        )
        return replace(self, terms=terms)

    def value(self, scores: Array, activations: Mapping[str, Array]) -> Array:
        """The target of each picture, (n,)."""
        total = np.zeros(len(scores), np.float64)
        for term in self.terms:
            if term.layer is None:
                chosen = _classes(term, scores)
                total += term.weight * scores[np.arange(len(scores)), chosen]
            else:
                total += term.weight * _unit(term, activations[term.layer]).reshape(len(scores), -1).mean(1)
        return np.asarray(total, np.float32)

    def cotangents(self, scores: Array, activations: Mapping[str, Array]) -> dict[str, Array]:
        """The derivative of `value` by the scores (key "scores") and by each layer it reads."""
        pulls: dict[str, Array] = {}
        for term in self.terms:
            if term.layer is None:
                pull = pulls.setdefault("scores", np.zeros(scores.shape, np.float32))
                pull[np.arange(len(scores)), _classes(term, scores)] += term.weight
            else:
                pull = pulls.setdefault(term.layer, np.zeros(activations[term.layer].shape, np.float32))
                unit = _unit(term, pull)
                unit += term.weight * len(scores) / unit.size
        return pulls

    def label(self, model: Model) -> str:
        """The target in words: the classes' names, or the text it was asked by."""
        if not all(t.index is not None for t in self.terms):
            return self.text
        names = [model.class_name(t.index) for t in self.terms if t.index is not None]
        return " − ".join(names)


def read_target(asked: str | int | Target, model: Model) -> Target:
    """`top1`, `281`, `tabby`, `tabby - tiger cat`, `layer3[17]`, `layer3[17,4,5]` → a Target.

    Raises UnknownName with the nearest names where a class or layer does not exist.
    """
    if isinstance(asked, Target):
        return asked
    text = str(asked).strip()
    if isinstance(asked, bool):
        raise BadInput(f"a target is a class, a number or text, not {asked}")
    if isinstance(asked, int):
        return Target((_by_index(asked, model),), text)
    whole = _class_term(text, model)
    if whole is not None:
        return Target((whole,), text)
    unit = _UNIT.fullmatch(text)
    if unit:
        return Target((_unit_term(unit["layer"], unit["at"], model),), text)
    sides = text.split(" - ")
    if len(sides) == 2:
        first, second = (_class_term(side.strip(), model) for side in sides)
        for side, term in zip(sides, (first, second), strict=True):
            if term is None:
                raise UnknownName("class", side.strip(), model.classes or ())
        assert first is not None and second is not None
        return Target((first, replace(second, weight=-1.0)), text)
    if model.classes is None:
        raise UnknownName(
            "class", text, (), "; this model has no class names: give a number or top1, or --labels"
        )
    raise UnknownName("class", text, model.classes)


def _class_term(text: str, model: Model) -> Term | None:
    """A class by name, rank or number, in this order; None where the text is none of them."""
    names = [name.lower() for name in model.classes or ()]
    low = text.lower()
    if low in names:
        if names.count(low) > 1:
            numbers = [i for i, name in enumerate(names) if name == low]
            raise BadInput(f"{len(numbers)} classes are called {text!r}: ask by number, {numbers}")
        return Term(index=names.index(low))
    rank = _RANK.fullmatch(text)
    if rank:
        if int(rank[1]) < 1:
            raise BadInput("ranks begin with top1")
        if model.classes and int(rank[1]) > len(model.classes):
            raise BadInput(f"{text} of {len(model.classes)} classes")
        return Term(rank=int(rank[1]))
    if text.isdecimal() and len(text) < 10:
        return _by_index(int(text), model)
    return _by_part(low, names)


def _by_part(low: str, names: Sequence[str]) -> Term | None:
    """A name given by whole words of it ("tabby" for "tabby, tabby cat"), if only one class has them."""
    words = re.compile(rf"(?<!\w){re.escape(low)}(?!\w)")
    found = [i for i, name in enumerate(names) if low and words.search(name)]
    return Term(index=found[0]) if len(found) == 1 else None


def _by_index(index: int, model: Model) -> Term:
    count = len(model.classes) if model.classes else None
    if index < 0 or (count is not None and index >= count):
        raise BadInput(f"no class {index}; classes are numbered 0 to {count - 1 if count else '…'}")
    return Term(index=index)


def _unit_term(name: str, at: str, model: Model) -> Term:
    layer = model.layer(name.strip())
    numbers = [int(n) for n in at.split(",")]
    channel, place = numbers[0], tuple(numbers[1:])
    if not layer.shape or channel >= layer.shape[-1]:
        raise BadInput(f"layer {layer.name!r} has units {layer.shape}, no channel {channel}")
    if place and (len(layer.shape) != 3 or place[0] >= layer.shape[0] or place[1] >= layer.shape[1]):
        raise BadInput(f"layer {layer.name!r} has units {layer.shape}, no place {place}")
    where = (place[0], place[1]) if place else None
    return Term(layer=layer.name, channel=channel, place=where)


def _classes(term: Term, scores: Array) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """The class index of a score term for each picture, (n,)."""
    if scores.ndim != 2:
        raise Unmet(f"this model's output is {scores.shape[1:]} a picture: a class needs one score each")
    if term.rank is not None:
        return _ranked(scores, term.rank)
    assert term.index is not None
    if not 0 <= term.index < scores.shape[1]:
        raise BadInput(f"no class {term.index}; this model has {scores.shape[1]}, numbered from 0")
    return np.full(len(scores), term.index)


def _ranked(scores: Array, rank: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    if rank > scores.shape[-1]:
        raise BadInput(f"top{rank} of {scores.shape[-1]} classes")
    return np.argsort(-scores, -1, kind="stable")[:, rank - 1]


def _unit(term: Term, values: Array) -> Array:
    """A writable view of the unit in activations (n, …)."""
    if term.place is None:
        return values[..., term.channel]
    y, x = term.place
    return values[:, y, x, term.channel]
