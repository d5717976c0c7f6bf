"""Below a path: behind proxies that take it off and behind those that hand it on."""

from __future__ import annotations

import http.client
import re
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from browser import watch
from flask.testing import FlaskClient
from viewer_help import API, BEARER, TOKEN, Buffered, Validated, png_of

from cnnlens.errors import UsageError
from cnnlens.testing import tiny_model
from cnnlens.viewer import InProcess, Viewer, create_app

ROOT = "/user/ada/proxy/8765"


class Proxy:
    """A reverse proxy at a port of its own: takes a prefix off, or not, and names itself as the Host, or not."""

    def __init__(self, behind: str, prefix: str, strip: bool, keep_host: bool) -> None:
        host, port = str(urlsplit(behind).hostname), int(urlsplit(behind).port or 80)

        class Pass(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self) -> None:
                if not (self.path + "/").startswith(prefix + "/") and not self.path.startswith(prefix + "?"):
                    self.send_error(404)
                    return
                path = self.path.removeprefix(prefix) if strip else self.path
                headers = dict(self.headers.items()) | ({} if keep_host else {"Host": f"{host}:{port}"})
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                behind = http.client.HTTPConnection(host, port, timeout=20)
                behind.request(self.command, path if path.startswith("/") else "/" + path, body, headers)
                answer = behind.getresponse()
                data = answer.read()
                behind.close()
                try:
                    self._hand_on(answer, data)
                except ConnectionError:  # the browser went; a proxy lives on
                    self.close_connection = True

            def _hand_on(self, answer: http.client.HTTPResponse, data: bytes) -> None:
                self.send_response_only(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in (
                        "connection",
                        "content-length",
                        "transfer-encoding",
                    ):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_DELETE = do_HEAD = handle_one

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Pass)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}{prefix}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(
    params=[(True, ROOT), (True, ""), (False, ROOT)], ids=["strips", "strips, untold", "hands on"]
)
def behind(request: pytest.FixtureRequest) -> Iterator[tuple[str, Viewer]]:
    """The address of a viewer behind a proxy; told of its root path or, where that can work, not."""
    strip, told = request.param
    with Viewer(tiny_model(), [png_of(1), png_of(2)], token=TOKEN, root_path=told) as viewer:
        with Proxy(viewer.address, ROOT, strip, keep_host=True) as proxy:
            yield proxy.address, viewer


def test_a_browser_behind_a_proxy(chromium: Any, behind: tuple[str, Viewer]) -> None:
    address, _ = behind
    context, wrong, asked = chromium.new_context(), [], []
    page = context.new_page()
    watch(page, address, wrong)
    page.on("response", lambda r: asked.append((r.status, r.url)) if r.url.startswith("http") else None)
    page.goto(f"{address}?token={TOKEN}&layer=relu")
    page.wait_for_selector("#maps .sheet.ready", timeout=30_000)
    assert page.url == address + "?layer=relu"
    page.get_by_role("button", name="Slow").count()
    page.locator("#file").set_input_files([{"name": "new.png", "mimeType": "image/png", "buffer": png_of(8)}])
    page.wait_for_selector(".thumb[title='new.png']", timeout=20_000)
    cookies = context.cookies()
    assert [one["path"].rstrip("/") for one in cookies] == [ROOT]
    context.close()
    assert wrong == [] and not [one for one in asked if not one[1].startswith(address)]
    assert not [one for one in asked if one[0] not in (200, 201, 202, 303, 304)]


def test_a_proxy_that_names_its_own_host(behind: tuple[str, Viewer]) -> None:
    """TLS before us: the page's origin is https, our Host another. It is told by --allow-host."""
    named = ["https://hub.example"]
    with Viewer(tiny_model(), token=TOKEN, root_path=ROOT, hosts=named) as viewer:
        for host in ("hub.example", "127.0.0.1"):
            for origin, status in (("https://hub.example", 204), ("https://evil.example", 403)):
                connection = http.client.HTTPConnection(urlsplit(viewer.address).netloc, timeout=10)
                headers = BEARER | {"Origin": origin, "Host": host, "Content-Length": "0"}
                connection.request("POST", f"{ROOT}{API}/reset", headers=headers)
                assert connection.getresponse().status == status, (host, origin)
                connection.close()


