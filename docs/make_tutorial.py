"""Make the pictures of docs/tutorial.md by running its own code: `python docs/make_tutorial.py`.

The page's blocks of Python run from top to bottom, as a reader would run them. Each picture on the page is made by the
block above it, which hands panels to `keep`. What blocks print is written into the page again, so that numbers are told
from the run; tests/test_tutorial.py holds the page's words to them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from make_pictures import scaled
from PIL import Image

import cnnlens
from cnnlens.render.card import draw_panel
from cnnlens.render.pointing import is_written
from cnnlens.render.style import style_of

PAGE = Path(__file__).parent / "tutorial.md"
FOLDER = Path(__file__).parent / "pictures" / "tutorial"
WIDTH, GAP, MOST = 900, 14, 1_500_000
FEW, EXACT = 60_000, 64  #: a file that is larger keeps 256 of its colours, so many of them exactly

_RUN = re.compile(
    r"(?P<head><!-- run -->\n+```python\n(?P<code>.*?)^```$)"
    r"(?P<told>\n+<!-- prints -->\n+```\n(?P<printed>.*?)^```$)?",
    re.M | re.S,
)


def keep(
    name: str,
    *rows: cnnlens.Panel | Sequence[cnnlens.Panel],
    photo: cnnlens.Array | None = None,
    **style: Any,
) -> None:
    """Save panels as the picture `name` of the page: a row each, or several side by side in a row.

    `photo` (h, w, c) in [0, 1] is what heatmaps lie over; `style` are the options of `Result.save`. Numbers that are
    written into a picture are rounded to two decimals.
    """
    chosen = style_of(style)
    drawn = []
    for row in rows:
        panels = row if isinstance(row, Sequence) else (row,)
        side_by_side = _laid([draw_panel(_rounded(one), photo, chosen) for one in panels], across=True)
        drawn.append(scaled(side_by_side, WIDTH))
    FOLDER.mkdir(parents=True, exist_ok=True)
    picture, file = _laid(drawn, across=False), FOLDER / f"{name}.png"
    picture.save(file, optimize=True)
    if file.stat().st_size > FEW:
        _in_few_colours(picture).save(file, optimize=True)


def _in_few_colours(picture: Image.Image) -> Image.Image:
    """The picture on 256 colours, without dither: its most frequent ones as they are, so that white is white, some for
    the photograph (median cut), and some for what is rare, the bright end of a scale (coverage)."""
    counted: list[Any] = sorted(picture.getcolors(2**24) or [], reverse=True)[:EXACT]
    found = [channel for _, colour in counted for channel in colour]
    for method in (Image.Quantize.MAXCOVERAGE, Image.Quantize.MEDIANCUT):
        found += picture.quantize((256 - len(counted)) // 2, method).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette(found[: 3 * 256])
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


def _rounded(panel: cnnlens.Panel) -> cnnlens.Panel:
    if isinstance(panel, (cnnlens.Heatmap, cnnlens.Tiles)) and is_written(panel):
        return dataclasses.replace(panel, values=np.round(panel.values, 2) + 0)  # and no -0
    return panel


def _laid(parts: Sequence[Image.Image], across: bool) -> Image.Image:
    """Pictures side by side, or one under the other."""
    widths, heights, gaps = [p.width for p in parts], [p.height for p in parts], GAP * (len(parts) - 1)
    size = (sum(widths) + gaps, max(heights)) if across else (max(widths), sum(heights) + gaps)
    canvas, at = Image.new("RGB", size, "white"), 0
    for part in parts:
        canvas.paste(part, (at, 0) if across else (0, at))
        at += (part.width if across else part.height) + GAP
    return canvas


def run_page(text: str) -> str:
    """Run every block of a page in order; the page with what they printed."""
    names: dict[str, Any] = {"__name__": "__page__"}

    def ran(block: re.Match[str]) -> str:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(block["code"], str(PAGE), "exec"), names)
        printed = out.getvalue()
        return block["head"] + (f"\n\n<!-- prints -->\n```\n{printed}```" if printed.strip() else "")

    return _RUN.sub(ran, text)


def main() -> None:
    """Run the page; write its pictures and what was printed."""
    text = PAGE.read_text(encoding="utf-8")
    again = run_page(text)
    if again != text:
        PAGE.write_text(again, encoding="utf-8")
        print("what is printed is other than it was: read the page again")
    named = {FOLDER / name for name in re.findall(r"\(pictures/tutorial/([\w-]+\.png)\)", again)}
    for stray in {*FOLDER.glob("*.png")} - named:
        stray.unlink()
    total = sum(path.stat().st_size for path in named)
    print(f"{len(named)} pictures, {total / 1000:.0f} kB")
    if total > MOST:
        raise SystemExit(f"that is more than {MOST / 1000:.0f} kB")


if __name__ == "__main__":
    sys.modules["make_tutorial"] = sys.modules["__main__"]  # the page imports `keep` from here
    main()
