"""What tests of pages in a browser need: waiting, and noticing what goes wrong."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

from cnnlens.viewer.door.security import HEADERS

HALF_A_MINUTE = 30_000

#: The pixels of an image or canvas, RGB, row by row.
PIXELS = """async (element) => {
  for (let i = 0; element.naturalWidth === 0 && i < 600; i++) await new Promise(requestAnimationFrame);
  const canvas = document.createElement('canvas');
  canvas.width = element.naturalWidth ?? element.width;
  canvas.height = element.naturalHeight ?? element.height;
  const context = canvas.getContext('2d');
  context.drawImage(element, 0, 0);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  return [canvas.height, canvas.width, [...data].filter((_, i) => i % 4 < 3)];
}"""


#: Whether the screen that is open has what it is for.
SHOWN = """((open) => open.id === 'model' || open.querySelector('.sheet.ready, .card'))(
  document.querySelector('main > section:not([hidden])'))"""


def until(page: Any, script: str, seconds: float = 20) -> None:
    """Wait until a script says true; the page's own policy forbids Playwright's way, which evaluates text."""
    end = time.monotonic() + seconds
    while not page.evaluate(f"() => Boolean({script})"):
        assert time.monotonic() < end, script
        page.wait_for_timeout(30)


def settled(page: Any) -> None:
    """Wait until what is asked for is shown: nothing is on its way any more, and every picture is drawn."""
    until(page, "document.querySelectorAll('#predictions button').length === 5")
    until(page, "!document.querySelector('main > section:not([hidden]) progress')")
    until(page, "!document.querySelector('main > section:not([hidden])').innerText.includes('Working…')")
    until(page, SHOWN)
    loaded = (
        "one.complete || (one.loading === 'lazy' && !one.closest('#strip'))"  # others may lie out of sight
    )
    until(page, f"[...document.images].every((one) => {loaded})")


def watch(page: Any, home: str, wrong: list[str]) -> None:
    """Note complaints, and whatever leaves the origin `home`."""
    page.on("console", lambda m: wrong.append(f"{m.type}: {m.text}") if _bad(m) else None)
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("response", lambda r: wrong.extend(_unguarded(r, home)))
    page.on("request", lambda r: wrong.append(f"left: {r.url}") if _foreign(r.url, home) else None)
    page.add_init_script(
        "addEventListener('securitypolicyviolation', (e) => console.error('CSP ' + e.blockedURI))"
    )


def _bad(message: Any) -> bool:
    """A complaint; the browser's own line about an answer of 4xx that a test provokes is none."""
    return message.type in ("error", "warning") and "Failed to load resource" not in message.text


def _unguarded(response: Any, home: str) -> list[str]:
    """The headers that an answer lacks; one that a test made up does not say that it is the server's."""
    if _foreign(response.url, home) or response.headers.get("server") != "cnnlens":
        return []
    return [f"no {name}: {response.url}" for name, _ in HEADERS if name.lower() not in response.headers]


def _foreign(url: str, home: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme not in ("data", "blob") and parts.netloc != urlsplit(home).netloc
