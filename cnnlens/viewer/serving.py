"""serve: the viewer at an address of this machine, until Ctrl-C; for the command line."""

from __future__ import annotations

import functools
import sys
import threading
import time
import webbrowser
from collections.abc import Iterable

from ..images import Source
from ..model import Model
from .desks.loading import Loader
from .desks.worker import DEADLINE
from .running import Viewer


def serve(
    model: Model | Loader,
    images: Iterable[Source] = (),
    *,
    against: Model | Loader | None = None,
    host: str = "127.0.0.1",
    port: int = 8765,
    token: str | bool = True,
    hosts: Iterable[str] = (),
    root_path: str = "",
    open_browser: bool = True,
    deadline: float = DEADLINE,
    memory_limit: int | None = None,
) -> None:
    """Serve the viewer until Ctrl-C, and say where. Port 0 takes any free one; raises UsageError.

    `against`, `host`, `token`, `hosts` and `root_path` are those of Viewer. A model that comes as a Loader is opened in
    a process of its own, while the page is already there. What that raises is raised at once; a page that waits is
    told before the server goes. `deadline` is how many seconds that process may take for one result,
    `memory_limit` how many bytes it may have.
    """
    viewer = Viewer(
        model, images, against=against, host=host, port=port, token=token, hosts=hosts, root_path=root_path,
        deadline=deadline, memory_limit=memory_limit,
    )  # fmt: skip
    if viewer.warning:
        print(viewer.warning, file=sys.stderr, flush=True)
    tab = _Tab(viewer, open_browser)
    leave = viewer.close
    try:
        if isinstance(model, Loader):
            print(f"cnnlens opens {model.name} at {viewer.url}", flush=True)
            tab.soon(viewer.begun)
            try:
                viewer.open()
            except Exception:
                leave = functools.partial(viewer.leave, coming=tab.cancel())
                raise
        try:
            print(f"cnnlens shows {viewer.name} at {viewer.url}\nCtrl-C stops it.", flush=True)
            tab.now()
            viewer.wait()
        except KeyboardInterrupt:
            print("\nstopped", flush=True)
    finally:
        leave()


class _Tab:
    """The browser's page: opened once, soon or now. What fails at once opens none."""

    def __init__(self, viewer: Viewer, wanted: bool) -> None:
        self._viewer, self._left = viewer, threading.Semaphore(int(wanted))
        self._wanted = wanted

    def soon(self, begun: threading.Event) -> None:
        """A moment after the opening has begun, from another thread."""
        threading.Thread(target=self._after, args=(begun,), name="cnnlens-tab", daemon=True).start()

    def _after(self, begun: threading.Event) -> None:
        begun.wait(3.0)
        time.sleep(0.3)
        self.now()

    def now(self) -> None:
        """At once, if it has not been opened."""
        if self._left.acquire(blocking=False):
            webbrowser.open(self._viewer.ticket())

    def cancel(self) -> bool:
        """Open none any more; whether one has been opened."""
        return self._wanted and not self._left.acquire(blocking=False)
