"""The token: nobody is answered without it, a browser brings it once, and it turns up nowhere else."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from browser import watch
from flask import Flask
from flask.testing import FlaskClient
from viewer_help import API, BEARER, TOKEN, Buffered, Validated, error, png_of, routes

import cnnlens
from cnnlens.errors import UsageError
from cnnlens.testing import tiny_model
from cnnlens.viewer import InProcess, Viewer, create_app
from cnnlens.viewer.door.access import Token, cookie_name

PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
WRONG = [
    "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "", "ü", "a" * 5000, "None", "null", "*", " ", f'"{TOKEN}"',
]  # fmt: skip


@pytest.fixture
def app(desk: InProcess) -> Flask:
    """The application that wants the token, and fails on an answer without its headers or with the token."""
    app = create_app(desk, token=TOKEN)
    app.test_client_class = Buffered
    app.wsgi_app = Validated(app.wsgi_app)  # type: ignore[method-assign]
    return app


@pytest.fixture
def stranger(app: Flask) -> FlaskClient:
    """A client that has brought nothing."""
    return app.test_client()


def test_every_route_wants_the_token(app: Flask, stranger: FlaskClient) -> None:
    tried = [*routes(app), ("GET", "/nothing"), ("POST", "/"), ("GET", f"{API}/nothing"), ("TRACE", "/")]
    for method, path in tried:
        answer = stranger.open(path, method=method)
        assert answer.status_code == 401, (method, path)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        wrong = stranger.open(path, method=method, headers={"Authorization": "Bearer x"})
        assert wrong.status_code == 403, (method, path)
        if method != "HEAD":
            assert (error(answer), error(wrong)) == ("NoToken", "WrongToken")
        assert method != "HEAD" or answer.data == wrong.data == b""
    for method, path in routes(app):
        right = stranger.open(path, method=method, headers=BEARER)
        assert right.status_code not in (401, 403), (method, path)


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_tokens(app: Flask, wrong: str) -> None:
    stranger = app.test_client(use_cookies=False)
    assert stranger.get(f"{API}/state?token={quote(wrong)}").status_code == 403
    header = wrong.encode().decode("latin-1")
    over = {"HTTP_AUTHORIZATION": f"Bearer {header}"}
    assert stranger.get(f"{API}/state", environ_overrides=over).status_code == 403
    over = {"HTTP_COOKIE": f"cnnlens={header}"}
    assert stranger.get(f"{API}/state", environ_overrides=over).status_code == 403


@pytest.mark.parametrize(
    "header",
    ["Basic eDp5", f"Basic {TOKEN}", TOKEN, f"Token {TOKEN}", "", "Negotiate x", f"XBearer {TOKEN}"],
)
def test_other_ways_to_bring_it_are_none(stranger: FlaskClient, header: str) -> None:
    assert stranger.get("/", headers={"Authorization": header}).status_code == 401


def test_the_token_is_no_cookie_and_the_cookie_no_token(app: Flask, stranger: FlaskClient) -> None:
    cookie = entered(stranger).partition("=")[2]
    stranger = app.test_client(use_cookies=False)
    for headers in ({"Cookie": f"cnnlens={TOKEN}"}, {"Authorization": f"Bearer {cookie}"}):
        assert stranger.get("/", headers=headers).status_code == 403
    assert stranger.get(f"/?token={cookie}").status_code == 403
    assert stranger.get("/", headers={"Cookie": f"cnnlens={cookie}"}).status_code == 200
    assert stranger.get("/", headers={"Cookie": f"cnnlens=old; cnnlens={cookie}"}).status_code == 200
    assert stranger.get("/", headers={"Cookie": f"cnnlens-1={cookie}; Xcnnlens={cookie}"}).status_code == 401


def entered(client: FlaskClient, path: str = "/") -> str:
    """Bring the token by the address; the cookie that it is answered with."""
    answer = client.get(f"{path}?token={TOKEN}")
    assert answer.status_code == 303
    return answer.headers["Set-Cookie"].partition(";")[0]


def test_the_address_with_the_token_leads_to_the_one_without(stranger: FlaskClient) -> None:
    answer = stranger.get(f"/?img=a%20b&token={TOKEN}&layer=relu%232&x=", headers=PAGE)
    assert answer.status_code == 303 and answer.headers["Location"] == "./?img=a+b&layer=relu%232&x="
    flags = answer.headers["Set-Cookie"].split("; ")
    assert flags[1:] == ["HttpOnly", "SameSite=Strict"] and TOKEN not in flags[0]
    assert len(flags[0]) > 40 and "no-store" in answer.headers["Cache-Control"]
    assert stranger.get("/").status_code == 200, "the client keeps the cookie"
    assert stranger.get(f"{API}/state").status_code == 200
    assert stranger.post(f"{API}/reset").status_code == 204


@pytest.mark.parametrize(
    "path",
    [
        "/",
        f"{API}/state",
        "/static/main.js",
        "/nothing",
        "//evil.example/",
        "/a:b",
        "/%5cevil.example",
        "/%0d%0aX:1",
    ],
)
def test_it_leads_nowhere_else(stranger: FlaskClient, path: str) -> None:
    answer = stranger.get(f"{path}?token={TOKEN}", base_url="http://localhost")
    where = answer.headers["Location"]
    assert where.startswith("./") and re.fullmatch(r"\./[\w.%-]*", where), where


def test_only_reading_takes_the_token_from_the_address(stranger: FlaskClient) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        answer = stranger.open(f"{API}/reset?token={TOKEN}", method=method)
        assert answer.status_code == 401 and "Set-Cookie" not in answer.headers


def test_the_page_that_refuses_says_where_to_look(stranger: FlaskClient) -> None:
    for path, status in (("/", 401), ("/?token=x", 403), ("/static/main.js", 401), ("/nothing", 401)):
        answer = stranger.get(path, headers=PAGE)
        assert answer.status_code == status and answer.mimetype == "text/html"
        assert "terminal" in answer.text and "refresh" not in answer.text
        assert not re.search(r"<script|<link rel=.?stylesheet|src=", answer.text), "it needs nothing else"


def test_each_port_has_a_cookie_of_its_own(stranger: FlaskClient) -> None:
    names = ["localhost:8765", "localhost:8766", "[::1]:8765", "[::1]", "localhost"]
    assert [cookie_name({"HTTP_HOST": one}) for one in names] == [
        "cnnlens-8765", "cnnlens-8766", "cnnlens-8765", "cnnlens", "cnnlens",
    ]  # fmt: skip
    answer = stranger.get(f"/?token={TOKEN}", headers={"Host": "localhost:9000"})
    assert answer.headers["Set-Cookie"].startswith("cnnlens-9000=")


def test_a_ticket_is_good_once(desk: InProcess) -> None:
    token = Token(TOKEN)
    client = create_app(desk, token=token).test_client()
    ticket = token.ticket()
    assert client.get("/", headers={"Authorization": f"Bearer {ticket}"}).status_code == 403
    assert client.head(f"/?token={ticket}").status_code == 403, "asking ahead does not use it up"
    assert client.get(f"/?token={ticket}").status_code == 303
    assert client.get(f"/?token={ticket}").status_code == 403
    assert client.get(f"/?token={TOKEN}").status_code == client.get(f"/?token={TOKEN}").status_code == 303


def test_tokens_are_long_random_and_kept_quiet() -> None:
    made = {Token().text for _ in range(100)}
    assert len(made) == 100 and min(map(len, made)) == 32
    assert TOKEN not in repr(Token(TOKEN)) and Token(TOKEN).cookie != Token(TOKEN).cookie
    for bad in ("", "short", "a" * 15, "a" * 600, "with a space in it", "line\nline-line-line", "ü" * 20):
        with pytest.raises(UsageError) as refused:
            Token(bad)
        assert not bad or bad not in str(refused.value)


def test_it_turns_up_nowhere(
    stranger: FlaskClient, desk: InProcess, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    id = desk.images()[0]["id"]
    asked = {"visualisers": [{"name": "saliency"}], "images": [id]}
    job = stranger.post(f"{API}/jobs?wait=2", json=asked, headers=BEARER).json or {}
    result = job["results"][0]["id"]
    seen = [stranger.get(f"/?token={TOKEN}&img={id}", headers=PAGE)]
    for path in ("/", f"{API}/state", f"{API}/jobs", f"{API}/openapi.json", f"{API}/results/{result}",
                 f"{API}/results/{result}/download.html", f"{API}/results/{result}/download.json",
                 f"{API}/visualisers/{TOKEN[:5]}", f"{API}/nothing"):  # fmt: skip
        seen.append(stranger.get(path, headers=BEARER))
    seen.append(stranger.get(f"{API}/state?token={TOKEN}x"))
    monkeypatch.setattr(desk, "layers", lambda: 1 / 0)
    seen.append(stranger.get(f"{API}/layers", headers=BEARER))
    assert seen[-1].status_code == 500 and "ZeroDivisionError" in caplog.text
    assert not [one.request.path for one in seen if TOKEN in one.text or TOKEN in str(one.headers)]
    assert TOKEN not in caplog.text


def test_viewers_make_one_by_default() -> None:
    with cnnlens.view(tiny_model(), open_browser=False) as viewer:
        token = viewer.url.partition("?token=")[2]
        assert len(token) == 32 and viewer.url == f"{viewer.address}?token={token}"
        assert token not in viewer.address + repr(viewer) and viewer.address in repr(viewer)
        html = viewer._repr_html_()
        assert f'href="{viewer.url}"' in html and html.count(token) == 1 and "noreferrer" in html
        assert viewer.ticket() != viewer.ticket() and token not in viewer.ticket()
    with Viewer(tiny_model(), token=TOKEN, root_path="lab/") as viewer:
        assert viewer.url.endswith(f"/lab/?token={TOKEN}")
    with Viewer(tiny_model(), token=False) as viewer:
        assert viewer.url == viewer.address == viewer.ticket()


@pytest.fixture
def guarded() -> Iterator[Viewer]:
    """A running viewer that wants a token."""
    with Viewer(tiny_model(), [png_of(1)]) as viewer:
        yield viewer


def test_a_browser_brings_it_once(chromium: Any, guarded: Viewer) -> None:
    context, wrong = chromium.new_context(), []
    page = context.new_page()
    watch(page, guarded.address, wrong)
    assert page.goto(guarded.address).status == 401
    assert "terminal" in page.locator("body").inner_text()
    asked: list[tuple[str, str]] = []
    page.on("request", lambda r: asked.append((r.url, r.headers.get("referer", ""))))
    page.goto(guarded.url + "&layer=relu")
    page.wait_for_selector("#maps .sheet.ready", timeout=30_000)
    assert page.url == guarded.address + "?layer=relu"
    assert page.evaluate("document.cookie") == "", "no script reads it"
    token = guarded.url.partition("=")[2]
    assert [url for url, _ in asked if token in url] == [guarded.url + "&layer=relu"]
    assert not [one for one in asked if token in one[1]]
    page.reload()
    page.wait_for_selector("#maps .sheet.ready", timeout=30_000)
    assert token not in page.content() and page.evaluate("history.length") <= 3
    context.close()
    assert wrong == []


def test_a_link_on_another_page_leads_in(chromium: Any, guarded: Viewer) -> None:
    """No strict cookie goes along a redirect from another site, as a notebook's page is."""
    context, wrong = chromium.new_context(), []
    page = context.new_page()
    html = f"<!doctype html>{guarded._repr_html_()}"
    page.route("http://notebook.example/", lambda route: route.fulfill(body=html, content_type="text/html"))
    page.goto("http://notebook.example/")
    with context.expect_page() as opened:
        page.get_by_role("link").click()
    viewer = opened.value
    watch(viewer, guarded.address, wrong)
    viewer.wait_for_selector("#maps .sheet.ready", timeout=30_000)
    assert viewer.url == guarded.address
    assert viewer.evaluate("document.referrer") in ("", guarded.address)
    context.close()
    assert wrong == []
