"""The opening of a model, which may take long: what it is, how far it has come, and how it ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...errors import CannotOpen, WorkerDied
from ...model import Model
from .desk import error_of

RECENT = 3.0  #: seconds after which somebody who has not asked again is gone; pages ask at least every two


@dataclass(frozen=True)
class Loader:
    """A model that is still to be opened: by what call, and how it is told of until then.

    The call is made in another process, so it can be pickled: a function of a module, or a `functools.partial`
    of one.
    """

    name: str
    open: Callable[[], Model]
    size: int | None = None  # bytes


class Opening:
    """How far a model is: on its way, there, or not to be had. Threads may ask."""

    def __init__(self, name: str, size: int | None = None) -> None:
        self.name, self._size = name, size
        self._over = threading.Event()
        self.begun = threading.Event()  # set when the file itself is being opened
        self._asked = -RECENT
        self._heard = False  # whether anybody has been told that it failed
        self.error: Exception | None = None
        self.again()

    def again(self) -> None:
        """It is on its way, from now on."""
        self._begun, self._ended = time.monotonic(), 0.0
        self._over.clear()
        self.error, self._heard = None, False

    def arrived(self, name: str) -> None:
        """The model is there, and called so."""
        self.name = name
        self.begun.set()
        self._end()

    def failed(self, error: Exception) -> None:
        """There is no model to be had, and why."""
        self.error = error
        self._end()

    def _end(self) -> None:
        self._ended = self._ended or time.monotonic()
        self._over.set()

    def wait(self, seconds: float | None = None) -> None:
        """Until it is there or failed. Raises what it failed with."""
        self._over.wait(seconds)
        if self.error is not None:
            raise self.error

    def check_failure(self) -> None:
        """Raises CannotOpen where there is no model to be had, or WorkerDied where there was one."""
        if self.error is not None:
            kind = WorkerDied if isinstance(self.error, WorkerDied) else CannotOpen
            raise kind(error_of(self.error)["message"])

    def told(self, wait: float = 0.0) -> dict[str, Any]:
        """As JSON, after up to `wait` seconds if it has not ended."""
        if not self._over.is_set():
            self._asked = time.monotonic()
            self._over.wait(wait)
        now = self._ended or time.monotonic()
        error = self.error
        if error is not None:
            self._asked, self._heard = -RECENT, True
        return {
            "state": "failed" if error is not None else "ready" if self._over.is_set() else "loading",
            "name": self.name,
            "bytes": self._size,
            "elapsed": round(now - self._begun, 1),
            "error": error_of(error) if error is not None else None,
        }

    def awaited(self, seconds: float, coming: bool) -> bool:
        """Wait, at most so long, until those are told who want to know that it failed; whether anybody was.

        Those are who asked a moment ago, and who is coming, if somebody is.
        """
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end and (
            now - self._asked < RECENT or (coming and not self._heard)
        ):
            time.sleep(0.02)
        return self._heard
