"""Colour maps and the theme change in the browser: nothing is asked for, and the pixels are the server's."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Callable
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import pytest
from browser import PIXELS, until
from flask.testing import FlaskClient
from PIL import Image
from viewer_help import API, BEARER

Open = Callable[..., Any]
EXPLAINED = "?view=explain&vis={}&run=1"


def shown(page: Any, selector: str) -> Any:
    """The pixels of an image or canvas, (h, w, 3)."""
    height, width, values = page.locator(selector).first.evaluate(PIXELS)
    return np.asarray(values, np.uint8).reshape(height, width, 3)


def served(url: str) -> Any:
    """The pixels that the server draws."""
    with urlopen(Request(url, headers=BEARER), timeout=10) as answer:
        return np.asarray(Image.open(io.BytesIO(answer.read())).convert("RGB"))


def requests_of(page: Any) -> list[str]:
    """A list of what the page asks the server for from now on; a blob or data is the page's own."""
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.url) if r.url.startswith("http") else None)
    return asked


def level_source(page: Any, act: Callable[[], Any]) -> str:
    """The address that the levels come from while `act` goes on."""
    with page.expect_request(lambda r: "/panels/0.png" in r.url, timeout=30_000) as found:
        act()
    return str(found.value.url)


def looked(page: Any, selector: str, before: Any) -> Any:
    """The pixels when they are others than before."""
    for _ in range(200):
        now = shown(page, selector)
        if not np.array_equal(now, before):
            return now
        page.wait_for_timeout(20)
    raise AssertionError(f"{selector} did not change")


@pytest.mark.parametrize(
    ("vis", "select", "option"),
    [("grad-cam", "#colours", "inferno"), ("occlusion&s.window=0.5&s.stride=0.5", "#signed", "PuOr_r")],
)
def test_a_heatmap_is_coloured_as_the_server_would(
    visit: Open, demo_url: str, vis: str, select: str, option: str
) -> None:
    page = visit()
    page.wait_for_selector("#maps .sheet.ready", timeout=30_000)
    source = level_source(page, lambda: page.goto(demo_url + EXPLAINED.format(vis)))
    page.wait_for_selector(".f-raw .map", timeout=30_000)
    until(page, "document.querySelector('.f-raw .map').naturalWidth > 1")
    asked = requests_of(page)
    first = shown(page, ".f-raw .map")
    assert np.array_equal(first, served(source))
    page.locator(select).select_option(option)
    second = looked(page, ".f-raw .map", first)
    name = {"#colours": "colours", "#signed": "signed_colours"}[select]
    assert np.array_equal(second, served(f"{source}?{name}={option}"))
    assert np.array_equal(second, shown(page, ".f-over .map")), "the overlay too, by opacity alone"
    stops = page.locator(".legend .ramp").evaluate("e => getComputedStyle(e).backgroundImage")
    ramp = [[int(n) for n in rgb.split(",")] for rgb in re.findall(r"rgb\(([^)]*)\)", stops)]
    assert np.array_equal(ramp, served(f"{demo_url}api/v1/colours/{option}.png")[0, :, :3])
    assert asked == [] and f"={option}" in page.url


def test_a_sheet_and_the_theme(visit: Open, demo_url: str) -> None:
    page = visit()
    source = level_source(page, lambda: page.goto(f"{demo_url}?layer=_conv_stem"))
    page.wait_for_selector("#maps .sheet.ready", timeout=30_000)
    asked = requests_of(page)
    light = shown(page, "#maps .cell canvas")
    height, width = light.shape[:2]
    assert np.array_equal(light, served(source)[:height, :width])
    page.locator("#theme").click()
    dark = looked(page, "#maps .cell canvas", light)
    assert np.array_equal(dark, served(f"{source}&theme=dark")[:height, :width])
    last = f"#maps .cell:nth-child({page.locator('#maps .cell').count()}) canvas"
    assert np.array_equal(
        shown(page, last), corner(served(f"{source}&theme=dark"), page.locator("#maps .cell").count(), light)
    )
    for _ in range(12):  # every colour map there is, by the key for it
        page.keyboard.press("c")
    page.wait_for_timeout(200)
    assert asked == []


def corner(atlas: Any, count: int, tile: Any) -> Any:
    """The last tile of an atlas as wide as the page asks for it."""
    columns = int(np.ceil(np.sqrt(count)))
    y, x = (count - 1) // columns * (tile.shape[0] + 1), (count - 1) % columns * (tile.shape[1] + 1)
    return atlas[y : y + tile.shape[0], x : x + tile.shape[1]]


