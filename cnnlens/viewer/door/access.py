"""Who may ask: those who know this start's token, which stands in the address that the terminal shows.

An address with the token in it is answered once, with a cookie and the way to the same address without it, so
that it stays in no history and no screenshot. The cookie is another secret: it does not give the token away,
and it ends with the process. Programs send the token with each request, `Authorization: Bearer TOKEN`.
"""

from __future__ import annotations

import hmac
import re
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

from ...errors import UsageError
from .prefix import last_part
from .security import refuse

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SHORTEST = 16  #: characters of a token that somebody thought up
_WORDS = {
    401: "this viewer wants the token that it was started with",
    403: "this is not the token that this viewer was started with; it may be an earlier start's",
}
_WHERE = (
    "Open the address that stands in the terminal where cnnlens runs (in Python: viewer.url); "
    "programs send its token as Authorization: Bearer TOKEN."
)
Draw = Callable[..., str]


class Token:
    """The secret of one start, and what stands in for it: the cookie, and tickets that are good once."""

    def __init__(self, text: str | None = None) -> None:
        if text is not None and not re.fullmatch(rf"[!-~]{{{SHORTEST},512}}", text):
            raise UsageError(f"a token has {SHORTEST} to 512 characters, letters, digits and signs of ASCII")
        self.text = text or secrets.token_urlsafe(24)
        self.cookie = secrets.token_urlsafe(32)
        self._tickets: set[str] = set()
        self._lock = threading.Lock()

    def ticket(self) -> str:
        """Opens the door once. For the browser's command line, which others on this machine can read."""
        ticket = secrets.token_urlsafe(24)
        with self._lock:
            self._tickets.add(ticket)
        return ticket

    def opens(self, given: str, once: bool = False) -> bool:
        """Whether this is the token; `once` allows a ticket too, which is then used up."""
        if same(given, self.text):
            return True
        with self._lock:
            found = {one for one in self._tickets if same(given, one)} if once else set()
            self._tickets -= found
        return bool(found)

    def __repr__(self) -> str:
        return "<a token>"


class Access:
    """WSGI middleware: 401 to who brings no token, 403 to who brings a wrong one, whatever they ask for."""

    def __init__(self, app: WSGIApplication, token: Token, draw: Draw, root_path: str = "") -> None:
        self._app, self._token, self._draw, self._root = app, token, draw, root_path

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request. What is brought first decides: a header, then the address, then a cookie."""
        scheme, _, header = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() == "bearer":
            if self._token.opens(header.strip()):
                return self._app(environ, start_response)
            return self._refuse(environ, start_response, 403)
        query = parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        brought = [value for name, value in query if name == "token"]
        if brought and environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            if self._token.opens(brought[0], once=environ["REQUEST_METHOD"] == "GET"):
                return self._enter(environ, start_response, [one for one in query if one[0] != "token"])
            return self._refuse(environ, start_response, 403)
        cookies = list(cookies_called(cookie_name(environ), environ.get("HTTP_COOKIE", "")))
        if any([same(one, self._token.cookie) for one in cookies]):
            return self._app(environ, start_response)
        return self._refuse(environ, start_response, 403 if cookies else 401)

    def _enter(
        self, environ: WSGIEnvironment, start: StartResponse, query: list[tuple[str, str]]
    ) -> list[bytes]:
        """Hand out the cookie and lead on to the same address without the token, relative to itself."""
        onward = "./" + last_part(environ["PATH_INFO"], self._root)
        onward += f"?{urlencode(query)}" if query else ""
        headers = [("Set-Cookie", self._cookie(environ))]
        if environ.get("HTTP_SEC_FETCH_SITE") != "cross-site":
            return self._page(environ, start, 303, [*headers, ("Location", onward)], onward=onward)
        # Whoever clicked a link on another page (a notebook's) gets no strict cookie sent along a redirect:
        # for a browser all of that is the other page's doing. A page of ours that leads on is ours.
        return self._page(environ, start, 200, headers, onward=onward)

    def _cookie(self, environ: WSGIEnvironment) -> str:
        """Without a root path the browser takes the folder of the address that it asked.

        That is right behind a proxy too which takes a prefix off that we do not know of.
        """
        path = f"; Path={self._root}" if self._root else ""
        return f"{cookie_name(environ)}={self._token.cookie}{path}; HttpOnly; SameSite=Strict"

    def _refuse(self, environ: WSGIEnvironment, start: StartResponse, status: int) -> list[bytes]:
        if "text/html" in environ.get("HTTP_ACCEPT", ""):
            return self._page(environ, start, status, _challenge(status), words=_WORDS[status])
        kind = "NoToken" if status == 401 else "WrongToken"

        def started(line: str, headers: list[tuple[str, str]]) -> object:
            return start(line, [*headers, *_challenge(status)])

        return refuse(environ, started, _line(status), kind, f"{_WORDS[status]}. {_WHERE}")

    def _page(
        self,
        environ: WSGIEnvironment,
        start: StartResponse,
        status: int,
        headers: list[tuple[str, str]],
        **words: str,
    ) -> list[bytes]:
        body = self._draw(**words).encode()
        kind = ("Content-Type", "text/html; charset=utf-8")
        start(_line(status), [kind, ("Content-Length", str(len(body))), *headers])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def cookie_name(environ: WSGIEnvironment) -> str:
    """By the port that the browser sees, for a host's cookies are shared by all of its ports."""
    port = environ.get("HTTP_HOST", "").rpartition("]")[2].partition(":")[2]
    return f"cnnlens-{port}" if port else "cnnlens"


def cookies_called(name: str, header: str) -> Iterator[str]:
    """Every value of that name: a browser sends those of all paths that fit."""
    for part in header.split(";"):
        key, equals, value = part.strip().partition("=")
        if equals and key == name:
            yield value


def same(one: str, other: str) -> bool:
    """Whether two texts are equal, in a time that does not say how far."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def _challenge(status: int) -> list[tuple[str, str]]:
    return [("WWW-Authenticate", 'Bearer realm="cnnlens"')] if status == 401 else []


def _line(status: int) -> str:
    return f"{status} {HTTPStatus(status).phrase}"
