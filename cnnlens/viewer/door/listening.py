"""The socket, and waitress behind it: what it assumes of strangers taken back, and its own answers guarded.

waitress answers by itself what is no request or too large; the application never sees that.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from typing import Any

import waitress
from flask import Flask
from waitress.channel import HTTPChannel
from waitress.task import ErrorTask, WSGITask

from ...errors import UsageError
from ...images import MAX_BYTES
from .hosts import is_anywhere
from .security import CAME_IN_AT, error_body, guarded

HEADERS_WITHIN = 30.0  #: seconds that a client may take over the headers of a request
REQUEST_WITHIN = 600.0  #: and over all of it
LINGER = 2.0  #: seconds that what a refused client still sends is read and dropped
MAX_HEADERS = 64 * 2**10
_WORDS = {
    400: ("BadRequest", "this is no HTTP request"),
    413: ("TooLarge", f"a request may have {MAX_BYTES // 2**20} MiB: send less at once"),
    431: ("HeadersTooLarge", f"a request's headers may have {MAX_HEADERS // 2**10} KiB"),
    500: ("Internal", "something unforeseen; the terminal says what"),
    501: ("NotImplemented", "no transfer encoding but chunked is read"),
}


def bound(host: str, port: int) -> socket.socket:
    """A socket at that address. Raises UsageError where it is taken or no address of this machine."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    held = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # elsewhere this would let two viewers share a port
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((host, port))
    except (OSError, OverflowError) as error:  # the latter for a number that is no port
        held.close()
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(
            f"cannot listen at {host}, port {port}: {why}. Another program may have it; "
            "--port 0 takes any free one"
        ) from error
    return held


def listening(app: Flask, at: socket.socket) -> Any:
    """waitress over the application, at that socket. It begins to answer when it is run."""
    queue = logging.getLogger("waitress.queue")
    if queue.level == logging.NOTSET:
        queue.setLevel(
            logging.ERROR
        )  # that a request waited for a moment is no warning to who reads the terminal
    server = waitress.create_server(
        app,
        sockets=[at],
        threads=8,
        ident="cnnlens",
        max_request_body_size=MAX_BYTES + 2**20,
        max_request_header_size=MAX_HEADERS,
        connection_limit=64,
        channel_timeout=60,
        cleanup_interval=10,
        clear_untrusted_proxy_headers=True,  # X-Forwarded-… is anybody's word
        expose_tracebacks=False,
    )
    server.channel_class = _Channel
    return server


def address_shown(host: str) -> str:
    """An address to type into a browser where we listen at `host`, as it stands in a URL."""
    if is_anywhere(host):
        host = "127.0.0.1"
    return f"[{host}]" if ":" in host else host


class _Refusal(ErrorTask):  # type: ignore[misc]
    """What waitress answers by itself, told as we tell errors. Its own words would repeat what was sent."""

    def execute(self) -> None:
        code, reason = self.request.error.code, self.request.error.reason
        body = error_body(*_WORDS.get(code, ("Refused", reason)))
        self.status = f"{code} {reason}"
        self.response_headers.extend(guarded([("Content-Type", "application/json")]))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.channel.refused = True
        self.write(body)


class _Task(WSGITask):  # type: ignore[misc]
    """Tells the application which address of this machine a connection came in at."""

    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        try:
            environ[CAME_IN_AT] = str(self.channel.socket.getsockname()[0])
        except OSError:  # whoever asked is gone already
            environ[CAME_IN_AT] = ""
        return environ


class _Channel(HTTPChannel):  # type: ignore[misc]
    """A connection that cannot be held for ever by sending a byte now and then.

    One that is refused while it still sends is heard out for a moment: closed at once, the system would cut it
    off before it has read why.
    """

    task_class = _Task
    error_task_class = _Refusal
    refused = False  # by waitress itself, so there may be more to come
    _until: float | None = None  # while what comes is dropped
    _begun: float | None = None  # when the request that is still coming in began

    def readable(self) -> bool:
        return self._until is not None or bool(super().readable())

    def writable(self) -> bool:
        return bool(self.will_close or (self._until is None and super().writable()))

    def handle_read(self) -> None:
        if self._until is not None:
            if self.recv(self.adj.recv_bytes) and time.monotonic() > self._until:
                self.handle_close()
            return
        super().handle_read()
        if self.request is None:
            self._begun = None
            return
        self._begun = self._begun or time.monotonic()
        most = REQUEST_WITHIN if self.request.headers_finished else HEADERS_WITHIN
        if time.monotonic() - self._begun > most:
            self.will_close = True

    def handle_close(self) -> None:
        if self.refused and self._until is None and self.connected:
            self._until = time.monotonic() + LINGER
            self.will_close = False
            try:
                self.socket.shutdown(socket.SHUT_WR)
            except OSError:
                super().handle_close()
            return
        super().handle_close()
