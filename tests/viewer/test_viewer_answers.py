"""On the wire: what waitress answers by itself, how much it takes in, and who may not hold it up."""

from __future__ import annotations

import http.client
import json
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from viewer_help import API, BEARER, TOKEN, check_headers, png_of

from cnnlens.images import MAX_BYTES
from cnnlens.testing import tiny_model
from cnnlens.viewer import Viewer
from cnnlens.viewer.door import listening

MIB = 2**20


@pytest.fixture
def viewer() -> Iterator[Viewer]:
    """A running viewer with a picture."""
    with Viewer(tiny_model(), [png_of(1)], token=TOKEN) as viewer:
        yield viewer


def place(address: str) -> tuple[str, int]:
    """Host and port."""
    parts = urlsplit(address)
    return str(parts.hostname), int(parts.port or 80)


def exchange(address: str, sent: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
    """Send bytes as they are; status, headers and body of the one answer."""
    with socket.create_connection(place(address), timeout=10) as wire:
        wire.sendall(sent)
        answer = http.client.HTTPResponse(wire)
        answer.begin()
        return answer.status, answer.getheaders(), answer.read()


HOST = b"Host: localhost\r\n"
MALFORMED = {
    "no request line": (b"\x00\x01\r\n\r\n", 400),
    "lower case method": (b"get / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a header without a colon": (b"GET / HTTP/1.1\r\n" + HOST + b"Authorization Bearer secret\r\n\r\n", 400),
    "a line feed within": (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\nsecret: b\r\n\r\n", 400),
    "a folded first header": (b"GET / HTTP/1.1\r\n secret\r\n\r\n", 400),
    "a length that is none": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n", 400),
    "two lengths": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    "another encoding": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip\r\n\r\n", 501),
    "a chunk that is none": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nsecret\r\n\r\n", 400,
    ),
    "long headers": (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"secret" * 12_000 + b"\r\n\r\n", 431),
    "many headers": (b"GET / HTTP/1.1\r\n" + HOST + b"X: secret\r\n" * 8_000 + b"\r\n", 431),
    "a long address": (b"GET /" + b"secret" * 12_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 431),
    "a huge body": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 999999999999\r\n\r\n", 413),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET / HTTP/1.1\r\n" + HOST + b"Host: evil\r\n\r\n", 400),
    "no host, version 1.0": (b"GET / HTTP/1.0\r\n\r\n", 400),
    "another host in the line": (b"GET http://evil/ HTTP/1.1\r\n" + HOST + b"\r\n", 401),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_request_is_answered_like_the_rest(viewer: Viewer, name: str) -> None:
    sent, status = MALFORMED[name]
    got, headers, body = exchange(viewer.address, sent)
    assert got == status, body
    check_headers(headers, name)
    error = json.loads(body)["error"]
    assert set(error) == {"type", "message"} and "secret" not in body.decode() and "evil" not in body.decode()


def test_the_methods_that_nobody_serves(viewer: Viewer) -> None:
    for method, status in [
        ("HEAD", 200), ("OPTIONS", 200), ("TRACE", 405), ("PUT", 405), ("PATCH", 405), ("DELETE", 405),
        ("CONNECT", 405), ("PROPFIND", 405), ("XYZ", 405),
    ]:  # fmt: skip
        connection = http.client.HTTPConnection(*place(viewer.address), timeout=10)
        connection.request(method, "/", headers=BEARER | {"X-Mirror": "me"})
        answer = connection.getresponse()
        body = answer.read()
        check_headers(answer.getheaders(), method)
        assert answer.status == status, method
        assert b"me" not in body or status == 405, "nothing is mirrored"
        assert method != "HEAD" or body == b""
        connection.close()


#: A viewer in a process of its own that says how much memory it holds when a line comes.
MEASURED = """
import sys
from cnnlens.testing import tiny_model
from cnnlens.viewer import Viewer
with Viewer(tiny_model(), token=sys.argv[1]) as viewer:
    print(viewer.address, flush=True)
    for line in sys.stdin:
        told = open("/proc/self/status").read()
        print(told.partition("VmHWM:")[2].split()[0], flush=True)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system has no /proc to measure by")
@pytest.mark.parametrize("bearer", [BEARER, {}], ids=["token", "no token"])
@pytest.mark.parametrize("how", ["length", "chunked"])
def test_300_mib_are_refused_early_and_held_nowhere(how: str, bearer: dict[str, str], tmp_path: Path) -> None:
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", MEASURED, TOKEN], cwd=tmp_path, **pipes)
    try:
        address = process.stdout.readline().strip()

        def most() -> int:
            process.stdin.write("\n")
            process.stdin.flush()
            return int(process.stdout.readline()) * 1024

        exchange(address, b"GET / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        before = most()
        sent, answer = pour(address, 300 * MIB, how, bearer)
        assert answer.startswith(b"HTTP/1.1 413 ") and b'"TooLarge"' in answer
        assert sent < 60 * MIB, "it was answered long before the end"
        assert most() - before < 40 * MIB
    finally:
        process.kill()
        process.communicate()


def pour(address: str, size: int, how: str, headers: dict[str, str]) -> tuple[int, bytes]:
    """Send a body until the server answers: how much was sent until then, and the answer."""
    lines = [
        f"POST {API}/images HTTP/1.1",
        "Host: localhost",
        "Content-Type: multipart/form-data; boundary=x",
    ]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {size}" if how == "length" else "Transfer-Encoding: chunked", "", ""]
    block = b"x" * MIB
    piece = block if how == "length" else b"%x\r\n%s\r\n" % (len(block), block)
    sent = 0
    with socket.create_connection(place(address), timeout=20) as wire:
        wire.sendall("\r\n".join(lines).encode())
        while sent < size:
            if select.select([wire], [], [], 0.01)[0]:
                break
            wire.sendall(piece)
            sent += MIB
        answer = b""
        while data := wire.recv(65536):
            answer += data
    return sent, answer


def test_who_goes_on_sending_still_reads_why_it_was_refused(viewer: Viewer) -> None:
    """Closed at once, the system would have cut it off: such clients see a reset, and no reason."""
    with socket.create_connection(place(viewer.address), timeout=10) as wire:
        wire.sendall(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 999999999\r\n\r\n")
        for _ in range(20):
            wire.sendall(b"x" * 65536)
            time.sleep(0.01)
        assert wire.recv(100).startswith(b"HTTP/1.1 413 ")


def test_an_ordinary_body_at_the_limit_of_the_form(viewer: Viewer) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    body = part + b"x" * (MAX_BYTES - len(part) - 10) + b"\r\n--x--\r\n"
    for more, status in [(b"", 422), (b"x" * 1000, 413)]:
        connection = http.client.HTTPConnection(*place(viewer.address), timeout=20)
        headers = BEARER | {"Content-Type": "multipart/form-data; boundary=x"}
        connection.request("POST", f"{API}/images", body=body + more, headers=headers)
        answer = connection.getresponse()
        assert answer.status == status and json.loads(answer.read())
        check_headers(answer.getheaders(), str(status))
        connection.close()


def test_many_parts_are_refused(viewer: Viewer) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="a%d"\r\n\r\n1\r\n'
    body = b"".join(part % n for n in range(100)) + b"--x--\r\n"
    connection = http.client.HTTPConnection(*place(viewer.address), timeout=10)
    headers = BEARER | {"Content-Type": "multipart/form-data; boundary=x"}
    connection.request("POST", f"{API}/look", body=body, headers=headers)
    answer = connection.getresponse()
    assert answer.status == 413 and json.loads(answer.read())["error"]["type"] == "TooLarge"
    connection.close()


@pytest.mark.parametrize(
    ("limit", "begin", "drop"),
    [
        ("HEADERS_WITHIN", b"GET / HTTP/1.1\r\n", b"X: y\r\n"),
        ("REQUEST_WITHIN", b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 99999\r\n\r\n", b"x"),
    ],
)
def test_what_trickles_in_is_cut_off(
    viewer: Viewer, monkeypatch: pytest.MonkeyPatch, limit: str, begin: bytes, drop: bytes
) -> None:
    monkeypatch.setattr(listening, limit, 0.2)
    with socket.create_connection(place(viewer.address), timeout=10) as wire:
        wire.sendall(begin)
        end = time.monotonic() + 20
        closed = False
        while not closed and time.monotonic() < end:
            try:
                wire.sendall(drop)
                closed = bool(select.select([wire], [], [], 0.05)[0]) and wire.recv(100) == b""
            except OSError:
                closed = True
        assert closed
    got, _, _ = exchange(viewer.address, b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
    assert got == 401, "others are served"


def test_forwarded_headers_are_anybodys_word(viewer: Viewer) -> None:
    lies = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/evil",
            "X-Script-Name": "/evil", "Forwarded": "for=1.2.3.4;host=evil.example;proto=https",
            "X-Original-Url": "/evil", "X-Forwarded-For": "127.0.0.1"}  # fmt: skip
    connection = http.client.HTTPConnection(*place(viewer.address), timeout=10)
    connection.request("GET", f"/?token={TOKEN}", headers=lies)
    answer = connection.getresponse()
    seen = answer.read().decode() + str(answer.getheaders())
    assert answer.status == 303 and "evil" not in seen and answer.getheader("Location") == "./"
    connection.request("GET", f"{API}/state", headers=lies)
    assert connection.getresponse().status == 401
    connection.close()
