"""The page for everybody: what axe finds on every screen, in light and dark, wide and narrow."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from typing import Any

import pytest
from browser import settled

Open = Callable[..., Any]

SCREENS = {
    "explore": "",
    "unit": "?unit=3",
    "explain": "?view=explain&vis=grad-cam",
    "matrix": "?view=explain&vis=grad-cam,saliency&top=2",
    "compare": "?view=compare",
    "model": "?view=model",
    "help": "?#help",
    "jobs": "?#jobs",
}
FOUND = """async () => (await axe.run(document, { resultTypes: ['violations'] })).violations
  .filter(({ impact }) => impact === 'serious' || impact === 'critical')
  .map(({ id, help, nodes }) => [id, help, ...nodes.slice(0, 4).map((e) => e.html + ' ' + e.failureSummary)])"""


@pytest.fixture(scope="module")
def axe() -> str:
    """The checker, as its package ships it."""
    package = pytest.importorskip("axe_playwright_python")
    return (resources.files(package) / "axe.min.js").read_text("utf-8")


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 1440), ("light", 360)])
def test_axe_finds_nothing_serious(visit: Open, axe: str, screen: str, scheme: str, width: int) -> None:
    query, _, opened = SCREENS[screen].partition("#")
    page = visit(query, width=width, scheme=scheme)
    settled(page)
    if opened:
        page.locator(f"#{opened}-open").click()
    page.evaluate(axe)
    assert page.evaluate(FOUND) == []
