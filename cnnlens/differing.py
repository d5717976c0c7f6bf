"""What two results differ in, read off their facts and put into words: image, model, target, settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Facts = Mapping[str, Any]

#: Facts that are names, and of what; where that differs the difference is called "one − other".
NAMES = {
    "visualiser": "visualiser", "title": "visualiser", "model": "model", "image": "image",
    "target": "target", "target_name": "target",
}  # fmt: skip
#: What of a preprocessing is no number of its own.
_ORIGIN = {"source"}


@dataclass(frozen=True)
class Words:
    """What differs, by its kind, each as two short texts; empty where the facts tell of nothing."""

    differs: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def a(self) -> str:
        """The first result, by what sets it apart."""
        return ", ".join(one for one, _ in self.differs.values())

    @property
    def b(self) -> str:
        """The second result, by what sets it apart."""
        return ", ".join(other for _, other in self.differs.values())

    def __str__(self) -> str:
        return f"{self.a or 'a'} − {self.b or 'b'}"

    def title(self, one: str, other: str) -> str:
        """A title of both panels; what their own titles say already is not said twice."""
        if one == other:
            return f"{one}: {self}" if one else str(self)
        titles = f"{one or 'untitled'} − {other or 'untitled'}"
        rest = {k: two for k, two in self.differs.items() if not (two[0] in one and two[1] in other)}
        return f"{titles}: {Words(rest)}" if rest else titles

    def means(self, means: str) -> str:
        """What a value above zero says."""
        told = f"more for {self.a} than for {self.b}" if self.differs else "more in a than in b"
        return f"{told} ({means})" if means else told

    def mark(self, one: str | None, other: str | None) -> str:
        """What is special about a tile of either."""
        if one == other:
            return one or ""
        return ", ".join(f"{mark} in {side}" for mark, side in ((one, "a"), (other, "b")) if mark)


def words_of(a: Facts, b: Facts) -> Words:
    """What differs between the results of these facts, and no more than that."""
    found = {name: pair for name, pair in _differing(a, b) if pair[0] != pair[1]}
    return Words({name: (_whole(one), _whole(other)) for name, (one, other) in found.items()})


def facts_of(a: Facts, b: Facts, words: Words) -> dict[str, Any]:
    """The facts of a difference: what both share as it is, the names that differ joined, and both in full."""
    facts = {name: a[name] for name in a if name in b and a[name] == b[name]}
    for name, of in NAMES.items():
        if name in a and name in b and a[name] != b[name]:  # one thing may go by two names
            both = f"{_whole(str(a[name]))} − {_whole(str(b[name]))}"
            facts[name] = both if of in words.differs else a[name]
    shared = {name: value for name, value in a["settings"].items() if b["settings"].get(name) == value}
    reasons = [reason for one in (a, b) for reason in one.get("verdict", {}).get("because", ())]
    levels = {one.get("verdict", {}).get("level", "valid") for one in (a, b)}
    return facts | {
        "settings": shared,
        "seconds": round(a["seconds"] + b["seconds"], 4),
        "verdict": {
            "level": "approximate" if "approximate" in levels else "valid",
            "because": list(dict.fromkeys(reasons)),
        },
        "difference": {"words": str(words), "differs": words.differs, "a": dict(a), "b": dict(b)},
    }


def _differing(a: Facts, b: Facts) -> Iterator[tuple[str, tuple[str, str]]]:
    """Everything that may differ, the most telling first; pairs may be equal."""
    if a["visualiser"] != b["visualiser"]:
        yield "visualiser", _both(a, b, "title")
    yield "model", _model(a, b)
    if "image" in a and "image" in b:
        yield "image", _named(_both(a, b, "image"), _both(a, b, "image_sha256"))
    if "target" in a and "target" in b:
        yield "target", _target(a, b)
    for name in dict.fromkeys((*a["settings"], *b["settings"])):
        values = [facts["settings"].get(name, "none") for facts in (a, b)]
        one, other = (f"{value}" if name == "layer" else f"{name} {value}" for value in values)
        yield name, (one, other)
    if a["model"] == b["model"]:  # two models are prepared for differently as a rule
        ours, theirs = a.get("preprocess") or {}, b.get("preprocess") or {}
        for name in dict.fromkeys((*ours, *theirs)):
            if name not in _ORIGIN:
                yield f"preprocess.{name}", (f"{name} {ours.get(name)}", f"{name} {theirs.get(name)}")
    one, other = (
        str((facts.get("precision") or {}).get("computed_in", "full precision")) for facts in (a, b)
    )
    yield "precision", (one, other)


def _model(a: Facts, b: Facts) -> tuple[str, str]:
    """By name, or by the file of weights, or by what is in the file."""
    names = _both(a, b, "model")
    if names[0] != names[1]:
        return names
    return _named(_both(a, b, "checkpoint"), _both(a, b, "checkpoint_sha256"))


def _target(a: Facts, b: Facts) -> tuple[str, str]:
    """By name; two classes may have the same one."""
    names, numbers = _both(a, b, "target_name"), _both(a, b, "target_index")
    if names[0] != names[1] or numbers[0] == numbers[1]:
        return names
    return f"{names[0]} ({numbers[0]})", f"{names[1]} ({numbers[1]})"


def _whole(name: str) -> str:
    """A name as one side of a difference; one that is a difference itself is put in brackets."""
    return f"({name})" if " − " in name else name


def _both(a: Facts, b: Facts, name: str) -> tuple[str, str]:
    one, other = a.get(name), b.get(name)
    return "" if one is None else str(one), "" if other is None else str(other)


def _named(names: tuple[str, str], digests: tuple[str, str]) -> tuple[str, str]:
    """Two names; of the same name that stands for two contents, with the beginning of each digest."""
    if digests[0] == digests[1] != "":
        return "", ""
    if names[0] != names[1]:
        return names
    return f"{names[0]} {digests[0][:8]}".strip(), f"{names[1]} {digests[1][:8]}".strip()
