"""Make the pictures of docs/tutorial.md by running its own code: `python docs/make_tutorial.py`.

The page's blocks of Python run from top to bottom, as a reader would run them. Each picture on the page is made by the
block above it, which hands panels to `keep`. What blocks print is written into the page again, so that numbers are told
from the run; `--check` writes nothing and fails where the page says other than the run.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from make_pictures import small
from PIL import Image, ImageDraw

import cnnlens
from cnnlens.render.card import draw_panel
from cnnlens.render.style import style_of

PAGE = Path(__file__).parent / "tutorial.md"
FOLDER = Path(__file__).parent / "pictures" / "tutorial"
WIDTH, GAP, MOST = 860, 14, 1_500_000

_RUN = re.compile(
    r"(?P<head><!-- run -->\n+```python\n(?P<code>.*?)^```$)"
    r"(?P<told>\n+<!-- prints -->\n+```\n(?P<printed>.*?)^```$)?",
    re.M | re.S,
)


def keep(
    name: str, *rows: cnnlens.Panel | Sequence[cnnlens.Panel], photo: cnnlens.Array | None = None, **style: Any
) -> None:
    """Save panels as the picture `name` of the page: a row each, or several side by side in a row.

    `photo` (h, w, c) in [0, 1] is what heatmaps lie over; `style` are the options of `Result.save`.
    """
    chosen = style_of(style)
    drawn = []
    for row in rows:
        panels = row if isinstance(row, Sequence) else (row,)
        drawn.append(_laid([draw_panel(panel, photo, chosen) for panel in panels], across=True))
    FOLDER.mkdir(parents=True, exist_ok=True)
    small(_laid(drawn, across=False), WIDTH).save(FOLDER / f"{name}.png", optimize=True)


def _laid(parts: Sequence[Image.Image], across: bool) -> Image.Image:
    """Pictures side by side, or one under the other."""
    wide, high = (max if not across else sum)(p.width for p in parts), (sum if not across else max)(
        p.height for p in parts
    )
    gaps = GAP * (len(parts) - 1)
    canvas = Image.new("RGB", (wide + gaps * across, high + gaps * (not across)), "white")
    at = 0
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
        if bool(printed.strip()) != bool(block["told"]):
            raise SystemExit(f"a block prints, or is said to, and not both:\n{block['code']}")
        return block["head"] + (f"\n\n<!-- prints -->\n```\n{printed}```" if printed.strip() else "")

    return _RUN.sub(ran, text)


def main(arguments: Sequence[str]) -> int:
    """Run the page; write its pictures and what was printed."""
    text = PAGE.read_text(encoding="utf-8")
    os.chdir(PAGE.parent)
    again = run_page(text)
    if "--check" in arguments:
        return 0 if again == text else 1
    if again != text:
        PAGE.write_text(again, encoding="utf-8")
        print("what is printed is other than it was: read the page again")
    named = {FOLDER / Path(one).name for one in re.findall(r"\(pictures/tutorial/([\w-]+\.png)\)", again)}
    for stray in {*FOLDER.glob("*.png")} - named:
        stray.unlink()
    total = sum(path.stat().st_size for path in named)
    print(f"{len(named)} pictures, {total / 1000:.0f} kB")
    return 0 if total <= MOST else 1


if __name__ == "__main__":
    sys.modules["make_tutorial"] = sys.modules["__main__"]  # the page imports `keep` from here
    sys.exit(main(sys.argv[1:]))
