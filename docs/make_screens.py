"""Photograph the viewer for docs/viewer.md and the gallery: `python docs/make_screens.py`.

Starts the demo itself, opens each screen in headless Chromium by Playwright, and writes
`docs/pictures/viewer-*.png`: wide ones in light and dark, two as a telephone has them.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import Any

from PIL import Image

import cnnlens
from cnnlens.demo import demo_images, demo_model

FOLDER = Path(__file__).parent / "pictures"
WIDE, NARROW = (1440, 900), (390, 844)
MOST, PATIENCE = 300_000, 60

#: Screen → its address, and what stands on the page when it is drawn.
SCREENS = {
    "explore": ("?order=energy", "#maps .sheet.ready"),
    "unit": ("?layer=_blocks.3._swish&unit=6", "#maps .card .map"),
    "convolution": (
        "?view=explain&vis=convolution&s.layer=_conv_stem&s.unit=3&s.place=38,41&run=1",
        "#explain .sheet .values",
    ),
    "explain": (
        "?view=explain&vis=grad-cam,layer-cam,saliency&top=2&run=1",
        ".matrix .card:nth-child(6) .f-over .map",
    ),
    "architecture": ("?view=explain&vis=architecture&run=1", "#explain .diagram"),
    "compare": ("?view=compare&by=grad-cam", "#compare .card:nth-child(3) .f-raw .map"),
    "model": ("?view=model", "#model tbody tr"),
}
#: What a telephone is shown; the tabs are scrolled to the top.
TELEPHONE = {
    "explore": ("?order=energy", "#maps .sheet.ready"),
    "explain": ("?view=explain&vis=grad-cam", "#explain .card .map"),
}


def main() -> None:
    """Photograph every screen."""
    from playwright.sync_api import sync_playwright

    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("no Chromium: the pictures stay as they are")
    FOLDER.mkdir(exist_ok=True)
    with (
        cnnlens.view(demo_model(), demo_images(), token=False, open_browser=False) as viewer,
        sync_playwright() as playwright,
    ):
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        for scheme in ("light", "dark"):
            for name, (query, sign) in SCREENS.items():
                page = opened(chromium, viewer.url + query, sign, WIDE, scheme)
                if name == "convolution":  # what it is about stands below the first map
                    page.evaluate("document.querySelectorAll('#explain .panel')[1].scrollIntoView()")
                if name == "architecture":
                    page.evaluate("document.querySelector('#explain .card').scrollIntoView()")
                    page.evaluate("document.querySelector('.paper').scrollTop = 330")
                write(page, f"viewer-{name}-{scheme}")
        for name, (query, sign) in TELEPHONE.items():
            page = opened(chromium, viewer.url + query, sign, NARROW, "light")
            page.evaluate("document.querySelector('.tabs').scrollIntoView()")
            write(page, f"viewer-{name}-narrow")
        chromium.close()


def opened(chromium: Any, address: str, sign: str, size: tuple[int, int], scheme: str) -> Any:
    """A page that shows all that it was asked for."""
    page = chromium.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    page.goto(address)
    page.wait_for_selector(sign, timeout=1000 * PATIENCE)
    end = time.monotonic() + PATIENCE
    while not page.evaluate(
        "() => document.querySelectorAll('#predictions button').length === 5"
        " && !document.querySelector('main section:not([hidden]) progress')"
        " && [...document.images].every((one) => one.complete || one.loading === 'lazy')"
    ):
        if time.monotonic() > end:
            sys.exit(f"{address} is not done after {PATIENCE} s")
        page.wait_for_timeout(50)
    page.wait_for_timeout(300)  # the last picture is decoded, but not yet drawn
    return page


def write(page: Any, name: str) -> None:
    """Photograph a page and close it; a file that is too large keeps 256 of its colours."""
    file = FOLDER / f"{name}.png"
    page.screenshot(path=str(file))
    page.close()
    with Image.open(file) as taken:
        picture = taken.convert("RGB")
    picture.save(file, optimize=True)
    for dither in (Image.Dither.FLOYDSTEINBERG, Image.Dither.NONE):
        if file.stat().st_size > MOST:
            in_few_colours(picture, dither).save(file, optimize=True)
    print(f"{file.stat().st_size / 1000:4.0f} kB  {file.name}")
    if file.stat().st_size > MOST:
        sys.exit(f"that is more than {MOST / 1000:.0f} kB")


def in_few_colours(picture: Image.Image, dither: Image.Dither) -> Image.Image:
    """The picture on 256 colours: the page's own as they are, the rest for photographs and maps."""
    counted: list[Any] = sorted(picture.getcolors(2**24) or [], reverse=True)[:128]
    rest = picture.quantize(256 - len(counted), Image.Quantize.MAXCOVERAGE).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette([*(channel for _, colour in counted for channel in colour), *rest])
    return picture.quantize(palette=palette, dither=dither)


if __name__ == "__main__":
    main()
