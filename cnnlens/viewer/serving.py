"""serve and view: the viewer at an address of this machine, for the command line and for Python."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import threading
import time
import webbrowser
from collections.abc import Iterable
from html import escape
from types import TracebackType
from typing import Any, Self

import waitress
from flask import Flask
from waitress import wasyncore

from ..errors import UsageError
from ..images import MAX_BYTES, Source
from ..model import Model
from .app import create_app
from .front import Front
from .in_process import InProcess
from .loading import Loader
from .security import is_loopback
from .worker import DEADLINE, Worker


def serve(
    model: Model | Loader,
    images: Iterable[Source] = (),
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    open_browser: bool = True,
    deadline: float = DEADLINE,
    memory_limit: int | None = None,
) -> None:
    """Serve the viewer until Ctrl-C, and say where. Port 0 takes any free one; raises UsageError.

    A model that comes as a Loader is opened in a process of its own, while the page is already there. What that
    raises is raised at once; a page that waits is told before the server goes. `deadline` is how many seconds
    that process may take for one result, `memory_limit` how many bytes it may have.
    """
    viewer = Viewer(model, images, host=host, port=port, deadline=deadline, memory_limit=memory_limit)
    tab = _Tab(viewer.url, open_browser)
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

    def __init__(self, url: str, wanted: bool) -> None:
        self._url, self._left = url, threading.Semaphore(int(wanted))
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
            webbrowser.open(self._url)

    def cancel(self) -> bool:
        """Open none any more; whether one has been opened."""
        return self._wanted and not self._left.acquire(blocking=False)


def view(
    model: Model, images: Iterable[Source] | Source = (), *, port: int = 0, open_browser: bool = True
) -> Viewer:
    """Open the viewer from Python or a notebook and return at once; `close()` ends it.

    `images` is one picture or several: files, bytes, arrays or Pillow images.
    """
    several = images if isinstance(images, (list, tuple)) else [images]
    viewer = Viewer(model, several, port=port)
    if open_browser:
        webbrowser.open(viewer.url)
    return viewer


class Viewer:
    """A running viewer: `url` says where, `close()` ends it, and a `with` block closes it by itself."""

    def __init__(
        self,
        model: Model | Loader,
        images: Iterable[Source] = (),
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        deadline: float = DEADLINE,
        memory_limit: int | None = None,
    ) -> None:
        if not isinstance(model, (Model, Loader)):
            raise UsageError(
                f"a Model of cnnlens is wanted, got {type(model)!r}: hand it to cnnlens.wrap first"
            )
        if not is_loopback(host):
            raise UsageError(
                f"the viewer serves this machine only and cannot listen at {host}: leave --host out, and "
                "reach it from elsewhere through an ssh tunnel (ssh -L 8765:127.0.0.1:8765 …)"
            )
        host = "127.0.0.1" if host.lower() == "localhost" else host.strip("[]")
        bound = _bound(host, port)  # before anything is begun that would have to be ended
        try:
            self._desk: Front = (
                Worker(model, images, deadline=deadline, memory=memory_limit)
                if isinstance(model, Loader)
                else InProcess(model, images)
            )
        except BaseException:
            bound.close()
            raise
        self._server = _listening(create_app(self._desk), bound)
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{bound.getsockname()[1]}/"
        self._thread = threading.Thread(target=self._server.run, name="cnnlens-viewer", daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        """What the model is called."""
        return str(self._desk.opening()["name"])

    @property
    def begun(self) -> threading.Event:
        """Set when the file is being opened: the process that does it may take a moment to start."""
        return self._desk.begun

    def open(self) -> None:
        """Have a model that came as a Loader opened, and wait for it; raises what its opening raises."""
        self._desk.open()

    def leave(self, coming: bool = False, patience: float = 3.0) -> None:
        """Close as soon as whoever waits for the model knows that there is none; the caller goes on at once.

        `coming`: a page has been sent for and may not be here yet. The thread keeps the process alive.
        """
        threading.Thread(target=self._farewell, args=(coming, patience), name="cnnlens-leave").start()

    def _farewell(self, coming: bool, patience: float) -> None:
        if self._desk.awaited(patience, coming):
            time.sleep(0.3)  # for the answer to arrive, and for what a page still loads after itself
        self.close()

    def wait(self) -> None:
        """Until it is closed."""
        while self._thread.is_alive():
            self._thread.join(1.0)

    def close(self) -> None:
        """Stop serving and running; a second time does nothing."""
        if self._thread.is_alive():
            # The server's own thread must close the sockets: its loop ends when none is left.
            with contextlib.suppress(OSError):  # it was awake already, and closed what we were about to ring
                self._server.trigger.pull_trigger(
                    lambda: wasyncore.close_all(self._server._map, ignore_all=True)
                )
            self._thread.join(5.0)
            self._server.task_dispatcher.shutdown()
            self._desk.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<cnnlens viewer at {self.url}>"

    def _repr_html_(self) -> str:
        url = escape(self.url)
        return f'<a href="{url}" target="_blank" rel="noopener">cnnlens viewer at {url}</a>'


def _bound(host: str, port: int) -> socket.socket:
    """A socket at that address. Raises UsageError where it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # elsewhere this would let two viewers share a port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise UsageError(
            f"cannot listen at {host}, port {port}: {error.strerror}. Another program may have it; "
            "--port 0 takes any free one"
        ) from error
    return bound


def _listening(app: Flask, at: socket.socket) -> Any:
    """waitress, with what it assumes of strangers taken back: bodies of a GiB, four threads."""
    return waitress.create_server(
        app,
        sockets=[at],
        threads=8,
        ident="cnnlens",
        max_request_body_size=MAX_BYTES + 2**20,
        connection_limit=64,
        channel_timeout=60,
        clear_untrusted_proxy_headers=True,
        expose_tracebacks=False,
    )
