"""What the viewer's tests share: a small network, a desk over it, a client, a browser."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import watch
from flask.testing import FlaskClient
from viewer_guests import with_guests
from viewer_help import API, TOKEN, Buffered, Validated, finished, png_of

import cnnlens
from cnnlens import registry
from cnnlens.testing import tiny_model
from cnnlens.viewer import Desk, InProcess, Loader, Viewer, Worker, create_app

CHROMIUM = "/usr/bin/chromium"


@pytest.fixture(scope="session")
def plugins() -> registry.Registry:
    """Our own visualisers and the guests of this folder."""
    return with_guests()


#: Where every test that has a desk is run with each kind of it.
FOR_BOTH = ("test_viewer_api", "test_viewer_jobs")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Both desks pass the same tests."""
    if "desk" in metafunc.fixturenames and metafunc.module.__name__ in FOR_BOTH:
        metafunc.parametrize("desk", ["in process", "worker"], indirect=True)


@pytest.fixture
def desk(request: pytest.FixtureRequest, tmp_path: Path, plugins: registry.Registry) -> Iterator[Desk]:
    """A desk with the NumPy network and two pictures: a file, and bytes."""
    file = tmp_path / "first <b>.png"
    file.write_bytes(png_of(1))
    images: list[Any] = [file, png_of(2)]
    if getattr(request, "param", "") == "worker":
        worker = Worker(Loader("tiny", tiny_model), images, plugins=with_guests, queue=3)
        worker.open()
        yield worker
        worker.close()
        return
    desk = InProcess(tiny_model(), images, plugins=plugins, queue=3)
    yield desk
    desk.close()


@pytest.fixture
def client(desk: Desk) -> FlaskClient:
    """A client of the whole application, the guard included, which fails on an answer without its headers."""
    app = create_app(desk)
    app.wsgi_app = Validated(app.wsgi_app)  # type: ignore[method-assign]
    app.testing = False  # errors are to be told as in use
    app.test_client_class = Buffered
    return app.test_client()


@pytest.fixture
def image(desk: Desk) -> str:
    """The id of the first picture."""
    return str(desk.images()[0]["id"])


Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(client: FlaskClient) -> Run:
    """Submit a request and wait for the end of its job."""

    def run(*visualisers: str | dict[str, Any], **request: Any) -> dict[str, Any]:
        asks = [{"name": v} if isinstance(v, str) else v for v in visualisers]
        answer = client.post(f"{API}/jobs", json={"visualisers": asks, **request})
        assert answer.status_code == 202, answer.text
        return finished(client, answer)

    return run


@pytest.fixture
def two(run: Run, desk: InProcess) -> tuple[str, str]:
    """The ids of one visualiser's results of both pictures."""
    ids = [one["id"] for one in desk.images()]
    first, second = run("saliency", images=ids)["results"]
    return first["id"], second["id"]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Headless Chromium; missing, it is a visible skip, and in CI a failure."""
    sync_api = pytest.importorskip("playwright.sync_api") if not os.environ.get("CI") else _playwright()
    if not Path(CHROMIUM).exists():
        message = f"no browser at {CHROMIUM}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*flags, "--no-first-run"])
        yield browser
        browser.close()


def _playwright() -> Any:
    from playwright import sync_api

    return sync_api


@pytest.fixture(scope="session")
def demo(lite0: cnnlens.Model) -> Iterator[Viewer]:
    """The demo, served as it is served to users."""
    from cnnlens.demo import demo_images

    with cnnlens.view(lite0, demo_images(), token=TOKEN, open_browser=False) as viewer:
        yield viewer


@pytest.fixture(scope="session")
def demo_url(demo: Viewer) -> str:
    """Where the demo is; it wants the token, which browsers of `visit` have brought."""
    return demo.address


Open = Callable[..., Any]


@pytest.fixture
def visit(chromium: Any, demo: Viewer) -> Iterator[Open]:
    """Open a page of the demo; when the test is over, nothing must have gone wrong on any."""
    contexts: list[Any] = []
    wrong: list[str] = []

    def open_page(query: str = "", width: int = 1440, height: int = 900, scheme: str = "light") -> Any:
        context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        context.request.get(demo.url, max_redirects=0)  # for the cookie
        page = context.new_page()
        watch(page, demo.address, wrong)
        page.goto(demo.address + query)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []
