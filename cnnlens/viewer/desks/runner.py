"""The runner: who has the model. What a desk may ask of it, whatever process it is in."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Protocol

from ...images import Image
from ...preprocess import InputSpec
from ...result import Result
from .desk import Request
from .jobs import Part


class Watched(Protocol):
    """Work that is watched: how far it is, and whether it shall stop."""

    @property
    def stop(self) -> threading.Event:
        """Set when it shall stop."""

    def tick(self, done: int, total: int) -> None:
        """How far it has come; raises Cancelled where it shall stop."""


class Gallery(Protocol):
    """Where a runner gets pictures from."""

    def open(self, id: str) -> Image:
        """The opened picture. Raises NotThere, CannotOpen."""

    def named(self, text: str) -> Image:
        """The opened picture of that id or name. Raises UnknownName, BadInput."""


class Runner(Protocol):
    """The model, and the visualisers that look at it. Threads may ask; `run` is for one at a time."""

    @property
    def is_known(self) -> bool:
        """Whether there are facts to tell."""

    def model(self) -> dict[str, Any]:
        """The model's facts."""

    def layers(self) -> list[dict[str, Any]]:
        """The layers in call order."""

    def layer(self, name: str) -> dict[str, Any]:
        """One layer, closely: what a place of it sees of the picture, its weights, its work. Raises NotThere."""

    def visualisers(self) -> list[dict[str, Any]]:
        """Every visualiser with its settings for this model, or why it cannot read it."""

    def visualiser(self, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """One visualiser, the given settings resolved, and what they cost."""

    def plugins(self) -> dict[str, Any]:
        """What was loaded, and what was left out and why."""

    @property
    def input(self) -> InputSpec:
        """What the model expects to be fed."""

    def parts(self, request: Request, salt: str) -> list[Part]:
        """A request taken apart; refuses what can be refused before it runs."""

    def run(self, part: Part, job: Watched) -> Result:
        """Make one result."""

    def forget(self, id: str | None = None) -> None:
        """Let go of what is known of a picture, or of all."""
