"""What a person waits for: the first page against the model itself, and maps in other colours."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

from .measure import TURNS, Row, row_of

DEMO = [sys.executable, "-m", "cnnlens", "demo", "--no-open", "--no-token", "--port", "0"]
CHROMIUM = "/usr/bin/chromium"
#: Milliseconds from a change of the colour map until a canvas of the sheet has other pixels.
RECOLOUR = """async (name) => {
  const canvas = document.querySelector('#maps .cell canvas');
  const context = canvas.getContext('2d');
  const pixels = () => context.getImageData(0, 0, canvas.width, canvas.height).data
    .reduce((a, b) => (a * 31 + b) | 0, 0);
  const before = pixels();
  const select = document.querySelector('#colours');
  const begun = performance.now();
  select.value = name;
  select.dispatchEvent(new Event('change'));
  while (pixels() === before) await new Promise((next) => setTimeout(next, 0));
  return performance.now() - begun;
}"""


#: Milliseconds that a person waits for each, and the most that is promised.
PROMISED = {
    "the page, its picture and prediction, warm": 300,
    "a layer's sheet that nobody looked at before": 1000,
    "an occlusion's first word on how far it is": 500,
    "that occlusion stopped": 1000,
}


def rows(turns: int = TURNS) -> Iterator[Row]:
    """First page against open model, from one start of the demo each; the colours; then what is promised."""
    starts = [first_page_and_model() for _ in range(turns)]
    yield _row("first page of the demo", "the model is open", starts, "the page was there before the model")
    changes = recolourings(turns)
    if changes:
        yield _row(
            "32 maps 112×112 in other colours",
            "the server's half of asking for them",
            changes,
            "pixels did change",
        )

    waited = waits(turns)
    for what, most in PROMISED.items() if waited else ():
        pairs = [(one[what], most / 1000) for one in waited]
        yield _row(f"{what}, EfficientNet-Lite0", f"{most} ms", pairs, "seen", "cost", 1.0)


def waits(turns: int) -> list[dict[str, float]]:
    """What a person waits for in the demo, as `cnnlens demo` serves it: seconds, by what."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return []
    process = subprocess.Popen(DEMO, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        process.stdout.readline()  # "cnnlens shows …"
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
            )
            page = browser.new_page()
            page.goto(url)
            page.wait_for_selector("#maps .sheet.ready", timeout=60_000)
            layers = page.locator("#layers button:not(.flat)")
            return [_waited(page, url, layers.nth(5 + 7 * turn)) for turn in range(turns)]
    finally:
        process.kill()
        process.wait()


def _waited(page: Any, url: str, layer: Any) -> dict[str, float]:
    page.goto("about:blank")
    predicted, photo = (
        "querySelectorAll('#predictions .num').length === 5",
        "querySelector('#photo').naturalWidth",
    )
    there = f"document.{predicted} && document.{photo}"
    seconds = [_until(page, lambda: page.goto(url, wait_until="commit"), there)]
    page.wait_for_selector("#maps .sheet.ready")
    name = layer.get_attribute("data-name")
    ready = f"document.querySelector('#maps h2').textContent === '{name}' && document.querySelector('#maps .ready')"
    seconds.append(_until(page, layer.click, ready))
    page.goto(f"{url}?view=explain&vis=occlusion&s.stride=0.03&s.window=0.1")
    page.wait_for_function("/passes/.test(document.querySelector('.cost').textContent)")
    press = page.locator("[data-part=run]").click
    seconds.append(_until(page, press, "document.querySelector('.progress').textContent !== ''"))
    page.wait_for_timeout(700)
    over = "document.querySelector('.progress').textContent.includes('Stopped')"
    seconds.append(_until(page, press, over))
    return dict(zip(PROMISED, seconds, strict=True))


def _until(page: Any, act: Callable[[], object], script: str) -> float:
    begun = time.perf_counter()
    act()
    while not page.evaluate(f"() => Boolean({script})"):
        time.sleep(0.005)
    return time.perf_counter() - begun


def first_page_and_model() -> tuple[float, float]:
    """Seconds from the start of `cnnlens demo` to its first page, and to its model being open."""
    begun = time.perf_counter()
    process = subprocess.Popen(DEMO, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        with urllib.request.urlopen(url, timeout=60) as answer:
            if b"Opening" not in answer.read():
                raise ValueError("the first page came after the model")
        page = time.perf_counter() - begun
        process.stdout.readline()  # "cnnlens shows …"
        return page, time.perf_counter() - begun
    finally:
        process.kill()
        process.wait()


def recolourings(turns: int) -> list[tuple[float, float]]:
    """Seconds of a change in the browser, and of asking a server for the same sheet in those colours."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return []
    from cnnlens.demo import demo_images, demo_model
    from cnnlens.viewer import Viewer

    with Viewer(demo_model(), demo_images(), token=False) as viewer, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        asked: list[str] = []
        page.on("request", lambda r: asked.append(r.url) if "/panels/" in r.url else None)
        page.goto(viewer.url + "?layer=_swish")  # its values are unsigned
        page.wait_for_selector("#maps .sheet.ready", timeout=60_000)
        found = [
            _change(page, asked[0], name) for name in ("magma", "inferno", "turbo", "gray", "jet") * turns
        ]
        browser.close()
    return found[: 3 * turns]


def _change(page: Any, source: str, name: str) -> tuple[float, float]:
    ours = page.evaluate(RECOLOUR, name) / 1000
    begun = time.perf_counter()
    with urllib.request.urlopen(f"{source}&colours={name}", timeout=10) as answer:
        answer.read()
    return ours, time.perf_counter() - begun


def _row(
    what: str,
    against: str,
    pairs: list[tuple[float, float]],
    equal: str,
    kind: str = "faster",
    asked: float | None = None,
) -> Row:
    ours, theirs = map(list, zip(*pairs, strict=True))
    return row_of(what, against, kind, asked, {"ours": ours, "theirs": theirs}, equal)
