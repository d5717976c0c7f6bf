"""Draw every explanation on one sheet, to be looked at: `python docs/make_sheet.py`.

Rows are methods, columns targets: the cat for "Egyptian cat"; then the cat above a cup of espresso, which the
network finds about as likely, for the one, for the other, and for the one rather than the other. The photographs are
scikit-image's. `--beside FILE` puts another in the place of the espresso, `--cell 224 --out big.png` draws it larger.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import cnnlens
from cnnlens.demo import demo_images, demo_model
from cnnlens.render.raster import heatmap_limits, overlay
from cnnlens.render.style import Style

PLACE = Path(__file__).parent / "pictures" / "explanations.png"
MOST, COLOURS, BLOCKS, NAME, GAP = 250_000, 96, 2, 12, 2
CAT = "Egyptian cat"
#: Less than the default where that takes a minute.
SLOW: dict[str, dict[str, Any]] = {
    "rise": {"masks": 500}, "lime": {"samples": 400}, "kernel-shap": {"samples": 400}, "smoothgrad": {"samples": 10},
    "gradient-shap": {"samples": 16}, "integrated-gradients": {"steps": 20}, "score-cam": {"channels": 64},
    "extremal": {"steps": 100},
}  # fmt: skip


def main() -> None:
    """Look with every method and write the sheet."""
    asked = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    asked.add_argument("--beside", type=Path, help="a picture to stand below the cat")
    asked.add_argument("--cell", type=int, default=72, help="pixels along a cell")
    asked.add_argument("--only", nargs="+", help="these methods alone")
    asked.add_argument("--out", type=Path, default=PLACE)
    given = asked.parse_args()
    model = demo_model()
    both = below(Image.open(demo_images()[0]), Image.open(given.beside) if given.beside else None)
    pair = cnnlens.Probe(model, both)
    other = model.class_name(cnnlens.Probe(model, given.beside).target.index) if given.beside else "espresso"
    columns = [(pair, target) for target in (CAT, other, f"{CAT} - {other}")]
    columns.insert(0, (cnnlens.Probe(model, demo_images()[0]), CAT))
    methods = [
        method for method in cnnlens.visualisers()
        if (method.by_target or method.name == "eigen-cam") and (not given.only or method.name in given.only)
    ]  # fmt: skip
    rows = list(looked(model, methods, columns, given.cell))
    drawn = contact_sheet(rows, [target for _, target in columns], given.cell)
    if given.out == PLACE:
        drawn = drawn.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    drawn.save(given.out, optimize=True)
    print(f"{given.out}: {given.out.stat().st_size / 1000:.0f} kB")
    if given.out == PLACE and PLACE.stat().st_size > MOST:
        raise SystemExit(f"that is more than {MOST / 1000:.0f} kB")


def below(cat: Image.Image, other: Image.Image | None) -> Image.Image:
    """The cat above something else, half the square each; an espresso if nothing else is given."""
    if other is None:
        espresso = next(path for path in demo_images() if path.stem == "coffee")
        other = Image.open(espresso).crop((100, 20, 500, 380))
    both = Image.new("RGB", (224, 224))
    for top, half in ((0, cat.crop((40, 20, 440, 270))), (112, other)):
        both.paste(half.convert("RGB").resize((224, 112), Image.Resampling.BICUBIC), (0, top))
    return both


def looked(
    model: cnnlens.Model, methods: Sequence[Any], columns: Sequence[tuple[cnnlens.Probe, str]], cell: int
) -> Iterator[tuple[str, list[Image.Image]]]:
    """Of each method its name and its first heatmap over the picture, a cell for each target."""
    for method in methods:
        started, cells = time.perf_counter(), []
        for probe, target in columns:
            result = cnnlens.look(model, probe, method, target=target, **SLOW.get(method.name, {}))
            heatmap = next(panel for panel in result.panels if isinstance(panel, cnnlens.Heatmap))
            cells.append(overlay(shrunk(heatmap, cell), probe.pixels, Style(), (cell, cell)))
        print(f"{method.name}: {time.perf_counter() - started:.1f} s")
        yield method.name, cells


def shrunk(heatmap: cnnlens.Heatmap, cell: int) -> cnnlens.Heatmap:
    """A map of pixels at the size of a cell, of each block what is largest either way: a mean would be nothing."""
    values = heatmap.values
    for axis, side in enumerate(values.shape):
        if side > cell:
            starts = np.arange(cell) * side // cell
            ends = [of.reduceat(values, starts, axis) for of in (np.maximum, np.minimum)]
            values = np.where(-ends[1] > ends[0], ends[1], ends[0])
    return dataclasses.replace(heatmap, values=values, limits=heatmap_limits(heatmap))


def contact_sheet(
    rows: Sequence[tuple[str, list[Image.Image]]], targets: Sequence[str], cell: int
) -> Image.Image:
    """Rows of cells under the names of the targets, the names of the methods above them, in blocks."""
    high, step, wide = math.ceil(len(rows) / BLOCKS), cell + NAME + GAP, len(targets) * (cell + GAP) + 3 * GAP
    sheet = Image.new("RGB", (BLOCKS * wide, high * step + 2 * NAME), "white")
    pen, letters = ImageDraw.Draw(sheet), ImageFont.load_default(NAME - 2)
    for block in range(BLOCKS):
        for place, target in enumerate(targets):
            pen.text((block * wide + place * (cell + GAP), 2), target.replace(CAT, "cat"), "black", letters)
    for number, (name, cells) in enumerate(rows):
        left, top = number // high * wide, number % high * step + NAME + 4
        pen.text((left, top), name, "black", letters)
        for place, one in enumerate(cells):
            sheet.paste(one, (left + place * (cell + GAP), top + NAME))
    return sheet


if __name__ == "__main__":
    main()
