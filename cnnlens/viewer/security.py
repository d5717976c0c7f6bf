"""Who may ask: the outermost layer of the viewer.

A page of a stranger can make the user's browser send requests to this machine, and by DNS rebinding even
read the answers. So the Host must be a name of this machine, writes must come from our own page or from no
page at all, and every answer says what a browser may do with it. Werkzeug's own host check cannot match an
IPv6 literal, so this one is ours.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)
HEADERS = (
    ("Content-Security-Policy", CSP),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(:(?P<port>[0-9]{1,5}))?")


class Guard:
    """WSGI middleware: refuses strangers, and puts the headers on every answer, its own included."""

    def __init__(self, app: WSGIApplication, hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            ours = {name.lower() for name, _ in HEADERS}
            kept = [(name, value) for name, value in headers if name.lower() not in ours]
            return start_response(status, [*kept, *HEADERS], exc_info)

        if not host_allowed(environ.get("HTTP_HOST", ""), self._hosts):
            return _refuse(
                start, "400 Bad Request", "BadHost", "this viewer answers to names of this machine only"
            )
        if environ["REQUEST_METHOD"] not in SAFE:
            reason = stranger(environ)
            if reason:
                return _refuse(start, "403 Forbidden", "Forbidden", reason)
        return self._app(environ, start)


def host_allowed(header: str, also: frozenset[str] = frozenset()) -> bool:
    """Whether a Host header names this machine: localhost, a loopback address, or the host we listen at."""
    found = _HOST.fullmatch(header)
    if not found or int(found["port"] or 0) > 65535:
        return False
    name = found["name"].lower()
    if name.startswith("["):
        return _loopback(name[1:-1]) or name[1:-1] in also
    name = name.removesuffix(".")
    return name == "localhost" or name in also or _loopback(name)


def is_loopback(host: str) -> bool:
    """Whether listening at `host` serves this machine only."""
    return host.lower() == "localhost" or _loopback(host.removeprefix("[").removesuffix("]"))


def stranger(environ: WSGIEnvironment) -> str:
    """Why a write may not come from where it comes from; empty if it may.

    Browsers say where a request was made; a program that is no browser sends neither header.
    """
    site = environ.get("HTTP_SEC_FETCH_SITE")
    if site is not None and site not in ("same-origin", "none"):
        return f"this request was made by another page ({site})"
    origin = environ.get("HTTP_ORIGIN")
    own = f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST', '')}"
    if origin is not None and origin.lower() != own.lower():
        return "this request was made by a page of another origin"
    return ""


def _loopback(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_loopback
    except ValueError:
        return False


def _refuse(start: Any, status: str, kind: str, message: str) -> list[bytes]:
    body = json.dumps({"error": {"type": kind, "message": message}}).encode()
    start(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
