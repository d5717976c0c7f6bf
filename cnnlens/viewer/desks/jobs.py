"""Jobs: a request taken apart, its parts worked off one after the other, and how far that has come."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...errors import Cancelled
from .desk import Busy, Gone, NotThere, State

QUEUE = 16  #: jobs that may wait
REMEMBERED = 64  #: finished jobs that are still told of


@dataclass(frozen=True)
class Part:
    """One result that was asked for: whose id it will have, and what it is of: a picture, several, or none."""

    id: str
    visualiser: str
    settings: dict[str, Any]
    image: str | None = None
    target: str | None = None
    images: tuple[str, ...] = ()  # of one result of several pictures; then there is no `image`

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "visualiser": self.visualiser,
            "settings": self.settings,
            "image": self.image,
            "images": list(self.images),
            "target": self.target,
        }


@dataclass
class Job:
    """A request on its way. Only the worker writes `state`, `answers`, `done` and `total`."""

    parts: Sequence[Part]
    wanted: int = 1  # by so many
    life: int = 0  # how many models were opened before it
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    state: State = "queued"
    answers: list[dict[str, Any]] = field(default_factory=list)
    done: int = 0
    total: int = 0
    begun: float | None = None
    ended: float | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)

    def tick(self, done: int, total: int) -> None:
        """How far the part at hand has come; raises Cancelled where stop was pressed."""
        self.done, self.total = done, total
        if self.stop.is_set():
            raise Cancelled("stopped on request")

    def finish(self, state: State) -> None:
        """The end."""
        self.state, self.ended = state, time.monotonic()
        self.over.set()

    def told(self, ahead: int = 0) -> dict[str, Any]:
        """As JSON; `ahead` is how many jobs come before it."""
        now = self.ended or time.monotonic()
        part = self.parts[min(len(self.answers), len(self.parts) - 1)]
        return {
            "id": self.id,
            "state": self.state,
            "ahead": ahead,
            "elapsed": round(now - self.begun, 3) if self.begun else 0.0,
            "parts": {"done": len(self.answers), "total": len(self.parts)},
            "progress": {"done": self.done, "total": self.total, "visualiser": part.visualiser},
            "results": list(self.answers),
        }


class Line:
    """Where jobs wait, and the one thread that works them off."""

    def __init__(self, work: Callable[[Job], None], limit: int = QUEUE) -> None:
        self._work, self._limit = work, limit
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="cnnlens-desk", daemon=True)
        self._thread.start()

    def add(self, job: Job) -> None:
        """Queue a job. Raises Busy."""
        with self._changed:
            if self._closed:
                raise Gone("the viewer was closed")
            if sum(j.state == "queued" for j in self._jobs.values()) >= self._limit:
                raise Busy(f"{self._limit} requests are waiting already: try again in a moment, or stop one")
            self._jobs[job.id] = job
            self._forget()
            self._changed.notify_all()

    def same(self, job: Job) -> Job | None:
        """A job that is not over and has the very same parts, which is then wanted once more; None if there is none."""
        asked = [part.id for part in job.parts]
        with self._changed:
            for other in self._jobs.values():
                if (
                    not other.over.is_set()
                    and not other.stop.is_set()
                    and [p.id for p in other.parts] == asked
                ):
                    other.wanted += 1
                    return other
        return None

    def let_go(self, job: Job) -> bool:
        """One does not want a job any more; whether nobody does."""
        with self._changed:
            job.wanted -= 1
            return job.wanted < 1

    def get(self, id: str) -> Job:
        """The job of that id. Raises NotThere."""
        with self._changed:
            if id not in self._jobs:
                raise NotThere("job", id, (), "; it is over and forgotten, or never was")
            return self._jobs[id]

    def told(self, job: Job) -> dict[str, Any]:
        """A job as JSON, with its place in the line."""
        return job.told(self._ahead(job))

    def newest(self) -> list[Job]:
        """All that are remembered, the newest first."""
        with self._changed:
            return list(reversed(self._jobs.values()))

    def cancel(self, job: Job) -> None:
        """Take a waiting job out at once; ask the running one to stop."""
        with self._changed:
            job.stop.set()
            if job.state == "queued":
                job.finish("cancelled")

    def close(self, patience: float = 5.0) -> None:
        """Stop all jobs and the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for job in self.newest():
            if not job.over.is_set():
                self.cancel(job)
        self._thread.join(patience)

    def _ahead(self, job: Job) -> int:
        if job.state != "queued":
            return 0
        older = [j for j in reversed(self.newest()) if not j.over.is_set()]
        return older.index(job) if job in older else 0

    def _forget(self) -> None:
        over = [id for id, job in self._jobs.items() if job.over.is_set()]
        for id in over[: max(0, len(over) - REMEMBERED)]:
            del self._jobs[id]

    def _next(self) -> Job | None:
        with self._changed:
            while not self._closed:
                job = next((j for j in self._jobs.values() if j.state == "queued"), None)
                if job:
                    job.state, job.begun = "running", time.monotonic()
                    return job
                self._changed.wait()
        return None

    def _run(self) -> None:
        while (job := self._next()) is not None:
            self._work(job)
            if not job.over.is_set():
                job.finish("cancelled" if job.stop.is_set() else "done")
