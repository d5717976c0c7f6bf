"""Small things that several tests of the viewer need."""

from __future__ import annotations

import io
import time
from typing import Any

import numpy as np
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

API = "/api/v1"


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
