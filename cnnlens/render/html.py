"""Results as fragments of HTML that need nothing else: pictures inside, no script, every word escaped.

Words, numbers and scales stay text, so they can be read, copied and made larger; only values become pictures.
"""

from __future__ import annotations

import base64
import io
import zlib
from html import escape
from importlib import resources
from typing import TYPE_CHECKING, assert_never

import numpy as np
from PIL import Image

from ..arrays import Array
from ..diagram import Diagram
from ..panels import Bars, Curve, Heatmap, Limits, Note, Panel, Picture, Table, Tiles, panel_array
from .card import draw_panel, headline, heatmap_words, tiles_words, with_unit
from .colour import LEVELS, brief, number, tables
from .diagram import diagram_tree
from .pointing import Box, is_written, outlines_of
from .raster import (
    draw_each,
    draw_heatmap,
    draw_picture,
    heatmap_limits,
    overlay,
    pixels_image,
    shown_tiles,
    tiles_scale,
)  # fmt: skip
from .style import Style, style_of
from .trees import MOST_BARS, bars_tree, markup, paper_tree, table_tree
from .words import alt_text, diagram_words

if TYPE_CHECKING:
    from ..result import Result

CSS = resources.files(__package__).joinpath("fragment.css").read_text("utf-8")
STOPS = 29  #: colours of a colour bar; between them the browser goes straight


def draw_html(result: Result, **options: object) -> str:
    """One result as a fragment that brings its own look; `options` are those of `Style`."""
    return f'<section class="cnnlens"><style>{CSS}</style>{body_html(result, style_of(options))}</section>'


def body_html(result: Result, style: Style) -> str:
    """A result's caption, panels with their numbers, and how it came to be, behind a fold."""
    paper = paper_tree(result.facts)
    cited = f"<p>{markup(paper)}</p>" if paper else ""
    panels = "\n".join(panel_html(panel, result.pixels, style) for panel in result.panels)
    return (
        f"<h3>{escape(headline(result))}</h3>{panels}"
        f"<details><summary>How this came to be</summary>{cited}"
        f'<pre class="manifest">{escape(result.manifest_text(indent=1))}</pre></details>'
    )


def panel_html(panel: Panel, pixels: Array | None, style: Style) -> str:
    """One panel as HTML: text as text, values as pictures a pixel a value, with their scale and numbers."""
    match panel:
        case Heatmap():
            odd = int((~np.isfinite(panel.values)).sum())
            return _figure(heatmap_words(panel, odd), _heatmap(panel, pixels, style), panel)
        case Tiles():
            shown = len(shown_tiles(panel, style))
            return _figure(tiles_words(panel, shown), _tiles(panel, style), panel)
        case Picture():
            drawn = _over(_img(draw_picture(panel), alt_text(panel)), outlines_of(panel), panel.values.shape)
            return _figure(panel.title, f'<div class="maps of1">{drawn}</div>', panel)
        case Bars():
            if len(panel.values) > MOST_BARS:
                return _figure("", _drawn(panel, pixels, style), panel)
            return _figure(with_unit(panel.title, panel.unit), markup(bars_tree(panel)), panel)
        case Curve():
            return _figure("", _drawn(panel, pixels, style), panel)
        case Table():
            return _figure(panel.title, markup(table_tree(panel)), panel)
        case Diagram():
            return _figure(
                diagram_words(panel), markup(diagram_tree(panel, alt_text(panel), theme=style.theme)), panel
            )
        case Note():
            return f'<p class="note">{escape(panel.text)}</p>'
        case _:
            assert_never(panel)


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


def _figure(words: str, body: str, panel: Panel) -> str:
    caption = f"<figcaption>{escape(words)}</figcaption>" if words else ""
    return f"<figure>{caption}{body}{_numbers(panel)}</figure>"


def _heatmap(panel: Heatmap, pixels: Array | None, style: Style) -> str:
    """The photograph, the map over it and the map, or what of these the style wants; and the scale."""
    shape = panel.values.shape if pixels is None else pixels.shape
    levels = draw_heatmap(panel, style)
    drawn = [_img(levels, alt_text(panel), shape)]
    if pixels is not None and style.show != "raw":
        over = overlay(panel, pixels, style, (pixels.shape[1], pixels.shape[0]))
        laid = _img(over, f"over the picture, {alt_text(panel)}", smooth=True)
        photo = _img(pixels_image(pixels), "the picture as the model saw it", smooth=True)
        drawn = [laid] if style.show == "overlay" else [photo, laid, *drawn]
    if is_written(panel) and style.show != "overlay":
        drawn[-1] += _written(panel.values, levels)
    drawn = [_over(one, outlines_of(panel), panel.values.shape) for one in drawn]
    maps = f'<div class="maps of{len(drawn)}">{"".join(drawn)}</div>'
    return maps + _scale(heatmap_limits(panel, style), panel, style)


