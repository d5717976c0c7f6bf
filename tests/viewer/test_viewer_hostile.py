"""Hostile addresses: nothing in a path reaches a file, and nothing that reads changes anything."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from viewer_help import API, png_of, routes, upload

from cnnlens.viewer import InProcess

PASSWD = "etc/passwd"
#: What attackers put where a name is wanted. Each is tried as it is, and percent-encoded once and twice.
TRAVERSALS = [
    *("../" * n + PASSWD for n in (1, 2, 3, 5, 8, 16)),
    *("..\\" * n + "windows\\win.ini" for n in (1, 3, 8)),
    "../app.py", "../templates/viewer.html", "../../cnnlens/viewer/app.py", "..\\app.py", "../__init__.py",
    "..", ".", "...", "../", "./../app.py", "a/../../app.py", "main.js/../../app.py", "....//app.py", "..././app.py",
    "....\\\\app.py", ".../.../app.py", "..;/app.py", "..%00/app.py", "main.js\0.png", "\0", "../app.py\0.js",
    "..\n/app.py", "/etc/passwd", "//etc/passwd", "///etc/passwd", "/proc/self/environ", "/proc/self/fd/0",
    "/dev/zero", "/dev/stdin", "file:///etc/passwd", "file:/etc/passwd", "http://evil.example/x", "~/.ssh/id_rsa",
    "~root", "$HOME", "%SYSTEMROOT%\\win.ini", "C:\\windows\\win.ini", "C:/windows/win.ini", "C:", "c:..\\app.py",
    "\\\\evil.example\\share\\x", "//evil.example/share/x", "\\\\?\\C:\\x", "\\\\.\\pipe\\x",
    "CON", "NUL", "nul.png", "AUX.js", "COM1", "LPT1.txt", "CON .js", "main.js:stream", "main.js::$DATA", "main.js ",
    "main.js.", "..\uff0fapp.py", "\uff0e\uff0e/app.py", "\u2025/app.py", "..\u2215app.py", "..\u2216app.py",
    "\u202e../app.py", "..\xc0\xafapp.py", "..\xc1\x9capp.py", "\xff\xfe", "a" * 300, "a/" * 500, "../" * 500, "*", "?",
    "main.js?x", "{{7*7}}", "${7*7}", "%n%n", "-1", "1e9", "9" * 400, "0x0", "`id`", "$(id)", "|id", "a b", "[::1]",
]  # fmt: skip
PLACES = [
    "/static/{}", "/{}", f"{API}/{{}}", f"{API}/visualisers/{{}}", f"{API}/colours/{{}}.png", f"{API}/jobs/{{}}",
    f"{API}/images/{{}}/original.png", f"{API}/images/IMAGE/{{}}.png", f"{API}/results/{{}}",
    f"{API}/results/{{}}/panels/0.png", f"{API}/results/RESULT/panels/{{}}.png",
    f"{API}/results/RESULT/panels/{{}}.json", f"{API}/results/{{}}/download.png",
    f"{API}/results/RESULT/download.{{}}",
]  # fmt: skip
_watched: list[list[str]] = []


def _hook(event: str, given: tuple[Any, ...]) -> None:
    if _watched and event in ("open", "os.listdir", "os.scandir", "socket.connect", "subprocess.Popen"):
        _watched[-1].append(f"{event} {given[0]!r}")


@contextmanager
def watched() -> Iterator[list[str]]:
    """What is opened, listed or connected to meanwhile, by Python's own audit."""
    if not getattr(_hook, "added", False):
        sys.addaudithook(_hook)  # stays for good, and looks at nothing while nobody watches
        _hook.added = True  # type: ignore[attr-defined]
    _watched.append([])
    try:
        yield _watched[-1]
    finally:
        _watched.pop()


@pytest.fixture
def result(client: FlaskClient, image: str) -> str:
    """The id of a result that is there."""
    asked = {"visualisers": [{"name": "saliency"}], "images": [image]}
    job = client.post(f"{API}/jobs?wait=2", json=asked).json or {}
    return str(job["results"][0]["id"])


@pytest.mark.parametrize("place", PLACES)
def test_no_path_leads_to_a_file(client: FlaskClient, image: str, result: str, place: str) -> None:
    assert len(set(TRAVERSALS)) == len(TRAVERSALS) >= 60
    for path in ("/static/main.js", "/", "/nothing"):
        client.get(path)  # tables of types and templates are read once
    static = str(client.application.static_folder)
    place = place.replace("IMAGE", image).replace("RESULT", result)
    for payload in TRAVERSALS:
        for written in {
            payload,
            quote(payload),
            quote(payload, safe=""),
            quote(quote(payload, safe=""), safe=""),
        }:
            with watched() as opened:
                answers = asked(client, place.format(written))
            for answer in answers:
                assert answer.status_code in (400, 404), (payload, answer.status_code, answer.text[:200])
                assert not re.search(r"root:.*:0:0|from __future__|\[fonts\]|<!doctype", answer.text)
            for one in opened:
                assert f"open '{static}/" in one and ".." not in one, (payload, one)


