"""The opening of a model, which may take long: what it is, how far it has come, and how it ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import CannotOpen
from ..model import Model
from .desk import Loading, error_of

RECENT = 3.0  #: seconds after which somebody who has not asked again is gone; pages ask at least every two


@dataclass(frozen=True)
class Loader:
    """A model that is still to be opened: by what call, and how it is told of until then."""

    name: str
    open: Callable[[], Model]
    size: int | None = None  # bytes


class Opening:
    """A model that is there, or on its way, or failed to come. Threads may ask; one calls `finish`."""

    def __init__(self, model: Model | Loader) -> None:
        self._begun = time.monotonic()
        self._ended: float | None = None
        self._loader = model if isinstance(model, Loader) else Loader(model.name, lambda: model)
        self._model = None if isinstance(model, Loader) else model
        self._error: Exception | None = None
        self._over = threading.Event()
        self._asked = -RECENT
        self._heard = False  # whether anybody has been told that it failed
        if self._model is not None:
            self._ended = self._begun
            self._over.set()

    def finish(self, afterwards: Callable[[], object]) -> None:
        """Open the model, then do what else must be done before it is used; raises what that raises."""
        if self._over.is_set():
            return
        try:
            model = self._loader.open()
            afterwards()
            self._model = model
        except Exception as error:
            self._error = error
            raise
        finally:
            self._ended = time.monotonic()
            self._over.set()

    @property
    def model(self) -> Model:
        """The model. Raises Loading while it is on its way, and CannotOpen if it failed to come."""
        if self._model is not None:
            return self._model
        if self._error is None:
            raise Loading(f"{self._loader.name} is still being opened: try again in a moment")
        raise CannotOpen(error_of(self._error)["message"])

    def told(self, wait: float = 0.0) -> dict[str, Any]:
        """As JSON, after up to `wait` seconds if it has not ended."""
        if self._model is None:
            self._asked = time.monotonic()
            self._over.wait(wait)
        now = self._ended or time.monotonic()
        if self._error is not None:
            self._asked, self._heard = -RECENT, True
        return {
            "state": "ready"
            if self._model is not None
            else "failed"
            if self._error is not None
            else "loading",
            "name": self._loader.name if self._model is None else self._model.name,
            "bytes": self._loader.size,
            "elapsed": round(now - self._begun, 1),
            "error": error_of(self._error) if self._error is not None else None,
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
