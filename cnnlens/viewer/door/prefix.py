"""The path that a proxy serves the viewer under: `/user/ada/proxy/8765`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from ...errors import UsageError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_OURS = ("api", "static")  #: first parts of our own addresses


def read_root_path(text: str) -> str:
    """A root path as it stands in an address, a slash in front and none behind; empty for none.

    Raises UsageError for what is none. One that begins as our own addresses do could not be told from them
    where the proxy takes it off.
    """
    path = "/" + text.strip("/") if text.strip("/") else ""
    parts = path.split("/")[1:]
    plain = [unquote(part) for part in parts]
    if not re.fullmatch(r"(/([A-Za-z0-9._~@+-]|%[0-9A-Fa-f]{2})+)*", path) or not all(map(_harmless, plain)):
        raise UsageError(f"{text[:80]!r} is no root path: give one as /lab/cnnlens")
    if plain and plain[0] in _OURS:
        raise UsageError(f"a root path cannot begin with /{plain[0]}, as the viewer's own addresses do")
    return path


def _harmless(part: str) -> bool:
    return part.isprintable() and part not in (".", "..") and not set(part) & set("/\\\ufffd")


def last_part(path: str, root_path: str) -> str:
    """The last part of a path of the environment, as it stands in the address.

    The root's own is as it was given: `@` and `%40` are one name to us, and two to a browser's cookies.
    """
    if path == decoded(root_path):
        return root_path.rpartition("/")[2]
    return quote(path.rpartition("/")[2].encode("latin-1"))


def decoded(root_path: str) -> str:
    """A root path as PATH_INFO has it."""
    return unquote(root_path).encode().decode("latin-1")


class Prefix:
    """WSGI middleware: serves below a path, for proxies that take it off and for those that hand it on."""

    def __init__(self, app: WSGIApplication, root_path: str) -> None:
        self._app, self._given, self._root = app, root_path, decoded(root_path)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request; the root itself without its slash leads to the one with it."""
        path = environ["PATH_INFO"]
        if path == self._root and environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            query = environ.get("QUERY_STRING", "")
            onward = f"./{last_part(path, self._given)}/" + (f"?{query}" if query else "")
            start_response("303 See Other", [("Location", onward), ("Content-Length", "0")])
            return []
        if path.startswith(self._root + "/"):
            path = path.removeprefix(self._root)
        return self._app({**environ, "SCRIPT_NAME": self._root, "PATH_INFO": path}, start_response)