def asked(client: FlaskClient, path: str) -> list[Any]:
    """The answers to a path as the test client reads it, and laid into the environment as it is."""
    raw = client.get("/", environ_overrides={"PATH_INFO": path.encode().decode("latin-1")})
    if re.search(r"[?#\s\0\[]|^//", path):
        return [raw]  # the client would read that as something else than a path
    return [raw, client.get(path)]


def test_a_link_out_of_the_folder_of_pages_is_not_ours(client: FlaskClient) -> None:
    """Everything that is served lies in the package, as files and not as links."""
    root = Path(str(client.application.static_folder))
    for file in root.rglob("*"):
        assert not file.is_symlink() and file.resolve().is_relative_to(root.resolve())


def test_names_of_uploads_stay_names(client: FlaskClient, desk: InProcess, tmp_path: Path) -> None:
    before = sorted(os.listdir(tmp_path))
    for n, payload in enumerate(TRAVERSALS):
        with watched() as opened:
            answer = upload(client, (png_of(100 + n), payload))
        assert opened == [], payload
        if answer.status_code == 400 and "\n" in payload:
            continue  # the form's own header is broken by it
        assert answer.status_code == 201, payload
        name = (answer.json or {})["images"][0]["name"]
        assert not re.search(r"[\\/\0\n]", name) and 0 < len(name) <= 120
        assert client.delete(f"{API}/images/{(answer.json or {})['images'][0]['id']}").status_code == 204
    assert sorted(os.listdir(tmp_path)) == before


def test_settings_and_targets_name_no_files(client: FlaskClient, image: str) -> None:
    for payload in TRAVERSALS[::4]:
        for more in (
            {"targets": [f"like({payload})"]}, {"targets": [payload]}, {"images": [payload]},
            {"visualisers": [{"name": payload}]},
            {"visualisers": [{"name": "saliency", "settings": {"layer": payload}}]},
        ):  # fmt: skip
            with watched() as opened:
                ask = {"visualisers": [{"name": "saliency"}], "images": [image], **more}
                answer = client.post(f"{API}/jobs?wait=2", json=ask)
            found = [one["error"] for one in (answer.json or {}).get("results", [])]
            assert answer.status_code >= 400 or all(found) or "targets" in more, (payload, more)
            assert opened == [], (payload, opened)


def everything(client: FlaskClient) -> list[Any]:
    """What a reader can see of the server's state."""
    return [client.get(f"{API}/{one}").json for one in ("images", "jobs", "layers", "visualisers")]


def test_nothing_that_reads_changes_anything(client: FlaskClient, image: str, result: str) -> None:
    values = {"id": image, "n": 0}
    before = everything(client)
    tried = 0
    for id in (image, result, (before[1] or {})["jobs"][0]["id"]):
        for method, path in routes(client.application, **(values | {"id": id})):
            if method in ("GET", "HEAD", "OPTIONS"):
                for query in ("", "?_method=DELETE&method=POST&wait=0.01"):
                    headers = {"X-HTTP-Method-Override": "DELETE", "X-Method-Override": "POST"}
                    client.open(path + query, method=method, headers=headers, data=b"x")
                    tried += 1
    assert tried > 150 and everything(client) == before
    assert client.get(f"{API}/results/{result}").status_code == 200


def test_what_changes_something_is_no_get(client: FlaskClient) -> None:
    writes = {
        (method, rule.rule)
        for rule in client.application.url_map.iter_rules()
        for method in rule.methods or ()
        if method not in ("GET", "HEAD", "OPTIONS")
    }
    assert writes == {
        ("POST", f"{API}/cost"), ("POST", f"{API}/images"), ("DELETE", f"{API}/images/<id>"), ("POST", f"{API}/jobs"),
        ("DELETE", f"{API}/jobs/<id>"), ("POST", f"{API}/reset"), ("POST", f"{API}/restart"), ("POST", f"{API}/look"),
    }  # fmt: skip


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "application/jsonx",
             "text/json", "application/xml", "text/plain; application/json"],
)  # fmt: skip
def test_json_is_taken_as_json_alone(client: FlaskClient, image: str, kind: str) -> None:
    """A form of another page can send text that happens to be JSON, but cannot call it so."""
    body = b'{"visualisers": [{"name": "saliency"}], "images": ["%s"]}' % image.encode()
    jobs = client.get(f"{API}/jobs").json
    answer = client.post(f"{API}/jobs", data=body, content_type=kind)
    assert answer.status_code == 415 and client.get(f"{API}/jobs").json == jobs


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"\xff", b"{}" * 9, b"[" * 100_000, b'{"a":' * 20_000, b"1" * 10_000, b"NaN",
             b'{"visualisers": 1e999}', b'"\\ud800"', b'{"__proto__": {}}'],
)  # fmt: skip
def test_broken_json_is_told(client: FlaskClient, body: bytes) -> None:
    answer = client.post(f"{API}/jobs", data=body, content_type="application/json")
    assert answer.status_code == 400 and set((answer.json or {})["error"]) == {"type", "message"}
