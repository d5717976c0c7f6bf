"""From the cat to one multiplication and back, by clicks and by keys, every number the network's own."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browser import settled, until, watch

import cnnlens
from cnnlens import Probe
from cnnlens.viewer import Viewer

Open = Callable[..., Any]

CARD = "#explain .card"


@pytest.fixture
def probe(lite0: cnnlens.Model, cat: Path) -> Probe:
    """The network's own numbers for the picture that the demo shows first."""
    return Probe(lite0, cat)


def apart(page: Any, visualiser: str) -> tuple[int, int]:
    """Wait for that visualiser's result; the place that it is of, from the address."""
    until(page, f"new URLSearchParams(location.search).get('vis') === '{visualiser}'")
    page.wait_for_selector(CARD)
    settled(page)
    found = re.search(r"s\.place=(\d+)%2C(\d+)", page.url)
    assert found, page.url
    return int(found[1]), int(found[2])


def numbers(page: Any, title: str) -> list[float]:
    """The values written into the first tile under that title, as a person reads them."""
    panel = page.locator(f"{CARD} .panel", has=page.locator("h4", has_text=title)).first
    panel.locator(".values").first.wait_for()
    return [
        float(text.replace("−", "-"))
        for text in panel.locator(".values").first.locator("b").all_inner_texts()
    ]


def told(page: Any) -> dict[str, float]:
    """The sum at the end of a card, row by row."""
    rows = page.locator(f"{CARD} table tbody tr")
    pairs = (row.locator("td").all_inner_texts() for row in rows.all())
    return {words: float(value.replace("−", "-")) for words, value in pairs}


def is_the_networks(page: Any, probe: Probe, place: tuple[int, int]) -> None:
    """The convolution that is shown is that of the stem's map 3, number by number."""
    row, column = place
    window = probe.fed[2 * row : 2 * row + 3, 2 * column : 2 * column + 3, 0].ravel()
    kernel = probe.weights("_conv_stem")["kernel"][..., 0, 3].ravel()
    assert numbers(page, "Window") == pytest.approx(window, rel=6e-3, abs=1e-6)
    assert numbers(page, "Kernel") == pytest.approx(kernel, rel=6e-3, abs=1e-6)
    assert numbers(page, "Products") == pytest.approx(window * kernel, rel=6e-3, abs=1e-6)
    own = float(probe.activations("_conv_stem")[row, column, 3])
    shown = told(page)
    assert shown["the network's own value"] == pytest.approx(own, rel=6e-3)
    assert shown["together"] == pytest.approx(own, rel=6e-3)


def test_by_clicks(visit: Open, probe: Probe) -> None:
    page = visit("?layer=_conv_stem")
    settled(page)
    page.locator("#maps .cell").nth(3).click()  # 1: the map
    page.wait_for_selector("#maps .card .map")
    box = page.locator("#maps .f-raw .stage").bounding_box()
    page.mouse.click(
        box["x"] + box["width"] * 41.5 / 112, box["y"] + box["height"] * 38.5 / 112
    )  # 2: its value
    place = apart(page, "convolution")
    assert place == (38, 41)
    is_the_networks(page, probe, place)
    page.locator(f"{CARD} .sheet .frame-of").first.click()  # 3: a value of the window, back in the picture
    row, column = apart(page, "pixels")
    assert (row, column) == (2 * 38 + 1, 2 * 41 + 1)
    red = numbers(page, "Before")
    shown = probe.pixels[row - 4 : row + 5, column - 4 : column + 5, 0].ravel()
    assert red == pytest.approx(shown, rel=6e-3, abs=1e-3)
    assert numbers(page, "After") == pytest.approx(
        probe.fed[row - 4 : row + 5, column - 4 : column + 5, 0].ravel(), rel=6e-3, abs=1e-3
    )
    page.go_back()  # 4
    assert apart(page, "convolution") == (38, 41)
    page.go_back()  # 5
    page.wait_for_selector("#maps .card .map")


def test_by_keys(visit: Open, probe: Probe) -> None:
    page = visit("?layer=_conv_stem")
    settled(page)
    page.locator("#maps .cell").nth(3).focus()
    page.keyboard.press("Enter")  # 1: the map
    page.wait_for_selector("#maps .card .map")
    page.keyboard.press("Enter")  # 2: into it
    until(page, "document.activeElement.role === 'application'")
    page.keyboard.press("ArrowDown")  # 3: its first value
    page.keyboard.press("Enter")  # 4: the convolution
    place = apart(page, "convolution")
    assert place == (0, 0)
    is_the_networks(page, probe, place)
    page.keyboard.press("m")  # 5: the cat and its map again
    page.wait_for_selector("#maps .card .map")
    assert page.locator("#maps h2").inner_text() == "_conv_stem[3]"


def test_a_value_of_the_window_leads_down_a_layer(visit: Open, probe: Probe) -> None:
    """Hovering marks the same place in window, kernel and products; a click takes that value apart."""
    page = visit("?view=explain&vis=convolution&s.layer=_blocks.0._depthwise_conv&s.unit=3&s.place=20,30")
    settled(page)
    frames = page.locator(f"{CARD} .sheet .frame-of")
    frames.first.scroll_into_view_if_needed()
    box = frames.first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 6, box["y"] + box["height"] / 6)
    until(page, f"document.querySelectorAll('{CARD} .sheet .at').length === 3")
    page.locator(f"{CARD} table").evaluate("(one) => one.id = 'before'")
    page.mouse.click(box["x"] + box["width"] / 6, box["y"] + box["height"] / 6)
    until(page, "location.search.includes('_conv_stem')")
    assert apart(page, "convolution") == (19, 29)
    settled(page)
    own = float(probe.activations("_conv_stem")[19, 29, 3])
    until(page, f"document.querySelector('{CARD} table:not(#before)')?.innerText.includes('together')")
    assert told(page)["the network's own value"] == pytest.approx(own, rel=6e-3)
    assert page.locator("[data-set=place]").input_value() == "19,29", "the form follows"


def test_two_clicks_from_an_empty_page(chromium: Any, lite0: cnnlens.Model, cat: Path) -> None:
    """A model alone: one press opens the browser's own choice of files, and the maps are there."""
    wrong: list[str] = []
    with Viewer(lite0, [], token=False) as viewer:
        context = chromium.new_context(viewport={"width": 1440, "height": 900})
        page = context.new_page()
        watch(page, viewer.address, wrong)
        page.goto(viewer.address)
        page.wait_for_selector("#maps .hint")
        with page.expect_file_chooser() as chooser:
            page.locator("#strip .add").click()  # 1
        chooser.value.set_files(cat)  # 2, in the browser's own window
        page.wait_for_selector("#maps .sheet.ready")
        until(page, "document.querySelectorAll('#predictions button').length === 5")
        assert "Egyptian cat" in page.locator("#predictions").inner_text()
        context.close()
    assert wrong == []
