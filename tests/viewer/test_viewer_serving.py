"""The running server: where it listens, how it stops, what it leaves behind."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from viewer_help import png_of

import cnnlens
from cnnlens.errors import UsageError
from cnnlens.images import MAX_BYTES
from cnnlens.testing import tiny_model
from cnnlens.viewer import Viewer

SERVE = """
from cnnlens.testing import tiny_model
from cnnlens.viewer import serve
serve(tiny_model(), [], port=0, open_browser=False)
"""


def test_view_answers_and_goes_without_a_trace() -> None:
    before = {t.name for t in threading.enumerate()}
    with cnnlens.view(tiny_model(), png_of(1), open_browser=False) as viewer:
        with urllib.request.urlopen(viewer.url + "api/v1/state", timeout=5) as answer:
            state = json.load(answer)
        assert state["model"]["name"] == "tiny" and len(state["images"]) == 1
        assert viewer.url in viewer._repr_html_() and viewer.url in repr(viewer)
    viewer.close()  # a second time does nothing
    assert {t.name for t in threading.enumerate() if t.is_alive()} <= before | {"MainThread"}
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(viewer.url, timeout=2)


def test_it_closes_while_somebody_is_connected() -> None:
    viewer = cnnlens.view(tiny_model(), open_browser=False)
    host = viewer.url.removeprefix("http://").rstrip("/")
    connection = http.client.HTTPConnection(host, timeout=5)
    connection.request("GET", "/")
    assert connection.getresponse().read()
    viewer.close()
    connection.close()


def test_a_taken_port_is_told() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        with pytest.raises(UsageError, match="--port 0"):
            cnnlens.view(tiny_model(), port=held.getsockname()[1], open_browser=False)


def test_the_other_loopback() -> None:
    try:
        viewer = Viewer(tiny_model(), host="::1")
    except UsageError as error:
        pytest.skip(f"this machine has no IPv6: {error}")
    with viewer, urllib.request.urlopen(viewer.url, timeout=5) as answer:
        assert viewer.url.startswith("http://[::1]:") and answer.status == 200


def test_serve_says_where_and_stops_on_ctrl_c(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith("cnnlens shows tiny at http://127.0.0.1:")
        assert "Ctrl-C" in process.stdout.readline()
        with urllib.request.urlopen(said.split()[-1], timeout=5) as answer:
            assert b"tiny" in answer.read() and answer.headers["Server"] == "cnnlens"
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    assert process.returncode == 0 and "stopped" in out and err == ""
    assert os.listdir(tmp_path) == []


def test_a_body_over_the_limit_is_not_read() -> None:
    with cnnlens.view(tiny_model(), open_browser=False) as viewer:
        connection = http.client.HTTPConnection(viewer.url.removeprefix("http://").rstrip("/"), timeout=5)
        connection.putrequest("POST", "/api/v1/images")
        connection.putheader("Content-Type", "multipart/form-data; boundary=x")
        connection.putheader("Content-Length", str(MAX_BYTES * 40))
        connection.endheaders()
        assert connection.getresponse().status == 413
        connection.close()
