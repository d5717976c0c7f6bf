"""The page for everybody: what axe finds on every screen, in light and dark, wide and narrow."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from browser import settled
from viewer_help import png_of
from viewer_loaders import Slow

from cnnlens.errors import CannotOpen
from cnnlens.viewer import Viewer
from cnnlens.viewer.process.crossing import Unforeseen

Open = Callable[..., Any]

SCREENS = {
    "explore": "",
    "unit": "?unit=3",
    "explain": "?view=explain&vis=grad-cam",
    "matrix": "?view=explain&vis=grad-cam,saliency&top=2",
    "taken apart": "?view=explain&vis=convolution&s.layer=_conv_stem&s.unit=3&s.place=38,41&run=1",
    "architecture": "?view=explain&vis=architecture&run=1",
    "compare": "?view=compare",
    "model": "?view=model",
    "help": "?#help",
    "jobs": "?#jobs",
}
EACH_WAY = pytest.mark.parametrize(
    ("scheme", "width"), [("light", 1440), ("dark", 1440), ("light", 360), ("dark", 360)]
)
FOUND = """async () => (await axe.run(document, { resultTypes: ['violations'] })).violations
  .filter(({ impact }) => impact === 'serious' || impact === 'critical')
  .map(({ id, help, nodes }) => [id, help, ...nodes.slice(0, 4).map((e) => e.html + ' ' + e.failureSummary)])"""


@pytest.fixture(scope="module")
def axe() -> str:
    """The checker, as its package ships it."""
    package = pytest.importorskip("axe_playwright_python")
    return (resources.files(package) / "axe.min.js").read_text("utf-8")


@pytest.mark.parametrize("screen", SCREENS)
@EACH_WAY
def test_axe_finds_nothing_serious(visit: Open, axe: str, screen: str, scheme: str, width: int) -> None:
    query, _, opened = SCREENS[screen].partition("#")
    page = visit(query, width=width, scheme=scheme)
    settled(page)
    if opened:
        page.locator(f"#{opened}-open").click()
    page.evaluate(axe)
    assert page.evaluate(FOUND) == []


def forgotten(page: Any) -> None:
    """The server answers that it no longer has the result."""
    words = "this result is no longer kept: run it again"
    body = json.dumps({"error": {"type": "UnknownName", "message": words}})
    page.route("**/api/v1/results/*", lambda route: route.fulfill(status=404, body=body))
    page.keyboard.press("]")
    page.wait_for_selector("#maps .said")


def no_picture(page: Any) -> None:
    """Every picture is gone from the page; the server is not told."""
    page.route("**/api/v1/images/*", lambda route: route.fulfill(status=204))
    while page.locator("#photo-words button").count() and page.locator("#photo").is_visible():
        page.locator("#photo-words button").click()
        page.wait_for_timeout(50)
    page.wait_for_selector("#maps .hint")


def refused_file(page: Any) -> None:
    """A file that is no picture."""
    page.locator("#file").set_input_files([{"name": "a.txt", "mimeType": "text/plain", "buffer": b"no"}])
    page.wait_for_selector("#upload-said .said")


#: States of the page that are not an address.
STATES: dict[str, Callable[[Any], Any]] = {
    "an error in its place": forgotten,
    "a file refused": refused_file,
    "no picture": no_picture,
    "a file over the page": lambda page: page.evaluate("document.getElementById('drop').hidden = false"),
    "the save menu": lambda page: page.keyboard.press("s"),
    "a bad setting": lambda page: page.goto(page.url + "?view=explain&vis=occlusion&s.window=-3"),
    "a class that is none": lambda page: page.goto(page.url + "?view=explain&vis=grad-cam&target=unicorn"),
    "what was run before": lambda page: page.goto(page.url + "?view=explain&vis=rise&s.masks=8&run=1"),
}
#: What stands on the page then.
SIGNS = {
    "a bad setting": ".complaint:not(:empty)",
    "a class that is none": ".progress .said",
    "what was run before": ".card .map",
    "a file over the page": "#drop",
    "the save menu": "#files a",
}


@pytest.mark.parametrize("name", STATES)
@EACH_WAY
def test_axe_finds_nothing_serious_in_other_states(
    visit: Open, axe: str, name: str, scheme: str, width: int
) -> None:
    page = visit(width=width, scheme=scheme)
    settled(page)
    STATES[name](page)
    if name in SIGNS:
        page.wait_for_selector(SIGNS[name], timeout=20_000)
    page.evaluate(axe)
    assert page.evaluate(FOUND) == []


@pytest.mark.parametrize("fails", [False, True], ids=["opening", "failed"])
@EACH_WAY
def test_axe_finds_nothing_serious_while_the_model_is_opened(
    chromium: Any, axe: str, tmp_path: Path, fails: bool, scheme: str, width: int
) -> None:
    slow = Slow(tmp_path, CannotOpen("the file is cut short\nfetch it again") if fails else None)
    viewer = Viewer(slow.loader, [png_of(1), png_of(2)], token=False)

    def open_it() -> None:
        with contextlib.suppress(CannotOpen, Unforeseen):
            viewer.open()

    thread = threading.Thread(target=open_it)
    thread.start()
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    try:
        assert slow.begun.wait()
        page = context.new_page()
        page.goto(viewer.url)
        assert "Opening slow" in page.locator("#waiting h2").inner_text()
        if fails:
            slow.go.set()
            page.wait_for_selector("#waiting .said", timeout=20_000)
            page.reload()  # what the server writes is as good as what the page wrote
            page.wait_for_selector("#waiting .said")
        page.evaluate(axe)
        assert page.evaluate(FOUND) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    finally:
        context.close()
        slow.go.set()
        thread.join()
        viewer.close()
