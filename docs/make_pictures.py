"""Make the pictures of the gallery by running the real thing: `python docs/make_pictures.py`.

The network and the photograph are those of `cnnlens demo`. Each picture is what `Result.save` writes, its
first panel alone, made smaller so that all of them together stay under 600 kB.
"""

from __future__ import annotations

import dataclasses
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
}


def main() -> None:
    """Run every look of the gallery on the cat and write its picture."""
    FOLDER.mkdir(exist_ok=True)
    cat = cnnlens.Probe(demo_model(), demo_images()[0])
    for name, (visualiser, settings, style) in GALLERY.items():
        result = cnnlens.look(cat.model, cat, visualiser, **settings)
        first = dataclasses.replace(result, panels=result.panels[:1])
        small(first.image(**style)).save(FOLDER / f"{name}.png", optimize=True)
        print(result.caption)
    total = sum(path.stat().st_size for path in FOLDER.glob("*.png"))
    print(f"{total / 1000:.0f} kB in {FOLDER}")
    if total > MOST:
        raise SystemExit(f"that is more than {MOST / 1000:.0f} kB")


def small(picture: Image.Image) -> Image.Image:
    """The picture at most WIDTH pixels wide, on 256 of its own colours, the rare ones kept."""
    if picture.width > WIDTH:
        size = WIDTH, round(picture.height * WIDTH / picture.width)
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    return picture.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.FLOYDSTEINBERG)


if __name__ == "__main__":
    main()
