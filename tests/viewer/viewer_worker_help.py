"""What the tests of the model's process need: to ask a desk, to wait, to count what is held."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from cnnlens.errors import WorkerDied
from cnnlens.viewer import Desk, Worker
from cnnlens.viewer.desks.desk import Loading, read_request

T = TypeVar("T")


def ask(desk: Desk, *names: Any, images: Any = None, **more: Any) -> dict[str, Any]:
    """Submit a request for visualisers on the first picture; the job as it begins."""
    asks = [{"name": name} if isinstance(name, str) else name for name in names]
    images = [desk.images()[0]["id"]] if images is None else images
    request = read_request({"visualisers": asks, "images": images, **more})
    return again(lambda: desk.submit(request))


def again(call: Callable[[], T], seconds: float = 60) -> T:
    """What a call gives, asked again as long as it is told that this may help."""
    end = time.monotonic() + seconds
    while True:
        try:
            return call()
        except (Loading, WorkerDied) as error:
            if "in a moment" not in str(error):
                raise
            assert time.monotonic() < end
            time.sleep(0.02)


def until_over(desk: Desk, job: dict[str, Any], seconds: float = 60) -> dict[str, Any]:
    """The job when it is over."""
    end = time.monotonic() + seconds
    while job["state"] in ("queued", "running"):
        assert time.monotonic() < end, job
        job = desk.job(job["id"], 1.0)
    return job


def until_runs(desk: Desk, job: dict[str, Any]) -> None:
    """Wait until the job is at work."""
    end = time.monotonic() + 60
    while desk.job(job["id"])["state"] == "queued":
        assert time.monotonic() < end
        time.sleep(0.01)


def error_in(job: dict[str, Any], place: int = 0) -> tuple[str, str]:
    """Type and message of the error that a part was answered with."""
    error = job["results"][place]["error"]
    return error["type"], error["message"]


def process_of(worker: Worker) -> int:
    """The id of the process that has the model."""
    process = worker._remote.supervisor.ready(60)
    assert process is not None
    return process.id


def held() -> dict[str, Any]:
    """What this process holds: threads, open files, processes."""
    return {
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "files": len(os.listdir("/proc/self/fd")),
        "processes": processes(),
    }


def processes(of: int | None = None) -> list[int]:
    """The processes that a process started and that are still there, dead ones that nobody asked about too."""
    parent, found = of or os.getpid(), []
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(place.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(place.parent.name))
        except (OSError, IndexError):
            continue  # it ended while we looked
    return sorted(found)


def is_there(process: int) -> bool:
    """Whether a process still runs."""
    try:
        return "(zombie)" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False
