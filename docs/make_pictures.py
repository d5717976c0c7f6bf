"""Make the pictures of the gallery by running the real thing: `python docs/make_pictures.py`.

The network and the photograph are those of `cnnlens demo`. Each picture is what `Result.save` writes, its
first panel alone, made smaller so that all of them together stay under 600 kB. The viewer is photographed by
Chromium, where there is one.
"""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

import cnnlens
from cnnlens.demo import demo_images, demo_model

FOLDER = Path(__file__).parent / "pictures"
WIDTH, MOST = 700, 600_000

#: The file's name → visualiser, its settings, how it is drawn.
GALLERY: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "class-probabilities": ("class-probabilities", {}, {}),
    "feature-maps": ("feature-maps", {"order": "energy"}, {"count": 12}),
    "filter-weights": ("filter-weights", {"order": "norm", "filters": 24}, {}),
    "saliency": ("saliency", {}, {}),
    "occlusion": ("occlusion", {"window": 0.4, "stride": 0.08}, {}),
    "grad-cam": ("grad-cam", {}, {}),
    "layer-cam": ("layer-cam", {"layer": "_blocks.10"}, {}),
    "lrp": ("lrp", {}, {}),
    "integrated-gradients": ("integrated-gradients", {"baseline": "blur"}, {}),
    "kernel-shap": ("kernel-shap", {}, {}),
    "rise": ("rise", {}, {}),
}
#: Drawn by docs/make_sheet.py and docs/make_maximised.py, and counted there.
SHEETS = ("explanations.png", "maximised.png")
#: Drawn by docs/make_screens.py, for the tour of the viewer.
SCREENS = "viewer-"


def main() -> None:
    """Run every look of the gallery on the cat and write its picture."""
    FOLDER.mkdir(exist_ok=True)
    model = demo_model()
    photograph_the_viewer(model)
    cat = cnnlens.Probe(model, demo_images()[0])
    for name, (visualiser, settings, style) in GALLERY.items():
        result = cnnlens.look(model, cat, visualiser, **settings)
        first = dataclasses.replace(result, panels=result.panels[:1])
        small(first.image(**style)).save(FOLDER / f"{name}.png", optimize=True)
        print(result.caption)
    total = sum(
        path.stat().st_size
        for path in FOLDER.glob("*.png")
        if path.name not in SHEETS and not path.name.startswith(SCREENS)
    )
    print(f"{total / 1000:.0f} kB in {FOLDER}")
    if total > MOST:
        raise SystemExit(f"that is more than {MOST / 1000:.0f} kB")


def photograph_the_viewer(model: cnnlens.Model) -> None:
    """The page as it opens: the cat, the prediction, the maps of the first convolution."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        print("no Chromium: viewer.png stays as it is")
        return
    with (
        cnnlens.view(model, demo_images(), open_browser=False) as viewer,
        tempfile.TemporaryDirectory() as folder,
    ):
        taken = Path(folder) / "viewer.png"
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1180,720"]
        flags += ["--virtual-time-budget=9000", f"--screenshot={taken}", viewer.url]
        subprocess.run([browser, *flags], check=True, capture_output=True, timeout=120, cwd=folder)
        with Image.open(taken) as page:
            small(page.convert("RGB"), 820).save(FOLDER / "viewer.png", optimize=True)


def small(picture: Image.Image, width: int = WIDTH) -> Image.Image:
    """The picture at most `width` pixels wide, on 256 of its own colours, the rare ones kept."""
    shrunk = scaled(picture, width)
    return shrunk.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.FLOYDSTEINBERG)


def scaled(picture: Image.Image, width: int) -> Image.Image:
    """The picture at most so many pixels wide."""
    height = round(picture.height * width / picture.width)
    return picture if picture.width <= width else picture.resize((width, height), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main()
