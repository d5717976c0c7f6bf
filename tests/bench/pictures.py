"""Many maps as one picture: ours, as the viewer serves it, against a grid of matplotlib's axes saved as PNG."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator

import numpy as np
from PIL import Image

from cnnlens import Array, Tiles
from cnnlens.render.colour import LEVELS
from cnnlens.render.html import png
from cnnlens.render.raster import columns_of, draw_tiles
from cnnlens.render.style import Style

from .measure import Row, faster

DPI = 100
CASES = ((512, 14, 300.0), (64, 224, 12.0))  # maps, their side, how many times faster is asked for


def rows(turns: int) -> Iterator[Row]:
    """Both sizes. The peer's grid has as many pixels as it has by itself, 8 inches at 100 to the inch."""
    for count, side, asked in CASES:
        panel = maps(count, side)
        style = Style(count=count)

        def ours(panel: Tiles = panel, style: Style = style) -> bytes:
            return png(draw_tiles(panel, style))

        def theirs(panel: Tiles = panel) -> bytes:
            return matplotlib_grid(panel.values)

        equal = checked(ours(), panel)
        what = f"{count} maps {side}×{side} as a PNG"
        yield faster(what, "matplotlib's subplots", ours, theirs, asked=asked, equal=equal, turns=turns)


def maps(count: int, side: int) -> Tiles:
    """Maps as a ReLU leaves them: smooth, half of each zero, each of another strength."""
    random = np.random.default_rng(0)
    coarse = random.standard_normal((count, -(-side // 4), -(-side // 4)), np.float32)
    smooth = [
        np.asarray(Image.fromarray(one).resize((side, side), Image.Resampling.BICUBIC)) for one in coarse
    ]
    values = np.maximum(np.stack(smooth), 0) * random.uniform(0.1, 1, (count, 1, 1))
    return Tiles(values, [str(i) for i in range(count)], title="maps")


def checked(data: bytes, panel: Tiles) -> str:
    """Every level of the picture against the value it stands for; ValueError where one is another."""
    atlas = np.asarray(Image.open(io.BytesIO(data)))
    count, height, width = panel.values.shape
    columns = columns_of(count, height, width)
    low, high = min(0.0, float(panel.values.min())), float(panel.values.max())
    for i, tile in enumerate(panel.values):
        y, x = i // columns * (height + 1), i % columns * (width + 1)
        meant = np.rint((tile.astype(np.float64) - low) / (high - low) * (LEVELS - 1))
        if not np.array_equal(atlas[y : y + height, x : x + width], meant):
            raise ValueError(f"map {i} is drawn in other levels than its values have")
    return f"{panel.values.size} levels, all equal"


def matplotlib_grid(values: Array) -> bytes:
    """A square grid of axes with an image each, as it is commonly written."""
    from matplotlib import pyplot

    side = math.ceil(math.sqrt(len(values)))
    figure, axes = pyplot.subplots(side, side, figsize=(8, 8))
    for place, axis in enumerate(axes.flat):
        axis.axis("off")
        if place < len(values):
            axis.imshow(values[place], cmap="viridis")
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=DPI)
    pyplot.close(figure)
    return out.getvalue()
