"""The runner: who has the model. What a desk may ask of it, whatever process it is in."""

from __future__ import annotations

import threading
from typing import Protocol

from ...images import Image
from ...preprocess import InputSpec
from ...result import Result
from .desk import Facts, Request
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


class Runner(Facts, Protocol):
    """The model, and the visualisers that look at it. Threads may ask; `run` is for one at a time."""

    @property
    def life(self) -> int:
        """How many times a model was opened: what was made of an earlier one is not of this."""

    @property
    def input(self) -> InputSpec:
        """What the model expects to be fed."""

    def parts(self, request: Request, salt: str) -> list[Part]:
        """A request taken apart; refuses what can be refused before it runs."""

    def run(self, part: Part, job: Watched) -> Result:
        """Make one result."""

    def forget(self, id: str | None = None) -> None:
        """Let go of what is known of a picture, or of all."""
