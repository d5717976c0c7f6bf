"""Calls on their way: who waits for what from the process that runs the model."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ..desks.desk import Gone
from ..desks.jobs import Job
from ..desks.runner import Watched
from .crossing import read_error, send_error
from .process import Process
from .wire import Arrays, Garbled

MOST = 64  #: things said in one call that nobody has heard yet


@dataclass(frozen=True)
class Said:
    """One thing that was said in a call: `answer`, `result` or `ask`, and what came with it."""

    what: str
    head: dict[str, Any]
    arrays: Arrays = ()


@dataclass
class Call:
    """A call, for the thread that made it."""

    number: int
    process: Process
    job: Watched | None = None
    _box: queue.SimpleQueue[Said | Exception] = field(default_factory=queue.SimpleQueue)

    def hear(self, seconds: float) -> Said | None:
        """What is said next, None after so many seconds of silence. Raises the error that it ended with."""
        try:
            said = self._box.get(timeout=seconds)
        except queue.Empty:
            return None
        if isinstance(said, Exception):
            raise said
        return said

    def put(self, said: Said | Exception) -> None:
        """Say something."""
        if self._box.qsize() >= MOST:
            raise Garbled("it asks faster than it is answered")
        self._box.put(said)

    def refuse(self, error: Exception) -> None:
        """Answer with an error what it asks."""
        self.process.send({"do": "give", "call": self.number, "error": send_error(error)})


class Calls:
    """The calls that wait, by number."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._open: dict[int, Call] = {}

    @contextmanager
    def to(self, process: Process, job: Watched | None = None) -> Iterator[Call]:
        """A new call, open within the block. What it asks and nobody hears any more is refused."""
        call = Call(next(self._numbers), process, job)
        with self._lock:
            self._open[call.number] = call
        try:
            yield call
        finally:
            with self._lock:
                del self._open[call.number]
            call.refuse(Gone("nobody waits for this any more"))

    def hear(self, process: Process, head: dict[str, Any], arrays: Arrays) -> None:
        """Hand what was said to the call that it belongs to. Raises Garbled."""
        match head:
            case {"say": str(what), "call": int(number)}:
                pass
            case _:
                raise Garbled(f"nothing is said so: {str(head)[:80]}")
        with self._lock:
            call = self._open.get(number)
        if call is None or call.process is not process:
            if what == "ask":
                process.send(
                    {"do": "give", "call": number, "error": send_error(Gone("nobody waits for this"))}
                )
            return
        if what == "tick":
            _tick(call, head)
        elif what == "error":
            call.put(read_error(head.get("error")))
        elif what in ("answer", "result", "ask"):
            call.put(Said(what, head, arrays))
        else:
            raise Garbled(f"nothing is said so: {what[:80]}")

    def lose(self, process: Process, error: Exception) -> None:
        """The process is gone: whoever waits for it is told."""
        with self._lock:
            lost = [call for call in self._open.values() if call.process is process]
        for call in lost:
            call._box.put(error)


def _tick(call: Call, head: dict[str, Any]) -> None:
    match head:
        case {"done": int(done), "total": int(total)}:
            if isinstance(call.job, Job):
                call.job.done, call.job.total = done, total
        case _:
            raise Garbled("how far a job is are two numbers")
