"""The outermost layer of the viewer: whom it answers at all, and what every answer says to a browser.

A page of a stranger can make the user's browser send requests to this machine, and by DNS rebinding even
read the answers. So the Host must be a name of this machine (`hosts`), and writes must come from our own page
or from no page at all. Who may ask is the next layer's question (`access`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .hosts import Hosts

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
#: What a page could ask a browser for, and ours never does.
_NEVER = (
    "accelerometer", "autoplay", "camera", "display-capture", "encrypted-media", "geolocation",
    "gyroscope", "hid", "idle-detection", "magnetometer", "microphone", "midi", "payment",
    "picture-in-picture", "publickey-credentials-get", "screen-wake-lock", "serial", "usb", "xr-spatial-tracking",
)  # fmt: skip
HEADERS = (
    ("Content-Security-Policy", CSP),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Permissions-Policy", ", ".join(f"{name}=()" for name in _NEVER)),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
UNKEPT = ("Cache-Control", "no-store")  #: for answers that say nothing about being kept
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
CAME_IN_AT = "cnnlens.came_in_at"  #: key of the environment: the connection's own address on this machine


class Guard:
    """WSGI middleware: refuses strangers, and puts the headers on every answer, its own included."""

    def __init__(self, app: WSGIApplication, hosts: Hosts) -> None:
        self._app, self._hosts = app, hosts

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            return start_response(status, guarded(headers), exc_info)

        if not self._hosts.answers(environ.get("HTTP_HOST", ""), environ.get(CAME_IN_AT, "")):
            words = "this viewer answers to names of this machine only (--allow-host adds one)"
            return refuse(environ, start, "400 Bad Request", "BadHost", words)
        if environ["REQUEST_METHOD"] not in SAFE:
            reason = self._stranger(environ)
            if reason:
                return refuse(environ, start, "403 Forbidden", "Forbidden", reason)
        return self._app(environ, start)

    def _stranger(self, environ: WSGIEnvironment) -> str:
        """Why a write may not come from where it comes from; empty if it may.

        Browsers say where a request was made; a program that is no browser sends neither header.
        """
        site = environ.get("HTTP_SEC_FETCH_SITE")
        if site is not None and site not in ("same-origin", "none"):
            return "this request was made by another page"
        origin = environ.get("HTTP_ORIGIN")
        own = f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST', '')}"
        if origin is not None and not self._hosts.writes(origin, own):
            return "this request was made by a page of another origin"
        return ""


def guarded(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """An answer's headers and ours, ours once each."""
    ours = {name.lower() for name, _ in HEADERS}
    kept = [(name, value) for name, value in headers if name.lower() not in ours]
    silent = not any(name.lower() == "cache-control" for name, _ in kept)
    return [*kept, *([UNKEPT] if silent else []), *HEADERS]


def refuse(environ: WSGIEnvironment, start: Any, status: str, kind: str, message: str) -> list[bytes]:
    """Answer with an error, as the API tells errors."""
    body = error_body(kind, message)
    start(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def error_body(kind: str, message: str) -> bytes:
    """An error as the API tells it: JSON with a type and a message."""
    return json.dumps({"error": {"type": kind, "message": message}}).encode()
