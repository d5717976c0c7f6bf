"""The page in a browser: what a person sees and does. Nothing may leave the origin or complain."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import settled, until
from PIL import Image
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
    assert [href.split("?")[0].split(".")[-1] for href in hrefs] == ["png", "svg", "npz", "json", "html"]
    page.keyboard.press("2")  # another class is explained by itself
    until(page, "document.querySelector('.card h3').textContent.includes('tiger cat')")


SCREENS = [
    "?layer=_blocks.3._swish&order=energy",
    "?layer=_blocks.5._bn1&unit=17&seen=input",
    "?view=explain&vis=occlusion&s.window=0.5&s.stride=0.5&run=1&show=raw",
    "?view=explain&vis=grad-cam,saliency&top=2&share=1&alpha=0.8&colours=cividis",
    "?view=compare&layer=_blocks.3._swish",
    "?view=compare&by=grad-cam&target=tabby&signed=PuOr_r",
    "?view=model",
]


@pytest.mark.parametrize("query", SCREENS)
def test_every_screen_reloads_to_the_same_pixels(visit: Open, query: str) -> None:
    page = visit(query)
    settled(page)
    page.mouse.move(0, 0)
    address, before = page.url, pixels(page)
    page.reload()
    settled(page)
    until(page, f"location.href === {address!r}")
    after = pixels(page)  # Chromium makes pictures smaller not twice alike to the last few levels
    assert np.abs(after - before).max() <= 32 and (after != before).mean() < 1e-3


def pixels(page: Any) -> np.ndarray:
    """What stands on the page."""
    return np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"), np.int16)


def test_back_and_forward_walk_the_screens(visit: Open) -> None:
    page = visit()
    ready(page)
    page.locator("#maps .cell").nth(2).click()
    page.wait_for_selector("#maps .card .map")
    assert page.locator("#maps h2").inner_text() == "_conv_stem[2]" and "unit=2" in page.url
    page.get_by_role("tab", name="Explain").click()
    page.wait_for_selector("#explain .card .map")
    page.get_by_role("tab", name="Model").click()
    assert page.locator("#model").is_visible()
    page.go_back()
    assert page.locator("#explain .card").is_visible()
    page.go_back()
    until(page, "document.querySelector('#maps h2').textContent === '_conv_stem[2]'")
    page.go_back()
    ready(page)
    page.go_forward()
    until(page, "document.querySelector('#maps h2').textContent === '_conv_stem[2]'")
    page.keyboard.press("Escape")
    ready(page)
    until(page, "document.activeElement.dataset.name === '2'")


def test_one_map_is_walked_and_its_place_is_seen(visit: Open) -> None:
    page = visit("?layer=_blocks.3._swish&unit=5")
    page.wait_for_selector("#maps .card .map")
    page.keyboard.press("ArrowRight")
    until(page, "document.querySelector('#maps h2').textContent === '_blocks.3._swish[6]'")
    until(page, "document.querySelector('#maps .panel h4').textContent === '_blocks.3._swish[6]'")
    page.locator("#maps .f-raw .stage").hover()
    until(page, "/^y 2[78], x 2[78] · /.test(document.querySelector('#maps .readout').textContent)")
    box = "document.querySelector('#maps .{} .at').getBoundingClientRect()"
    seen, cell = (page.evaluate(f"{box.format(name)}.width") for name in ("f-photo", "f-raw"))
    assert cell < 12 < seen, "a value of the map, and the field it sees in the picture"
    page.get_by_role("button", name="Explain this channel").click()
    until(page, "document.querySelector('#explain .card h3')?.textContent.includes('_blocks.3._swish[6]')")


def test_several_visualisers_stand_in_columns(visit: Open) -> None:
    page = visit("?view=explain")
    page.wait_for_selector("#explain .card .map")  # what is cheap needs no press
    page.locator("#several").check()
    page.get_by_role("button", name="Saliency", exact=True).click()
    page.locator("[data-state=top]").select_option("2")
    until(page, "document.querySelectorAll('.matrix .card').length === 4")
    until(page, "!document.querySelector('.results.stale')")
    spots = page.locator(".matrix .card").evaluate_all("all => all.map((e) => e.style.gridArea)")
    ends_of = [" / ".join(spot.split(" / ")[:3]) for spot in sorted(spots)]
    assert ends_of == [f"{row} / {column} / span 12" for row in (1, 13) for column in (1, 2)]
    ends = (
        "[...document.querySelectorAll('.matrix .card .bar')].map((e) => e.innerText.split('\\n').join(' '))"
    )
    assert len(set(page.evaluate(ends))) == 4
    page.get_by_role("button", name="shared").click()
    until(page, f"new Set({ends}).size === 2")
    page.get_by_role("button", name="Saliency", exact=True).click()  # and away again
    until(page, "document.querySelectorAll('.results.many .card').length === 2")


def test_two_pictures_are_compared_on_one_scale(visit: Open) -> None:
    page = visit("?view=compare&by=grad-cam")
    settled(page)
    assert page.locator("#compare .card .facts").first.inner_text().startswith("chelsea.png")
    ends = page.locator("#compare .bar").evaluate_all("all => all.map((e) => e.innerText)")
    assert len(ends) == 3 and ends[0] == ends[1] != ends[2]
    page.locator("#compare .f-raw .stage").nth(1).hover()
    words = "[...document.querySelectorAll('#compare .readout')].map((e) => e.textContent)"
    until(page, f"{words}.every((text) => text.startsWith('y 3, x 3 · '))")
    values = [float(text.split(" · ")[1].replace("\N{MINUS SIGN}", "-")) for text in page.evaluate(words)]
    assert values[2] == pytest.approx(values[0] - values[1], abs=0.01)
    marks = page.locator("#compare .f-raw .at").evaluate_all("all => all.map((e) => e.style.inset)")
    assert len(set(marks)) == 1, "the cursor is in all three"
    page.get_by_label("with").select_option(label="rocket.jpg")
    until(page, "document.querySelectorAll('#compare .card .facts')[1]?.textContent.startsWith('rocket')")


def test_the_model_tells_of_itself(visit: Open) -> None:
    page = visit("?view=model")
    told = page.locator("#model").inner_text()
    assert "efficientnet-lite0" in told and "squashed" in told and "torch" in told
    assert page.locator("#model .code").inner_text().startswith("5793442")
    assert page.locator("#model tbody tr").count() > 150 and "cnnlens:" in told
    page.locator("#model tbody a", has_text="_conv_head").first.click()
    ready(page)


def test_jobs_are_listed_and_stopped(visit: Open) -> None:
    page = visit("?view=explain&vis=occlusion&s.stride=0.05&s.window=0.1")
    until(page, "/[0-9]+ forward passes/.test(document.querySelector('.cost').textContent)")
    page.keyboard.press("r")
    until(page, "document.querySelector('.progress progress')")
    page.locator("#jobs-open").click()
    page.locator("#jobs-list").get_by_role("button", name="Stop").click()
    until(page, "document.querySelector('#jobs-list li').textContent.includes('cancelled')")
    page.keyboard.press("Escape")
    until(page, "document.querySelector('.progress').textContent.includes('Stopped')")


@pytest.mark.parametrize("query", ["", "?view=explain&vis=grad-cam,saliency", "?view=compare&by=grad-cam"])
def test_what_is_shown_is_saved(visit: Open, query: str) -> None:
    page = visit(query)
    settled(page)
    count = max(1, page.locator("main section:not([hidden]) .card").count())
    page.keyboard.press("s")
    links = page.locator("#files a").evaluate_all("all => all.map((a) => a.href)")
    assert [link.split("?")[0].split(".")[-1] for link in links] == ["png", "svg", "npz", "json", "html"]
    for link in links:
        assert link.count("id=") == count
        with page.expect_download() as download:
            page.locator(f"#files a[href='{link.removeprefix(page.url.split('?')[0])}']").click()
        assert Path(download.value.path()).stat().st_size > 500


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
    until(page, "document.querySelector('#maps h2').textContent.endsWith('[1]')")
    page.keyboard.press("x")
    assert page.locator("#compare").is_visible()
    page.keyboard.press("i")
    assert page.locator("#model").is_visible()


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
