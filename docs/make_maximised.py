"""Draw what channels and classes answer most to on one sheet: `python docs/make_maximised.py`.

Rows are layers of EfficientNet-Lite0, from early to late, and classes; each picture is climbed from noise.
`--channels`, `--steps` and `--side` draw others; `--out FILE` leaves the page's picture as it is.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import cnnlens
from cnnlens.demo import demo_model

PLACE = Path(__file__).parent / "pictures" / "maximised.png"
MOST, COLOURS, NAME, GAP = 400_000, 256, 14, 4
LAYERS = ("_blocks.2", "_blocks.6", "_blocks.10", "_blocks.15")
CLASSES = "340,967,94,980"  # zebra, espresso, hummingbird, volcano


def main() -> None:
    """Climb, row by row, and write the sheet."""
    asked = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    asked.add_argument("--channels", default="0,3,5,7")
    asked.add_argument("--steps", type=int, default=256)
    asked.add_argument("--side", type=int, default=128, help="pixels along a picture")
    asked.add_argument("--out", type=Path, default=PLACE)
    given = asked.parse_args()
    model, rows = demo_model(), []
    for layer in (*LAYERS, ""):
        what = {"what": "channel", "layer": layer, "units": given.channels}
        started = time.perf_counter()
        found = cnnlens.look(
            model, None, "maximise", steps=given.steps, size=given.side,
            **(what if layer else {"what": "class", "units": CLASSES}),
        )  # fmt: skip
        tiles = found.panels[0]
        assert isinstance(tiles, cnnlens.Tiles)
        print(
            layer or "classes", f"{time.perf_counter() - started:.0f} s", *tiles.names, sep="  ", flush=True
        )
        rows.append((layer, tiles))
    drawn = sheet(rows).quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    drawn.save(given.out, optimize=True)
    size = given.out.stat().st_size
    print(f"{given.out}: {size / 1000:.0f} kB")
    assert size <= MOST, f"more than {MOST / 1000:.0f} kB"


def sheet(rows: list[tuple[str, cnnlens.Tiles]]) -> Image.Image:
    """Rows of pictures, what each is above it."""
    side, count = rows[0][1].values.shape[1], max(len(tiles.names) for _, tiles in rows)
    step = side + GAP
    drawn = Image.new("RGB", (count * step - GAP, len(rows) * (step + NAME) - GAP), "white")
    pen, font = ImageDraw.Draw(drawn), ImageFont.load_default(10)
    for row, (layer, tiles) in enumerate(rows):
        for column, (values, name) in enumerate(zip(tiles.values, tiles.names, strict=True)):
            x, y = column * step, row * (step + NAME)
            unit = name.partition(":")[0].partition(",")[0]
            pen.text((x, y), f"{layer.strip('_')} channel {unit}" if layer else unit, "black", font)
            drawn.paste(Image.fromarray(np.asarray(values * 255 + 0.5, np.uint8)), (x, y + NAME))
    return drawn


if __name__ == "__main__":
    main()