@pytest.fixture
def below(desk: InProcess) -> FlaskClient:
    """A client of an application that is told of a root path, with a slash too many."""
    app = create_app(desk, token=TOKEN, root_path=ROOT + "/")
    app.wsgi_app = Validated(app.wsgi_app)  # type: ignore[method-assign]
    app.test_client_class = Buffered
    return app.test_client(use_cookies=False)


@pytest.mark.parametrize("prefix", ["", ROOT])
def test_every_address_of_the_page_works_below_it(below: FlaskClient, prefix: str) -> None:
    page = below.get(f"{prefix}/", headers=BEARER)
    links = re.findall(r'(?:src|href)="([^"#]+)"', page.text)
    links = [one for one in links if not one.startswith("data:")]
    assert page.status_code == 200 and len(links) >= 4
    for link in links:
        assert not link.startswith("/"), "relative, so that it stays below"
        where = urljoin(f"http://localhost{prefix}/", link).removeprefix("http://localhost")
        assert below.get(where, headers=BEARER).status_code == 200, link
    job = below.post(
        f"{prefix}{API}/jobs", json={"visualisers": [{"name": "filter-weights"}]}, headers=BEARER
    )
    where = urljoin(f"http://localhost{prefix}{API}/jobs", job.headers["Location"]).removeprefix(
        "http://localhost"
    )
    assert below.get(where, headers=BEARER).status_code == 200


def test_the_root_without_its_slash_leads_to_the_one_with_it(below: FlaskClient) -> None:
    for query, onward in (("", "./8765/"), ("?img=a", "./8765/?img=a")):
        answer = below.get(ROOT + query, headers=BEARER)
        assert answer.status_code == 303 and answer.headers["Location"] == onward
    answer = below.get(f"{ROOT}?token={TOKEN}")
    assert answer.status_code == 303 and answer.headers["Location"] == "./8765"
    assert f"; Path={ROOT};" in answer.headers["Set-Cookie"]
    assert below.get(ROOT).status_code == 401, "the door comes first"


@pytest.mark.parametrize(
    "path", ["/user/ada/proxy/87650/", ROOT + "x", "/user/ada/", ROOT + ROOT + "/x", "//" + ROOT]
)
def test_what_only_looks_like_it(below: FlaskClient, path: str) -> None:
    answer = below.get("/", headers=BEARER, environ_overrides={"PATH_INFO": path})
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", ""),
        ("/", ""),
        ("a", "/a"),
        ("/a/", "/a"),
        ("//a//", "/a"),
        ("/~ada/x.y-z_0@1+", "/~ada/x.y-z_0@1+"),
        ("/ada%40x/%c3%bc", "/ada%40x/%c3%bc"),
    ],
)
def test_root_paths(desk: InProcess, text: str, path: str) -> None:
    client = create_app(desk, token=TOKEN, root_path=text).test_client()
    flags = client.get(f"{path}/?token={TOKEN}").headers["Set-Cookie"].split("; ")
    assert [flag for flag in flags if flag.startswith("Path=")] == ([f"Path={path}"] if path else [])


def test_a_name_that_can_be_written_in_two_ways(desk: InProcess) -> None:
    client = create_app(desk, token=TOKEN, root_path="/u/a%40b").test_client()
    answer = client.get(f"/u/a%40b?token={TOKEN}")
    assert answer.headers["Location"] == "./a%40b" and "; Path=/u/a%40b;" in answer.headers["Set-Cookie"]
    answer = client.get("/u/a%40b", headers=BEARER)
    assert answer.status_code == 303 and answer.headers["Location"] == "./a%40b/"
    assert client.get("/u/a%40b/static/main.js", headers=BEARER, buffered=True).status_code == 200


@pytest.mark.parametrize(
    "text",
    [
        *(
            "/..",
            "/a/../b",
            "/a b",
            "/a?b",
            "/a#b",
            "/a;b",
            "/a//b",
            "/%2e%2e/x",
            "/%2f",
            "/%00",
            "/%ff",
            "/%5c",
        ),
        *("/%61pi", "/%", "/ü", "/a\n", "/api", "/static/x", "http://evil/", "/a\\b", '/a"b', "/."),
    ],
)
def test_what_is_no_root_path(desk: InProcess, text: str) -> None:
    with pytest.raises(UsageError, match="root path"):
        create_app(desk, root_path=text)
