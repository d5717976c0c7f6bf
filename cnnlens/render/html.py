"""Results as HTML that needs nothing else: pictures inside, no script, every word escaped."""

from __future__ import annotations

import base64
import io
import json
import zlib
from html import escape
from typing import TYPE_CHECKING, Any, assert_never

import numpy as np
from PIL import Image

from ..arrays import Array
from ..panels import Bars, Curve, Heatmap, Note, Panel, Picture, Table, Tiles
from .card import draw_panel
from .charts import bar_ends, cell
from .colour import Style, number, style_of

if TYPE_CHECKING:
    from ..result import Result

_CSS = """
.cnnlens{font:14px/1.45 system-ui,sans-serif;margin:0 0 1.5em}.cnnlens img{max-width:100%;height:auto}
.cnnlens h3{font-size:1.05em;margin:.2em 0}.cnnlens table{border-collapse:collapse}
.cnnlens td,.cnnlens th{padding:.1em .6em;text-align:left;font-variant-numeric:tabular-nums}
.cnnlens meter{width:16em}.cnnlens details{color:#667;margin-top:.4em}.cnnlens pre{white-space:pre-wrap}
"""


def draw_html(result: Result, **options: Any) -> str:
    """One result as a fragment: caption, panels, and the facts behind a fold."""
    style = style_of(options)
    facts = json.dumps(result.manifest["facts"], indent=1, ensure_ascii=False, default=str)
    link = result.facts.get("link")
    paper = f' <a href="{escape(link)}">{escape(str(result.facts["paper"]))}</a>' if link else ""
    body = "\n".join(panel_html(panel, result.pixels, style) for panel in result.panels)
    return (
        f'<section class="cnnlens"><style>{_CSS}</style><h3>{escape(result.caption)}</h3>{body}'
        f"<details><summary>How this came to be{paper}</summary><pre>{escape(facts)}</pre></details>"
        "</section>"
    )


def page(title: str, body: str) -> str:
    """A whole page around fragments."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width">{body}</html>\n'
    )


def panel_html(panel: Panel, pixels: Array | None, style: Style) -> str:
    """One panel as HTML: text as text, the rest as a picture with its numbers in words."""
    match panel:
        case Bars():
            return _bars(panel) if len(panel.values) <= 24 else _image(panel, pixels, style)
        case Table():
            return _table(panel)
        case Note():
            return f"<p>{escape(panel.text)}</p>"
        case Heatmap() | Tiles() | Picture() | Curve():
            return _image(panel, pixels, style)
        case _:
            assert_never(panel)


def alt_text(panel: Panel) -> str:
    """What a panel shows, in words and numbers."""
    match panel:
        case Note():
            return panel.text
        case Table():
            return f"table {panel.title}, {len(panel.rows)} rows"
        case _:
            finite = panel.values[np.isfinite(panel.values)]
            ends = (
                f"{number(float(finite.min()))} to {number(float(finite.max()))}"
                if finite.size
                else "no finite value"
            )
            shape = "×".join(map(str, panel.values.shape))
            return f"{panel.title or type(panel).__name__}: {shape} values, {ends}"


def png(image: Image.Image) -> bytes:
    """PNG bytes, made fast rather than small.

    Levels of a map hardly repeat but in runs, so only runs are looked for: five times as fast as looking for
    any repetition, and no larger.
    """
    out = io.BytesIO()
    if image.mode == "P":
        image.save(out, "PNG", compress_level=1, compress_type=zlib.Z_RLE)
    else:
        image.save(out, "PNG", compress_level=1)
    return out.getvalue()


def _image(panel: Panel, pixels: Array | None, style: Style) -> str:
    data = base64.b64encode(png(draw_panel(panel, pixels, style))).decode()
    return f'<p><img alt="{escape(alt_text(panel))}" src="data:image/png;base64,{data}"></p>'


def _bars(panel: Bars) -> str:
    low, high = bar_ends(panel)
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td><meter min="{low}" max="{high}" '
        f'value="{value if np.isfinite(value) else low}"></meter></td><td>{escape(number(float(value)))}</td></tr>'
        for name, value in zip(panel.names, panel.values, strict=True)
    )
    return f"<table><caption>{escape(panel.title)}</caption>{rows}</table>"


def _table(panel: Table) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in panel.columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell(c))}</td>" for c in row) + "</tr>" for row in panel.rows
    )
    return f"<table><caption>{escape(panel.title)}</caption><tr>{head}</tr>{rows}</table>"
