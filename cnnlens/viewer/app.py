"""create_app: the Flask application around a desk, and how its errors are told."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from flask import Flask, Response, current_app, request
from flask.json.provider import DefaultJSONProvider
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from ..errors import CannotOpen, CnnlensError, OutOfTime, PluginFailed, Unmet, UsageError, WorkerDied
from ..images import MAX_BYTES
from .desks.desk import Busy, Desk, Gone, Loading, NotThere, error_of
from .door.access import Access, Token
from .door.hosts import Hosts
from .door.prefix import Prefix, read_root_path
from .door.security import Guard

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

log = logging.getLogger("cnnlens.viewer")

#: The status of an error, the narrower types first.
STATUS: tuple[tuple[type[CnnlensError], int], ...] = (
    (NotThere, 404), (Busy, 429), (Gone, 409), (Loading, 503), (Unmet, 422), (CannotOpen, 422), (UsageError, 400),
    (PluginFailed, 500), (WorkerDied, 503), (OutOfTime, 504),
)  # fmt: skip


AGAINST = "against"


def create_app(
    desk: Desk,
    *,
    against: Desk | None = None,
    hosts: Hosts | Iterable[str] = (),
    token: str | Token | None = None,
    root_path: str = "",
) -> Flask:
    """The viewer over a desk, and over a second one `against` which it is compared, at /api/v1/against.

    `hosts` are names it answers to besides those of this machine, `token` what everybody has to bring (None:
    nothing, for who guards the door otherwise), `root_path` where a proxy serves it. Raises UsageError.
    """
    from . import api, downloads, pages, results

    app = Flask("cnnlens.viewer")
    app.url_map.merge_slashes = False  # a redirect would name a host and a scheme, which a proxy changes
    app.config.update(MAX_CONTENT_LENGTH=MAX_BYTES, MAX_FORM_PARTS=24, MAX_FORM_MEMORY_SIZE=256 * 2**10)
    app.json = _Json(app)
    app.extensions["cnnlens_desk"] = desk
    app.register_blueprint(api.routes)
    app.register_blueprint(results.routes)
    app.register_blueprint(downloads.routes)
    app.register_blueprint(pages.routes)
    if against is not None:
        app.extensions["cnnlens_against"] = against
        app.register_blueprint(api.routes, name=AGAINST, url_prefix=f"{api.routes.url_prefix}/{AGAINST}")
    app.register_error_handler(CnnlensError, _own_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unforeseen)
    app.after_request(_cache)
    hosts = hosts if isinstance(hosts, Hosts) else Hosts(hosts)
    _close_doors(app, hosts, token, read_root_path(root_path))
    return app


def _close_doors(app: Flask, hosts: Hosts, token: str | Token | None, root_path: str) -> None:
    """Lay around the application what stands between it and everybody, the outermost last."""
    wsgi: WSGIApplication = app.wsgi_app
    if root_path:
        wsgi = Prefix(wsgi, root_path)
    if token is not None:
        token = token if isinstance(token, Token) else Token(token)
        wsgi = Access(wsgi, token, app.jinja_env.get_template("door.html").render, root_path)
    app.wsgi_app = Guard(wsgi, hosts)  # type: ignore[method-assign]


def desk() -> Desk:
    """The desk that is asked: the application's own, or the second one at its own addresses."""
    which = "cnnlens_against" if request.blueprint == AGAINST else "cnnlens_desk"
    return cast(Desk, current_app.extensions[which])


def desks() -> tuple[Desk, ...]:
    """The application's own desk, and after it the one of a checkpoint it is compared with, where there is one."""
    names = ("cnnlens_desk", "cnnlens_against")
    return tuple(cast(Desk, current_app.extensions[name]) for name in names if name in current_app.extensions)


def plain(value: Any) -> Any:
    """Values as JSON has them: NumPy's own numbers made plain, and null for what is not finite."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, (str, int, bool, type(None))) else str(value)


class _Json(DefaultJSONProvider):
    ensure_ascii = False
    sort_keys = False

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        return super().dumps(plain(obj), allow_nan=False, **kwargs)

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        try:
            return super().loads(s, **kwargs)
        except RecursionError:
            raise ValueError("lists within lists, too many") from None


def _own_error(error: CnnlensError) -> ResponseReturnValue:
    status = next((code for kind, code in STATUS if isinstance(error, kind)), 500)
    headers = {"Retry-After": "1"} if status in (429, 503) else {}
    return {"error": error_of(error)}, status, headers


def _http_error(error: HTTPException) -> ResponseReturnValue:
    words = {
        404: ("NotFound", "there is nothing at this address"),
        405: ("MethodNotAllowed", f"{request.method} is not served at this address"),
        413: (
            "TooLarge",
            f"a request may have {MAX_BYTES // 2**20} MiB and two dozen parts: send less at once",
        ),
        415: ("UnsupportedMediaType", "send JSON, as Content-Type: application/json"),
    }
    status = error.code or 500
    kind, message = words.get(status, (type(error).__name__, error.description or "bad request"))
    headers = [(k, v) for k, v in error.get_headers() if k.lower() in ("allow", "location")]
    if status < 400:
        return error.get_response()
    return {"error": {"type": kind, "message": message}}, status, headers


def _unforeseen(error: Exception) -> ResponseReturnValue:
    log.exception("%s %s failed", request.method, request.path)
    return {"error": error_of(error)}, 500


def _cache(response: Response) -> Response:
    """Pictures are private: the browser alone may keep an answer, and asks anew unless the route said so."""
    if "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "private, no-cache"
    return response