def test_a_curve_is_drawn_on_either_ground(visit: Open) -> None:
    page = visit(EXPLAINED.format("integrated-gradients") + "&s.steps=8")
    page.wait_for_selector("img.chart", timeout=60_000)
    asked = requests_of(page)
    chart = page.locator("img.chart").first
    chart.evaluate("one => one.decode()")
    light = shown(page, "img.chart")
    page.locator("#theme").click()
    dark = looked(page, "img.chart", light)
    assert light.mean() > 200 > 60 > dark.mean(), (
        "drawn anew on the other ground, and nothing else is asked for"
    )
    assert {url.split("?")[0].split("/")[-1] for url in asked} <= {"1.png", "2.png"}
    assert "from" in str(chart.get_attribute("alt")) or "to" in str(chart.get_attribute("alt"))


def test_no_address_of_a_picture_is_left_behind(visit: Open) -> None:
    page = visit()
    page.add_init_script(
        """window.held = new Set();
        const { createObjectURL: make, revokeObjectURL: free } = URL;
        URL.createObjectURL = (it) => { const made = make.call(URL, it); held.add(made); return made; };
        URL.revokeObjectURL = (it) => { held.delete(it); free.call(URL, it); };"""
    )
    page.goto(page.url.partition("?")[0] + EXPLAINED.format("grad-cam"))
    page.wait_for_selector(".f-raw .map", timeout=30_000)
    for _ in range(20):  # faster than they can be shown
        page.keyboard.press("c")
    until(page, "held.size === 0 && document.querySelector('.f-raw .map').src.startsWith('blob:')")
    assert page.locator(".card .said").count() == 0


def test_a_name_that_is_no_colour_map_is_the_themes_own(visit: Open) -> None:
    page = visit("?colours=rainbow&signed=%3Cb%3E&layer=_swish")
    page.wait_for_selector("#maps .sheet.ready", timeout=30_000)
    odd = shown(page, "#maps .cell canvas")
    assert page.locator("#colours").input_value() == "" and page.locator("#signed").input_value() == ""
    plain = visit("?layer=_swish")
    plain.wait_for_selector("#maps .sheet.ready", timeout=30_000)
    assert np.array_equal(odd, shown(plain, "#maps .cell canvas"))


@pytest.mark.parametrize("damage", ["cut", "noise", "empty", "refused"])
def test_a_damaged_picture_is_told_in_its_place(visit: Open, damage: str) -> None:
    def damaged(route: Any) -> None:
        if damage == "refused":
            body = '{"error": {"type": "UnknownName", "message": "it was forgotten"}}'
            route.fulfill(status=404, content_type="application/json", body=body)
            return
        data = route.fetch().body()
        spoilt = {"cut": data[:700], "noise": data[:60] + bytes(range(256)) * 4 + data[1084:], "empty": b""}
        route.fulfill(status=200, content_type="image/png", body=spoilt[damage])

    page = visit()
    page.wait_for_selector("#maps .sheet.ready", timeout=30_000)
    page.route("**/panels/0.png*", damaged)
    page.keyboard.press("]")
    page.wait_for_selector("#maps .said", timeout=30_000)
    words = page.locator("#maps .said").inner_text()
    assert ("forgotten" if damage == "refused" else "damaged") in words
    page.unroute("**/panels/0.png*")
    page.keyboard.press("]")  # and the page goes on
    page.wait_for_selector("#maps .sheet.ready", timeout=30_000)


def test_what_is_not_finite_keeps_its_colour(client: FlaskClient, run: Any, image: str) -> None:
    """The palette that the page writes is laid out as the server's: levels, gap, what is not finite."""
    from cnnlens.render.colour import palette
    from cnnlens.viewer.results import colour_data

    id = run("everything", images=[image])["results"][0]["id"]
    data = client.get(f"{API}/results/{id}/panels/0.png?signed_colours=berlin&theme=dark").data
    at = data.index(b"PLTE")
    chunk = data[at : at + 772]
    assert int.from_bytes(data[at - 4 : at], "big") == 768, (
        "all 256 colours, so that others fit in their place"
    )
    assert int.from_bytes(data[at + 772 : at + 776], "big") == zlib.crc32(chunk)
    told = colour_data()
    gap = tuple(told["themes"]["dark"]["gap"])
    assert chunk[4:] == palette("berlin", gap)
    assert chunk[4 + 759 :][:6] == bytes([*gap, *told["odd"]])
    assert set(told["tables"]) == {*told["sequential"], *told["diverging"]}