def _tiles(panel: Tiles, style: Style) -> str:
    shown = shown_tiles(panel, style)
    cells, large = [], is_written(panel)
    for place, image in zip(shown, draw_each(panel, style), strict=True):
        mark = f" <b>{escape(panel.marks[place])}</b>" if place in panel.marks else ""
        name = escape(panel.names[place])
        cell = _img(image, panel.names[place] or f"tile {place}")
        cell += _written(panel.values[place], image) if large else ""
        cell = _over(cell, outlines_of(panel, place), panel.values.shape[1:3])
        cells.append(f"<li>{cell}<span>{name}{mark}</span></li>")
    words, ends = tiles_scale(panel, style)
    scale = f'<p class="numbers">{escape(words)}</p>' if ends is None else _scale(ends, panel, style)
    kind = " one" if len(panel.values) == 1 else f" written w{panel.values.shape[2]}" if large else ""
    return f'<ul class="tiles{kind}">{"".join(cells)}</ul>{scale}'


def _over(img: str, boxes: list[Box], shape: tuple[int, ...]) -> str:
    """A picture with what lies over it: outlines, in shares of what it spans."""
    if not boxes and "<div" not in img:
        return img
    marks = ""
    for y0, x0, y1, x1 in boxes:
        inset = (y0 / shape[0], 1 - x1 / shape[1], 1 - y1 / shape[0], x0 / shape[1])
        marks += f'<i class="outline" style="inset:{" ".join(f"{100 * share:.3f}%" for share in inset)}"></i>'
    return f'<div class="stage">{img}{marks}</div>'


def _written(values: Array, drawn: Image.Image) -> str:
    """The values of a small map, each in its place, dark on light and light on dark."""
    lights = np.asarray(drawn.convert("L")) >= 140
    cells = "".join(
        f"<b{' class=dark' if light else ''}>{escape(brief(float(value)))}</b>"
        for value, light in zip(values.flat, lights.flat, strict=True)
    )
    return f'<div class="values" style="grid:repeat({values.shape[0]},1fr)/repeat({values.shape[1]},1fr)">{cells}</div>'


def _scale(limits: Limits, panel: Heatmap | Tiles, style: Style) -> str:
    """A colour bar with its ends, zero where it is in the middle, and the unit."""
    table = tables()[style.table_name(panel.signed)]
    stops = ",".join(
        "#{:02x}{:02x}{:02x}".format(*table[i]) for i in np.linspace(0, LEVELS - 1, STOPS).astype(int)
    )
    ends = [number(limits[0]), *(["0"] if panel.signed else []), number(limits[1])]
    told = "".join(f"<span>{end}</span>" for end in ends)
    unit = f'<span class="unit">{escape(panel.unit)}</span>' if panel.unit else ""
    bar = f'<div class="bar" style="background:linear-gradient(to right,{stops})"></div>'
    return f'<div class="scale">{bar}<div class="ends">{told}</div>{unit}</div>'


def _numbers(panel: Panel) -> str:
    """Shape, least, mean and largest value."""
    values = panel_array(panel)
    if values is None:
        return ""
    finite = values[np.isfinite(values)]
    parts = ["×".join(map(str, values.shape)) + " values"]
    if finite.size:
        told = ("min", finite.min()), ("mean", finite.mean(dtype=np.float64)), ("max", finite.max())
        parts += [f"{word} {number(float(value))}" for word, value in told]
    parts += [f"{values.size - finite.size} not finite"] if finite.size < values.size else []
    return f'<p class="numbers">{escape(" · ".join(parts))}</p>'


def _img(image: Image.Image, alt: str, shape: tuple[int, ...] | None = None, *, smooth: bool = False) -> str:
    """A picture a pixel a value; `shape` (h, w, …) is what it spans, if not its own pixels."""
    height, width = shape[:2] if shape else (image.height, image.width)
    data = base64.b64encode(png(image)).decode()
    kind = ' class="smooth"' if smooth else ""
    return (
        f'<img{kind} style="aspect-ratio:{width}/{height}" alt="{escape(alt)}" '
        f'src="data:image/png;base64,{data}">'
    )


def _drawn(panel: Panel, pixels: Array | None, style: Style) -> str:
    data = base64.b64encode(png(draw_panel(panel, pixels, style))).decode()
    return f'<img class="drawn" alt="{escape(alt_text(panel))}" src="data:image/png;base64,{data}">'
