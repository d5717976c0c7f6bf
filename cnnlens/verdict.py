"""Verdict: how far a visualiser can be trusted on this model, said before it runs, and because of what."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

Level = Literal["valid", "approximate", "not possible"]


@dataclass(frozen=True)
class Approximate:
    """A reason why the picture is to be read with care; it is made all the same."""

    because: str


@dataclass(frozen=True)
class Impossible:
    """A reason why there can be no picture; the visualiser is not run."""

    because: str


Reason = Approximate | Impossible


@dataclass(frozen=True)
class Verdict:
    """What stands against a visualiser on a model with certain settings; nothing, if it is valid."""

    reasons: tuple[Reason, ...] = ()

    @classmethod
    def of(cls, reasons: Iterable[Reason]) -> Verdict:
        """A verdict of these reasons, said once each."""
        return cls(tuple(dict.fromkeys(reasons)))

    @property
    def level(self) -> Level:
        """The worst of its reasons."""
        if any(isinstance(reason, Impossible) for reason in self.reasons):
            return "not possible"
        return "approximate" if self.reasons else "valid"

    @property
    def because(self) -> tuple[str, ...]:
        """The reasons that decide the level, in words."""
        worst = Impossible if self.level == "not possible" else Approximate
        return tuple(reason.because for reason in self.reasons if isinstance(reason, worst))

    @property
    def why_not(self) -> str | None:
        """Why there can be no picture; None where there can."""
        return "; ".join(self.because) if self.level == "not possible" else None

    def facts(self) -> dict[str, Any]:
        """As it goes into manifests."""
        return {"level": self.level, "because": list(self.because)}

    def __str__(self) -> str:
        return f"{self.level}, because {'; '.join(self.because)}" if self.reasons else "valid"
