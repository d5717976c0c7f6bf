"""Who keeps the process that runs the model alive: starts it, listens to it, and starts it again when it died."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from ...errors import WorkerDied
from ..desks.desk import Gone, Loading
from ..desks.loading import Opening
from .crossing import read_error
from .process import Process
from .wire import Arrays, Garbled

log = logging.getLogger("cnnlens.viewer")

DEATHS = 3  #: in a row, without a finished part between, after which it is started no more
CALM = 120.0  #: seconds of life after which a death is none of a row
AGAIN = "; it is being started again: ask again in a moment"


class Supervisor:
    """One process after the other, by one thread, from `begin` until too many died or `close`.

    `hear` is handed whatever a process says, first of all that its model is open; `lose` what became of it.
    """

    def __init__(
        self,
        opening: Opening,
        start: Callable[[bool], Process],
        hear: Callable[[Process, dict[str, Any], Arrays], None],
        lose: Callable[[Process, Exception], None],
    ) -> None:
        self._opening, self._start, self._hear, self._lose = opening, start, hear, lose
        self._changed = threading.Condition()
        self._wanted = self._closed = self._opened = False
        self._process: Process | None = None  # the one that lives
        self._up: Process | None = None  # the same, as soon as its model is open
        self._deaths, self._since = 0, 0.0  # of them, and since when the model is open
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Have a process started, unless there is one."""
        with self._changed:
            if self._wanted or self._closed:
                return
            self._wanted, self._deaths = True, 0
            self._opening.again()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="cnnlens-worker", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def close(self) -> None:
        """End it for good."""
        with self._changed:
            self._closed, self._wanted = True, False
            process, self._up = self._process, None
            self._changed.notify_all()
        if process is not None:
            process.end()
        if self._thread is not None:
            self._thread.join()

    def ready(self, seconds: float = 0.0) -> Process | None:
        """The process with its model open; None where there is none after so many seconds.

        Raises Gone when closed, and what it failed with where none will come.
        """
        end = time.monotonic() + seconds
        with self._changed:
            while not self._closed:
                if self._up is not None and not self._up.planned:
                    return self._up
                self._opening.check_failure()
                if not self._changed.wait(end - time.monotonic()):
                    return None
        raise Gone("the viewer was closed")

    @property
    def living(self) -> Process | None:
        """The process, whether its model is open or not."""
        return self._process

    def asked(self) -> Process:
        """As `ready`, for one who does not wait: Loading where there is none yet."""
        process = self.ready()
        if process is None:
            again = "opened again" if self._opened else "opened"
            raise Loading(f"{self._opening.name} is still being {again}: try again in a moment")
        return process

    def opened(self, process: Process, name: str) -> None:
        """The model of a process is open."""
        with self._changed:
            self._up, self._opened, self._since = process, True, time.monotonic()
            self._opening.arrived(name)
            self._changed.notify_all()

    def finished(self) -> None:
        """A part was answered: whatever died before, it was not for good."""
        with self._changed:
            self._deaths = 0

    # -- the thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        if hasattr(signal, "pthread_sigmask"):  # what it starts hears of Ctrl-C no sooner than it ignores it
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        while self._awaited():
            try:
                process = self._start(not self._opened)
            except OSError as error:
                self._after(None, f"no process could be started for the model: {error.strerror}", None)
                continue
            with self._changed:
                self._process = process
                if self._closed:
                    process.kill()
            refused, odd = self._listen(process)
            with self._changed:
                self._process = self._up = None
            ended = process.release()
            self._after(process, odd or ended, refused)

    def _awaited(self) -> bool:
        """Wait until a process is wanted; False when none will be."""
        with self._changed:
            while not self._wanted and not self._closed:
                self._changed.wait()
            return not self._closed

    def _listen(self, process: Process) -> tuple[Exception | None, str]:
        """All that a process says: the error that its model failed to open with, and what was odd about it."""
        refused = None
        try:
            for head, arrays in process.frames():
                if head.get("say") == "failed":
                    refused = read_error(head.get("error"))
                else:
                    self._hear(process, head, arrays)
        except Garbled as error:
            process.kill(planned=False)
            return None, f"the process that runs the model was ended, since it said what it may not: {error}"
        except Exception:
            process.kill(planned=False)
            log.exception("what the model's process said was not understood")
            return None, "the process that runs the model was ended, since it said what it may not"
        return refused, ""

    def _after(self, process: Process | None, ended: str, refused: Exception | None) -> None:
        """Decide what becomes of it, and tell whoever waits."""
        with self._changed:
            planned = process is not None and process.planned
            if self._since and time.monotonic() - self._since > CALM:
                self._deaths = 0
            self._since = 0.0
            self._deaths += not planned and not self._closed
            failure = self._failure(ended, refused)
            if failure is not None and not self._closed:
                self._wanted = False
                self._opening.failed(failure)
            self._changed.notify_all()
        if not planned and refused is None and self._opened:  # else it is raised
            log.warning("%s", ended)
        if process is not None:
            self._lose(process, failure or WorkerDied(ended + AGAIN))

    def _failure(self, ended: str, refused: Exception | None) -> Exception | None:
        """Why it shall not be started again; None where it shall."""
        if refused is not None:
            return refused
        if not self._opened:
            return WorkerDied(f"{self._opening.name} could not be opened: {ended}")
        if self._deaths >= DEATHS:
            return WorkerDied(
                f"{ended}; it was the {DEATHS}rd time in a row, so it is not started again by itself: press Start "
                "it again, or POST to restart"
            )
        return None
