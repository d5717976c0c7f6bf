"""The desk for a model that is still to be opened: it runs in a process of its own, which may die and come again.

A file may bring a model that takes all memory, crashes in compiled code, never ends, or means harm; the page, its
pictures and its finished results are then still there, and no framework is ever imported beside them. (The library
pebble, which keeps such processes too, is not used: it unpickles what they send.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ... import registry
from ...errors import UsageError
from ...images import Source
from ..process.remote import Remote
from .front import Front
from .jobs import QUEUE
from .loading import Loader, Opening
from .pictures import Pictures

LEAST = 256 * 2**20  #: bytes that the process has to be allowed
DEADLINE = 900.0  #: seconds that one result may take


class Worker(Front):
    """Runs jobs in one supervised process, one at a time, and remembers results within bounds.

    `deadline` is how many seconds one result may take, `memory` how many bytes of address space the process may
    have; `plugins` finds the visualisers, in that process. Raises UsageError for a memory limit on Windows.
    """

    def __init__(
        self,
        model: Loader,
        images: Iterable[Source] | Pictures = (),
        *,
        deadline: float = DEADLINE,
        memory: int | None = None,
        plugins: Callable[[], registry.Registry] = registry.installed,
        queue: int = QUEUE,
    ) -> None:
        if memory is not None and not _can_limit():
            raise UsageError("this system holds no process to a memory limit: leave it out")
        if memory is not None and memory < LEAST:
            raise UsageError(f"no framework starts within {memory} bytes: allow {LEAST // 2**20} MB at least")
        opening, pictures = Opening(model.name, model.size), Pictures.of(images)
        self._remote = Remote(opening, model.open, plugins, pictures, deadline, memory)
        super().__init__(self._remote, opening, pictures, queue)

    def open(self) -> None:
        """Have the model opened, and wait until it is; raises what its opening raises."""
        self._remote.supervisor.begin()
        super().open()

    def reset(self) -> None:
        """As any desk's; a process that was not started again any more is tried once more."""
        super().reset()
        self.restart()

    def restart(self) -> None:
        """Start a process once more that was not started again any more."""
        if self.opening()["state"] == "failed":
            self._remote.supervisor.begin()

    def close(self) -> None:
        """Stop for good."""
        self._remote.supervisor.close()
        super().close()


def _can_limit() -> bool:
    try:
        import resource
    except ImportError:
        return False
    return hasattr(resource, "RLIMIT_AS")
