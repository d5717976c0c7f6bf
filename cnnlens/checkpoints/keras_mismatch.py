"""What does not fit between a file of Keras weights and an architecture, in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from ..errors import Mismatch

_SHOWN = 10


@dataclass
class Differences:
    """Names that only one side has, and shapes that differ: (name, shape in the file, shape wanted)."""

    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    shapes: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.shapes)

    def error(self, file: str, architecture: str, last: Sequence[str] = ()) -> Mismatch:
        """The error; `last` names the arrays of the last layer, whose shape is the number of classes."""
        wrong = [f"{name} is {have}, the architecture wants {want}" for name, have, want in self.shapes]
        lists = (
            ("missing in the file", self.missing),
            ("unexpected", self.unexpected),
            ("of another shape", wrong),
        )
        told = "; ".join(f"{len(some)} {what}: {_first(some)}" for what, some in lists if some)
        return Mismatch(f"the weights of {file} do not fit {architecture}: {told}{self._guess(last)}")

    def _guess(self, last: Sequence[str]) -> str:
        if (
            self.shapes
            and not self.missing
            and not self.unexpected
            and {s[0] for s in self.shapes} <= set(last)
        ):
            return (
                f". It was trained for {self.shapes[-1][1][-1]} classes: build the architecture with as many"
            )
        if len(self.missing) != len(self.unexpected):
            return ". It was written by a network of another depth, or by another version of its code"
        near = [(name, get_close_matches(name, self.unexpected, 1)) for name in self.missing]
        pairs = [f"{name} may be {found[0]}" for name, found in near if found]
        return f". By their names {_first(pairs[:3])}" if pairs else ""


def _first(names: Iterable[str]) -> str:
    some = list(names)
    return ", ".join(some[:_SHOWN]) + (" …" if len(some) > _SHOWN else "")
