"""Who may ask, and what every answer carries."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from viewer_help import API, error

from cnnlens.errors import UsageError
from cnnlens.testing import tiny_model
from cnnlens.viewer import InProcess, Viewer, create_app
from cnnlens.viewer.security import HEADERS

OURS = (
    "localhost localhost:8765 LOCALHOST:1 localhost. 127.0.0.1 127.0.0.1:8765 127.1.2.3 [::1] [::1]:8765"
).split()
STRANGE = [
    "",
    "localhost, evil",
    *"evil.example evil.example:8765 localhost.evil.example 127.0.0.1.evil.example localhost@evil".split(),
    *"evil@localhost 127.0.0.1:99999 127.0.0.1: [::1 ::1 [::2] 10.0.0.1 0.0.0.0 127.1 localhost/x".split(),
    *"2130706433 [fe80::1%25lo] localhost.. 192.168.1.2:8765".split(),
]


@pytest.mark.parametrize("host", OURS)
def test_names_of_this_machine(client: FlaskClient, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", STRANGE)
@pytest.mark.parametrize("path", ["/", f"{API}/state", "/static/main.js"])
def test_other_names_are_refused(client: FlaskClient, host: str, path: str) -> None:
    answer = client.open(path, environ_overrides={"HTTP_HOST": host})
    assert answer.status_code == 400 and error(answer) == "BadHost"
    headers_are_there(answer)


def test_a_host_that_was_named(desk: InProcess) -> None:
    client = create_app(desk, hosts=["Box.Local"]).test_client()
    assert client.get("/", headers={"Host": "box.local:1"}).status_code == 200
    assert client.get("/", headers={"Host": "other.local"}).status_code == 400


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": ""},
        {"Origin": "null"}, {"Origin": "http://evil.example"}, {"Origin": "http://localhost:9999"},
        {"Origin": "https://localhost"}, {"Origin": "http://localhost.evil.example"}, {"Origin": ""},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
    ],
)  # fmt: skip
def test_writes_of_strangers_are_refused(client: FlaskClient, method: str, headers: dict[str, str]) -> None:
    answer = client.open(f"{API}/reset", method=method, headers=headers)
    assert answer.status_code == 403 and error(answer) == "Forbidden"
    headers_are_there(answer)


@pytest.mark.parametrize(
    "headers",
    [{}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {"Origin": "http://localhost"},
     {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}],
)  # fmt: skip
def test_writes_of_our_own_page_and_of_programs(client: FlaskClient, headers: dict[str, str]) -> None:
    assert client.post(f"{API}/reset", headers=headers).status_code == 204


def test_every_answer_carries_the_headers(client: FlaskClient, image: str) -> None:
    values = {
        "id": image,
        "name": "saliency",
        "which": "input",
        "n": 0,
        "suffix": "png",
        "filename": "main.js",
    }
    seen = set()
    for rule in client.application.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", lambda found: str(values[found[1]]), rule.rule)
        for method in (rule.methods or set()) - {"DELETE"}:
            answer = client.open(path, method=method, json={} if method == "POST" else None)
            headers_are_there(answer)
            seen.add(answer.status_code)
    for path in ("/nothing", f"{API}/nothing", "/static/nothing.js", "/static/../app.py"):
        answer = client.get(path)
        headers_are_there(answer)
        assert answer.status_code == 404
    assert {200, 204, 400, 404} <= seen


def headers_are_there(answer: Any) -> None:
    """Each header once, as it should be, and none that opens a door."""
    for name, value in HEADERS:
        assert answer.headers.getlist(name) == [value], (answer.request.path, name)
    assert not [name for name, _ in answer.headers if name.lower().startswith("access-control-")]


@pytest.mark.parametrize(
    "path", ["../" * n + "etc/passwd" for n in range(1, 6)] + ["%2e%2e/app.py", "..%2fapp.py", "/etc/passwd"]
)
def test_no_path_leads_out(client: FlaskClient, path: str) -> None:
    for root in ("/static/", f"{API}/images/", f"{API}/results/", f"{API}/colours/"):
        answer = client.get(root + path)
        assert answer.status_code in (404, 308) and "root:" not in answer.text


def test_names_never_become_markup(client: FlaskClient) -> None:
    page = client.get("/").text
    assert "first <b>" not in page and "first \\u003cb\\u003e" in page
    assert "Slow <i>" not in page and "<b>how many" not in page


def test_the_viewer_serves_this_machine_only() -> None:
    for host in ("0.0.0.0", "192.168.0.1", "::", "example.org"):
        with pytest.raises(UsageError, match="this machine only"):
            Viewer(tiny_model(), host=host)


def test_an_unforeseen_error_tells_nothing(
    client: FlaskClient, desk: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> Any:
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(desk, "layers", fail)
    answer = client.get(f"{API}/layers")
    assert answer.status_code == 500 and error(answer) == "Internal" and "secret" not in answer.text


def test_the_room_imports_no_framework() -> None:
    names = ("torch", "keras", "jax", "tensorflow", "matplotlib")
    code = f"import sys, cnnlens.viewer; print([m for m in {names} if m in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_the_page_is_ours_alone(client: FlaskClient) -> None:
    page = client.get("/").text
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page) and 'style="' not in page
    assert "<script>" not in page and not re.search(r"\son\w+=", page)
    root = Path(str(client.application.static_folder))
    assert sum(file.stat().st_size for file in root.rglob("*.js")) <= 60_000
