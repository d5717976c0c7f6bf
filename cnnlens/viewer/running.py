"""A running viewer: the server, its address and its desks, from Python or a notebook."""

from __future__ import annotations

import contextlib
import threading
import time
import warnings
import webbrowser
from collections.abc import Iterable
from html import escape
from types import TracebackType
from typing import Self
from urllib.parse import quote

from waitress import wasyncore

from ..errors import UsageError
from ..images import Source
from ..model import Model
from .app import create_app
from .desks.front import Front
from .desks.in_process import InProcess
from .desks.loading import Loader
from .desks.worker import DEADLINE, Worker
from .door.access import Token
from .door.hosts import Hosts, is_anywhere, is_loopback
from .door.listening import address_shown, bound, listening
from .door.prefix import read_root_path

_WARNING = (
    "Warning: the viewer listens at {0}, port {1}. Every machine that reaches it there, by an address of this "
    "one, can try its token, and what goes over the network is not encrypted, the token included. Safer: leave "
    "--host out and reach it through ssh -L {1}:127.0.0.1:{1} …"
)


class Viewer:
    """A running viewer: `url` says where, `close()` ends it, and a `with` block closes it by itself.

    `url` has the token in it that whoever asks must bring, `address` has not. `token` is that token, True for
    a new one, or False for none, on loopback only. `hosts` are names to answer to besides this machine's own,
    or origins as browsers see them behind a proxy; `root_path` is the path that it serves us under. `against` is a
    second model, which the first is compared with.
    """

    def __init__(
        self,
        model: Model | Loader,
        images: Iterable[Source] = (),
        *,
        against: Model | Loader | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | bool = True,
        hosts: Iterable[str] = (),
        root_path: str = "",
        deadline: float = DEADLINE,
        memory_limit: int | None = None,
    ) -> None:
        models = [model] if against is None else [model, against]
        for one in models:
            if not isinstance(one, (Model, Loader)):
                raise UsageError(
                    f"a Model of cnnlens is wanted, got {type(one)!r}: hand it to cnnlens.wrap first"
                )
        if token is False and not is_loopback(host):
            raise UsageError(f"without a token the viewer listens on loopback only, not at {host}")
        host = "127.0.0.1" if host.lower() == "localhost" else host.strip("[]")
        self._token = None if token is False else Token(None if token is True else token)
        root_path = read_root_path(root_path)
        named = Hosts([*hosts, *([] if is_anywhere(host) else [address_shown(host)])])
        held = bound(host, port)  # before anything is begun that would have to be ended
        try:
            self._desks = _desks_of(models, images, deadline, memory_limit)
        except BaseException:
            held.close()
            raise
        self._desk = self._desks[0]
        second = self._desks[1] if len(self._desks) > 1 else None
        app = create_app(self._desk, against=second, hosts=named, token=self._token, root_path=root_path)
        self._server = listening(app, held)
        self.address = f"http://{address_shown(host)}:{held.getsockname()[1]}{root_path}/"
        self.warning = "" if is_loopback(host) else _WARNING.format(host, held.getsockname()[1])
        self._thread = threading.Thread(target=self._server.run, name="cnnlens-viewer", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it is, with the token: who has this address is let in."""
        return self.address + (f"?token={quote(self._token.text, safe='')}" if self._token else "")

    def ticket(self) -> str:
        """Where it is, by an address that lets in once: others may read the command that opens a browser."""
        return self.address + (f"?token={self._token.ticket()}" if self._token else "")

    @property
    def name(self) -> str:
        """What the model is called."""
        return str(self._desk.opening()["name"])

    @property
    def begun(self) -> threading.Event:
        """Set when the file is being opened: the process that does it may take a moment to start."""
        return self._desk.begun

    def open(self) -> None:
        """Have a model that came as a Loader opened, and wait for it; raises what its opening raises.

        The one that it is compared with is opened meanwhile; if that fails, the page says so where it is asked for.
        """
        for other in self._desks[1:]:
            threading.Thread(target=_try_to_open, args=(other,), name="cnnlens-against", daemon=True).start()
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
            for desk in self._desks:
                desk.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<cnnlens viewer at {self.address}>"

    def _repr_html_(self) -> str:
        url, shown = escape(self.url), escape(self.address)
        return f'<a href="{url}" target="_blank" rel="noopener noreferrer">cnnlens viewer at {shown}</a>'


def _desks_of(
    models: Iterable[Model | Loader], images: Iterable[Source], deadline: float, memory_limit: int | None
) -> list[Front]:
    """A desk for each model, all over the first one's pictures; none is left where one cannot be made."""
    desks: list[Front] = []
    try:
        for model in models:
            seen = desks[0].pictures if desks else images
            desks.append(
                Worker(model, seen, deadline=deadline, memory=memory_limit)
                if isinstance(model, Loader)
                else InProcess(model, seen)
            )
    except BaseException:
        for desk in desks:
            desk.close()
        raise
    return desks


def _try_to_open(desk: Front) -> None:
    """Open the second model; what goes wrong is told by the desk to whoever asks it."""
    with contextlib.suppress(Exception):
        desk.open()


def view(
    model: Model,
    images: Iterable[Source] | Source = (),
    *,
    against: Model | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str | bool = True,
    hosts: Iterable[str] = (),
    root_path: str = "",
    open_browser: bool = True,
) -> Viewer:
    """Open the viewer from Python or a notebook and return at once; `close()` ends it.

    `images` is one picture or several: files, bytes, arrays or Pillow images. The rest is that of Viewer.
    """
    several = images if isinstance(images, (list, tuple)) else [images]
    viewer = Viewer(
        model, several, against=against, host=host, port=port, token=token, hosts=hosts, root_path=root_path
    )
    if viewer.warning:
        warnings.warn(viewer.warning, stacklevel=2)
    if open_browser:
        webbrowser.open(viewer.ticket())
    return viewer
