"""Who may ask, and what every answer carries."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from viewer_help import API, TOKEN, check_headers, error

from cnnlens.errors import UsageError
from cnnlens.viewer import InProcess, create_app
from cnnlens.viewer.door.security import CAME_IN_AT, HEADERS

OURS = (
    "localhost localhost:8765 LOCALHOST:1 localhost. LocalHost.:80 127.0.0.1 127.0.0.1:8765 127.1.2.3 127.0.0.1. "
    "[::1] [::1]:8765 [0:0:0:0:0:0:0:1]:1 [::ffff:127.0.0.1]"
).split()
STRANGE = [
    "",
    " ",
    "localhost, evil",
    "localhost,127.0.0.1",
    "localhost evil.example",
    "localhost\tevil",
    *"evil.example evil.example:8765 localhost.evil.example 127.0.0.1.evil.example localhost@evil".split(),
    *"evil@localhost localhost:80@evil localhost:80:80 127.0.0.1:99999 127.0.0.1: 127.0.0.1:0x50".split(),
    *"[::1 ::1 ::1] [[::1]] [::2] [::1]evil [::1].evil [::1]:80evil [] [:] [::] [::ffff:10.0.0.1]".split(),
    *"10.0.0.1 0.0.0.0 127.1 127.0.0.1.nip.io 0x7f.0.0.1 0177.0.0.1 2130706433 localhost/x localhost#x".split(),
    *"[fe80::1%25lo] localhost.. 192.168.1.2:8765 localhost\\evil http://localhost localhost%00 ｌocalhost".split(),
    *"metadata.google.internal 169.254.169.254 localhost.localdomain *.localhost evil.localhost _".split(),
]


@pytest.mark.parametrize("host", OURS)
def test_names_of_this_machine(client: FlaskClient, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", STRANGE)
@pytest.mark.parametrize("path", ["/", f"{API}/state", "/static/main.js"])
def test_other_names_are_refused(client: FlaskClient, host: str, path: str) -> None:
    answer = client.open(path, environ_overrides={"HTTP_HOST": host})
    assert answer.status_code == 400 and error(answer) == "BadHost"
    assert host in ("", " ", "_", "[]", "[:]", "[::]") or host not in answer.text


def test_a_host_that_was_named(desk: InProcess) -> None:
    client = create_app(desk, hosts=["Box.Local", "[2001:db8::1]"]).test_client()
    assert client.get("/", headers={"Host": "box.local:1"}).status_code == 200
    assert client.get("/", headers={"Host": "[2001:db8::1]:80"}).status_code == 200
    assert client.get("/", headers={"Host": "other.local"}).status_code == 400


def test_the_address_that_a_connection_came_in_at(client: FlaskClient) -> None:
    for host, at, status in [
        ("192.168.7.2:8765", "192.168.7.2", 200), ("192.168.7.2", "::ffff:192.168.7.2", 200),
        ("[2001:db8:0::1]", "2001:db8::1", 200), ("192.168.7.3", "192.168.7.2", 400), ("box", "192.168.7.2", 400),
    ]:  # fmt: skip
        over = {"HTTP_HOST": host, CAME_IN_AT: at}
        assert client.get(f"{API}/state", environ_overrides=over).status_code == status, host
    lied = {"Host": "192.168.7.2", "Cnnlens-Came-In-At": "192.168.7.2", "X-Forwarded-Host": "localhost"}
    assert client.get("/", headers=lied).status_code == 400


@pytest.mark.parametrize(
    "named", ["", "two names", "a/b", "ftp://a", "https://", "https://a/b", "a@b", "*", "[::1"]
)
def test_what_is_no_host_cannot_be_named(desk: InProcess, named: str) -> None:
    with pytest.raises(UsageError, match="is no host"):
        create_app(desk, hosts=[named])


@pytest.mark.parametrize(
    ("origin", "site", "status"),
    [
        ("https://hub.example", "same-origin", 204), ("https://HUB.example", None, 204),
        ("http://hub.example", None, 403), ("https://hub.example:444", None, 403),
        ("https://hub.example.evil", None, 403), ("https://hub.example", "cross-site", 403),
        ("http://localhost", None, 204),
    ],
)  # fmt: skip
@pytest.mark.parametrize("host", ["localhost", "hub.example"])
def test_an_origin_that_a_proxy_shows(
    desk: InProcess, host: str, origin: str, site: str | None, status: int
) -> None:
    client = create_app(desk, hosts=["https://hub.example"]).test_client()
    headers = {"Host": host, "Origin": origin} | ({"Sec-Fetch-Site": site} if site else {})
    if (host, origin) == ("hub.example", "http://hub.example"):
        status = 204  # what the address itself says
    if (host, origin) == ("hub.example", "http://localhost"):
        status = 403
    assert client.post(f"{API}/reset", headers=headers).status_code == status


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": ""},
        {"Origin": "null"}, {"Origin": "http://evil.example"}, {"Origin": "http://localhost:9999"},
        {"Origin": "http://127.0.0.1"}, {"Origin": "http://localhost/"}, {"Origin": "http://localhost."},
        {"Origin": "http://a@localhost"}, {"Origin": "localhost"}, {"Origin": "http://localhost, http://evil"},
        {"Sec-Fetch-Site": "SAME-ORIGIN"}, {"Sec-Fetch-Site": "same-origin, none"},
        {"Origin": "https://localhost"}, {"Origin": "http://localhost.evil.example"}, {"Origin": ""},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
    ],
)  # fmt: skip
def test_writes_of_strangers_are_refused(client: FlaskClient, method: str, headers: dict[str, str]) -> None:
    answer = client.open(f"{API}/reset", method=method, headers=headers)
    assert answer.status_code == 403 and error(answer) == "Forbidden"


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
        "version": "0",
    }
    seen = set()
    for rule in client.application.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", lambda found: str(values[found[1]]), rule.rule)
        for method in (rule.methods or set()) - {"DELETE"}:
            answer = client.open(path, method=method, json={} if method == "POST" else None)
            check_headers(answer.headers, path)
            seen.add(answer.status_code)
    for path in ("/nothing", f"{API}/nothing", "/static/nothing.js", "/static/../app.py"):
        answer = client.get(path)
        check_headers(answer.headers, path)
        assert answer.status_code == 404
    assert {200, 204, 400, 404} <= seen


def test_the_validator_sees_what_is_missing(client: FlaskClient) -> None:
    good = list(client.get("/").headers)
    check_headers(good, "as it is")
    bad = [[one for one in good if one[0] != name] for name in (*dict(HEADERS), "Cache-Control")] + [
        [*good, HEADERS[0]],
        [*good, ("Access-Control-Allow-Origin", "*")],
        [*good, ("X", f"a{TOKEN}")],
    ]
    for headers in bad:
        with pytest.raises(AssertionError):
            check_headers(headers, "as it may not be")


def test_pages_and_pictures_are_kept_by_nobody_else(client: FlaskClient, image: str) -> None:
    for path in ("/", f"{API}/state", f"{API}/images/{image}/original.png"):
        assert "private" in client.get(path).headers["Cache-Control"], path
    assert client.get("/", headers={"Host": "evil"}).headers["Cache-Control"] == "no-store"


def test_names_never_become_markup(client: FlaskClient) -> None:
    page = client.get("/").text
    assert "first <b>" not in page and "first \\u003cb\\u003e" in page
    assert "Slow <i>" not in page and "<b>how many" not in page


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
