"""The page in a browser: what a person sees and does. Nothing may leave the origin or complain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browser import until
from viewer_help import png_of

Open = Callable[..., Any]

#: The standard deviation of the pixels of each map on the sheet.
SPREAD = """() => [...document.querySelectorAll('#maps .cell canvas')].map((canvas) => {
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const mean = data.reduce((a, b) => a + b) / data.length;
  return Math.sqrt(data.reduce((a, b) => a + (b - mean) ** 2, 0) / data.length);
})"""


def ready(page: Any) -> None:
    """Wait until the maps are drawn."""
    page.wait_for_selector("#maps .sheet.ready", timeout=20_000)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_without_a_click(visit: Open, scheme: str) -> None:
    page = visit(scheme=scheme)
    ready(page)
    assert page.locator("#photo").evaluate("e => e.complete && e.naturalWidth > 100")
    assert page.locator("#photo-words").inner_text().startswith("chelsea.png")
    rows = page.locator("#predictions .bar-row").all_inner_texts()
    assert len(rows) == 5 and "Egyptian cat" in rows[0]
    assert float(rows[0].split()[-1]) == pytest.approx(0.77, abs=0.02)
    assert page.locator("#maps h2").inner_text() == "_conv_stem"
    spread = page.evaluate(SPREAD)
    assert len(spread) == 32 and sum(s > 3 for s in spread) > 8
    assert page.locator("#maps .cell").first.get_attribute("aria-label").startswith("_conv_stem 0, ")
    assert page.locator("#maps .legend .num").all_inner_texts()[0][0] == "\N{MINUS SIGN}"
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(20, 22, 26)")


def test_grad_cam_by_click(visit: Open) -> None:
    page = visit()
    page.get_by_role("tab", name="Explain").click()
    page.get_by_role("button", name="Grad-CAM", exact=True).click()
    assert page.locator(".cost").inner_text() in ("1 forward pass + 1 backward pass", "")
    page.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_selector(".card .map", timeout=20_000)
    assert "Egyptian cat" in page.locator(".card h3").inner_text()
    shown = page.locator(".f-raw .map")
    shown.evaluate("e => e.decode()")
    assert shown.evaluate("e => [e.naturalWidth, e.naturalHeight]") == [7, 7]
    assert page.locator(".card .legend .num").count() == 2
    page.locator(".f-raw .stage").hover()
    until(page, "document.querySelector('.card .readout').textContent.startsWith('y ')")
    hrefs = page.locator(".files a").evaluate_all("all => all.map((a) => a.getAttribute('href'))")
    assert [href.split("?")[0].split(".")[-1] for href in hrefs] == ["png", "npz", "html", "json", "svg"]
    page.keyboard.press("2")  # another class is explained by itself
    until(page, "document.querySelector('.card h3').textContent.includes('tiger cat')")


def test_the_address_brings_the_state_back(visit: Open) -> None:
    page = visit()
    ready(page)
    page.locator(".thumb").nth(1).click()
    page.locator("#layers button", has_text="_blocks").first.or_(
        page.locator("#layers button").nth(6)
    ).click()
    page.get_by_role("button", name="strength").click()
    page.wait_for_selector("#maps .sheet.ready")
    page.locator("#predictions .bar-row").nth(1).click()
    page.locator("#maps .cell").nth(2).click()
    page.wait_for_selector("#unit[open]")
    until(page, "document.querySelectorAll('#predictions button').length === 5")
    until(page, "document.querySelector('#target').value !== ''")
    before = told(page)
    page.reload()
    page.wait_for_selector("#unit[open]")
    until(page, "document.querySelectorAll('#predictions button').length === 5")
    assert told(page) == before
    page.keyboard.press("Escape")
    assert page.locator("#unit[open]").count() == 0 and "unit=" not in page.url
    page.go_back()
    page.wait_for_selector("#unit[open]")


def told(page: Any) -> list[str]:
    """What the page says it shows."""
    places = ["#maps h2", "#unit h2", "#photo-words", "[aria-current] .name", "#maps [aria-pressed=true]"]
    return [" ".join(page.locator(place).all_inner_texts()) for place in places] + [
        page.locator("#target").input_value(), page.locator("#unit .stats").inner_text(),
    ]  # fmt: skip


def test_upload_drop_and_what_is_no_picture(visit: Open, tmp_path: Path) -> None:
    page = visit()
    ready(page)
    count = page.locator(".thumb").count()
    words = tmp_path / "words.txt"
    words.write_text("no picture")
    page.locator("#file").set_input_files(words)
    page.wait_for_selector("#upload-said .said")
    assert "words.txt is not a picture" in page.locator("#upload-said").inner_text()
    assert page.locator(".thumb").count() == count
    page.locator("#file").set_input_files(
        [{"name": "<i>new.png", "mimeType": "image/png", "buffer": png_of(8)}]
    )
    until(page, "document.querySelector('#photo-words').textContent.includes('<i>new.png')")
    assert page.locator("#upload-said .said").count() == 0 and page.locator(".thumb").count() == count + 1
    page.evaluate(
        """(bytes) => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], 'dropped.png', { type: 'image/png' }));
          for (const type of ['dragenter', 'dragover', 'drop']) {
            const more = { dataTransfer: data, bubbles: true, cancelable: true };
            document.body.dispatchEvent(new DragEvent(type, more));
          }
        }""",
        list(png_of(9)),
    )
    until(page, "document.querySelector('#photo-words').textContent.includes('dropped.png')")
    ready(page)
    for name in ("dropped.png", "<i>new.png"):
        page.locator(f".thumb[title='{name}']").click()
        page.get_by_role("button", name=f"Remove {name}").click()
    until(page, f"document.querySelectorAll('.thumb').length === {count}")


def test_the_keyboard_alone(visit: Open) -> None:
    page = visit()
    ready(page)
    page.keyboard.press("]")
    until(page, "document.querySelector('#maps h2').textContent === '_bn0'")
    page.keyboard.press("[")
    until(page, "document.querySelector('#maps h2').textContent === '_conv_stem'")
    page.keyboard.press("ArrowRight")
    until(page, "document.querySelector('#photo-words').textContent.startsWith('coffee')")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "filter"
    page.keyboard.type("conv_head")
    until(page, "document.querySelector('#layer-count').textContent.startsWith('2 of')")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.wait_for_selector("#help[open]")
    page.keyboard.press("Escape")
    page.keyboard.press("e")
    assert page.locator("#explain").is_visible()
    page.keyboard.press("d")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.keyboard.press("m")
    ready(page)
    page.locator("#maps .cell").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.dataset.name") == "1"
    page.keyboard.press("Enter")
    page.wait_for_selector("#unit[open]")
    page.keyboard.press("ArrowRight")
    until(page, "document.querySelector('#unit h2').textContent.endsWith('[2]')")


@pytest.mark.parametrize(
    "query", ["", "?view=explain&vis=grad-cam&run=1", "?unit=1", "?view=explain&vis=filter-weights&run=1"]
)
def test_320_pixels_are_enough(visit: Open, query: str) -> None:
    page = visit(query, width=320, height=700)
    page.wait_for_selector(".card, #maps .sheet.ready", timeout=20_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    outside = """all => all.filter((e) => e.getBoundingClientRect().right > 321 && e.offsetParent)
      .map((e) => e.outerHTML)"""
    assert page.locator("main *, .side *").evaluate_all(outside) == []


def test_a_long_job_is_seen_and_stopped(visit: Open) -> None:
    page = visit("?view=explain&vis=occlusion&s.stride=0.05&s.window=0.1")
    until(page, "/[0-9]+ forward passes/.test(document.querySelector('.cost').textContent)")
    page.get_by_role("button", name="Run", exact=True).click()
    until(page, "/ of [0-9]+ passes/.test(document.querySelector('.progress').textContent)")
    page.get_by_role("button", name="Stop", exact=True).click()
    until(page, "document.querySelector('.progress').textContent.includes('Stopped')")
    assert page.get_by_role("button", name="Run", exact=True).is_visible()


def test_a_setting_out_of_range_is_told_in_its_place(visit: Open) -> None:
    page = visit("?view=explain&vis=occlusion&s.window=-3")
    until(page, "document.querySelector('.complaint').textContent.includes('window')")
    page = visit("?view=explain&vis=grad-cam&target=unicorn&run=1")
    until(page, "document.querySelector('.progress').textContent.includes('unicorn')")


def test_nothing_jumps_while_maps_arrive(visit: Open) -> None:
    page = visit("?layer=_blocks.5._bn1")
    page.evaluate(
        """window.moved = 0;
        new PerformanceObserver((list) => { for (const e of list.getEntries()) window.moved += e.value; })
          .observe({ type: 'layout-shift', buffered: true })"""
    )
    ready(page)
    page.wait_for_timeout(300)
    assert page.evaluate("window.moved") < 0.02
