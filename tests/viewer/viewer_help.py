"""Small things that several tests of the viewer need."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from cnnlens.viewer.door.security import HEADERS

API = "/api/v1"
TOKEN = "a-token-that-tests-know"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class Buffered(FlaskClient):
    """A client that reads each answer to its end, so that its file is closed."""

    def open(self, *args: Any, **options: Any) -> Any:
        """Send a request."""
        return super().open(*args, **{"buffered": True, **options})


class Validated:
    """WSGI middleware that fails on an answer without each header once, or with one that opens a door."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """Answer one request."""

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            check_headers(headers, f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}: {status}")
            return start_response(status, headers, exc_info)

        return self._app(environ, start)


def check_headers(headers: Iterable[tuple[str, str]], where: str) -> None:
    """Fail unless these are the headers of an answer that a browser may have."""
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name.lower(), []).append(value)
    for name, value in HEADERS:
        assert found.get(name.lower()) == [value], (where, name, found)
    kept = found.get("cache-control", [""])
    assert len(kept) == 1 and re.search("no-store|no-cache|private", kept[0]), (where, kept)
    assert not [name for name in found if name.startswith("access-control-")], where
    assert TOKEN not in str(headers), where


def png_of(seed: int, size: tuple[int, int] = (12, 10)) -> bytes:
    """A random picture as PNG."""
    pixels = np.random.default_rng(seed).integers(0, 255, (*size, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    """A picture from its bytes."""
    return Image.open(io.BytesIO(data))


def finished(client: FlaskClient, answer: TestResponse) -> dict[str, Any]:
    """The job when it is over."""
    told: dict[str, Any] = answer.json or {}
    until = time.monotonic() + 30
    while told["state"] in ("queued", "running"):
        assert time.monotonic() < until, told
        told = client.get(f"{API}/jobs/{told['id']}?wait=1").json or {}
    return told


def error(answer: TestResponse) -> str:
    """The type of the error that was answered; its shape is checked on the way."""
    assert answer.json is not None, answer.text
    assert set(answer.json) == {"error"} and set(answer.json["error"]) == {"type", "message"}
    assert answer.json["error"]["message"]
    return str(answer.json["error"]["type"])


def upload(client: FlaskClient, *files: tuple[bytes, str]) -> TestResponse:
    """POST pictures as a form."""
    return client.post(f"{API}/images", data={"image": [(io.BytesIO(data), name) for data, name in files]})


def routes(app: Flask, **values: Any) -> list[tuple[str, str]]:
    """Every method and address of the application, with values put in for what stands between < and >."""
    values = {"id": "x", "name": "saliency", "which": "input", "n": 0, "suffix": "png",
              "filename": "main.js", "version": "0"} | values  # fmt: skip
    found = [
        (method, re.sub(r"<(?:\w+:)?(\w+)>", lambda part: str(values[part[1]]), rule.rule))
        for rule in app.url_map.iter_rules()
        for method in sorted(rule.methods or ())
    ]
    assert len(found) > 40
    return found
