"""A whole result as one Pillow picture: panels under each other, with titles, colour bars and numbers."""

from __future__ import annotations

import functools
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..arrays import Array
from ..panels import Bars, Curve, Heatmap, Limits, Note, Panel, Picture, Table, Tiles
from .colour import LEVELS, ODD, Codes, Style, colours_of, number
from .raster import (
    columns_of,
    draw_picture,
    draw_tiles,
    enlarged,
    heatmap_limits,
    overlay,
    pixels_image,
    shown_tiles,
    tiles_limits,
)  # fmt: skip

if TYPE_CHECKING:
    from ..result import Result

SIDE = 360  #: pixels of the longer side of a picture or map
SHEET = 940  #: pixels of the longer side of a sheet of tiles
EDGE = 16


def draw_card(result: Result, **options: Any) -> Image.Image:
    """The result's panels one under the other, its caption on top; `options` are those of `Style`."""
    style = Style(**options)
    parts = [_text(result.caption, style, 17)]
    for panel in result.panels:
        parts.append(draw_panel(panel, result.pixels, style))
    return _stacked(parts, style, EDGE)


def draw_panel(panel: Panel, pixels: Array | None, style: Style) -> Image.Image:
    """One panel as a picture with its words and numbers."""
    match panel:
        case Heatmap():
            return _heatmap(panel, pixels, style)
        case Tiles():
            return _tiles(panel, style)
        case Picture():
            return _titled(panel.title, enlarged(draw_picture(panel).convert("RGB"), SIDE), style)
        case Bars():
            return _titled(_with_unit(panel.title, panel.unit), _bars(panel, style), style)
        case Curve():
            return _titled(_with_unit(panel.title, panel.unit), _curve(panel, style), style)
        case Table():
            return _titled(panel.title, _table(panel, style), style)
        case Note():
            return _text(panel.text, style, 14, wrap=SHEET)
        case _:
            assert_never(panel)


@functools.cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """DejaVu Sans, which has the signs we need; matplotlib brings it, and is not imported for it."""
    spec = find_spec("matplotlib")
    for place in (spec.submodule_search_locations or []) if spec else []:
        file = Path(place) / "mpl-data/fonts/ttf/DejaVuSans.ttf"
        if file.exists():
            return ImageFont.truetype(str(file), size)
    return ImageFont.load_default(size)


def _heatmap(panel: Heatmap, pixels: Array | None, style: Style) -> Image.Image:
    height, width = panel.values.shape if pixels is None else pixels.shape[:2]
    size = (round(SIDE * width / max(height, width)), round(SIDE * height / max(height, width)))
    table = style.table_name(panel.signed)
    codes = np.asarray(_codes(panel))
    plain = Image.fromarray(colours_of(codes, table)).resize(size, Image.Resampling.NEAREST)
    cells = [plain, _colour_bar(heatmap_limits(panel), panel.signed, panel.unit, table, size[1], style)]
    if pixels is not None:
        photo = pixels_image(pixels).convert("RGB").resize(size, Image.Resampling.BICUBIC)
        cells = [photo, overlay(panel, pixels, style, size), *cells]
    odd = int((codes == ODD).sum())
    means = f"{'above zero' if panel.signed else 'high'}: {panel.means}" if panel.means else ""
    words = " · ".join(
        part for part in (panel.title, means, f"{odd} places not finite" if odd else "") if part
    )
    return _titled(words, _beside(cells, style, EDGE), style)


def _codes(panel: Heatmap) -> Codes:
    from .colour import codes_of

    return codes_of(panel.values, heatmap_limits(panel), panel.signed)


def _tiles(panel: Tiles, style: Style) -> Image.Image:
    shown = shown_tiles(panel, style)
    height, width = panel.values.shape[1:3]
    columns = columns_of(len(shown), height, width)
    rows = -(-len(shown) // columns)
    zoom = max(1, min(SHEET // columns // width, SHEET // rows // height))
    atlas = draw_tiles(panel, style, columns, gap=2, zoom=zoom).convert("RGB")
    if max(atlas.size) > SHEET + 2 * columns:
        atlas = enlarged(atlas, SHEET)
    share = atlas.width / (columns * (width * zoom + 2) - 2)
    if min(width, height) * zoom * share >= 44:
        pitch = ((width * zoom + 2) * share, (height * zoom + 2) * share)
        _label_tiles(atlas, panel, list(shown), columns, pitch, style)
    part = f"{len(shown)} of {len(panel.values)}" if len(shown) < len(panel.values) else f"{len(shown)}"
    words = f"{panel.title} · {part} tile{'s' if len(shown) > 1 else ''} of {height}×{width}"
    return _titled(words, _beside([atlas, _legend(panel, atlas.height, style)], style, EDGE), style)


def _legend(panel: Tiles, height: int, style: Style) -> Image.Image:
    """What the colours of tiles mean: a bar, or a sentence where there is not one scale."""
    limits = tiles_limits(panel)
    if isinstance(limits, np.ndarray) and len(np.unique(limits, axis=0)) > 1:
        return _text("each on its own scale", style, 12, faint=True)
    low, high = limits if isinstance(limits, tuple) else map(float, limits[0])
    most = max(abs(low), abs(high))
    if panel.values.ndim == 4:
        return _text(f"grey is zero, white {number(most)}", style, 12, faint=True)
    ends = (-most, most) if panel.signed else (low, high)
    table = style.table_name(panel.signed)
    return _colour_bar(ends, panel.signed, panel.unit, table, min(height, SIDE), style)


def _label_tiles(
    atlas: Image.Image, panel: Tiles, shown: list[int], columns: int, pitch: tuple[float, float], style: Style
) -> None:
    """Write each tile's name into its corner, and its mark."""
    draw = ImageDraw.Draw(atlas)
    for place, i in enumerate(shown):
        x, y = (place % columns) * pitch[0], (place // columns) * pitch[1]
        words = panel.names[i] + (f" {panel.marks[i]}" if i in panel.marks else "")
        box = draw.textbbox((x + 2, y + 1), words, font=font(10))
        if box[2] - box[0] > pitch[0] - 2:
            continue
        draw.rectangle((x, y, box[2] + 2, box[3] + 1), fill=style.ground)
        draw.text((x + 2, y + 1), words, fill=(200, 30, 60) if i in panel.marks else style.ink, font=font(10))


def _colour_bar(
    limits: Limits, signed: bool, unit: str, table: str, height: int, style: Style
) -> Image.Image:
    """A vertical bar with numbers at both ends and, for signed values, at zero."""
    bar = np.linspace(LEVELS - 1, 0, max(height, 48)).round().astype(np.uint8)[:, None].repeat(14, 1)
    canvas = Image.new("RGB", (120, len(bar) + (18 if unit else 0)), style.ground)
    canvas.paste(Image.fromarray(colours_of(bar, table)), (0, 0))
    draw = ImageDraw.Draw(canvas)
    ends = [(0, limits[1], "la"), (len(bar) - 1, limits[0], "ld")]
    for y, value, anchor in [*ends, *([(len(bar) // 2, 0.0, "lm")] if signed else [])]:
        draw.text((20, y), number(value), fill=style.ink, font=font(12), anchor=anchor)
    draw.text((0, len(bar) + 3), unit, fill=style.faint, font=font(11))
    return canvas


def _bars(panel: Bars, style: Style) -> Image.Image:
    return _rows_of_bars(panel, style) if len(panel.values) <= 24 else _columns_of_bars(panel, style)


def bar_ends(panel: Bars) -> Limits:
    """The ends of the axis: fixed, or zero and whatever lies furthest from it."""
    finite = panel.values[np.isfinite(panel.values)]
    low, high = panel.limits or (
        min(0.0, float(finite.min(initial=0))),
        max(0.0, float(finite.max(initial=0))),
    )
    return (low, high) if high > low else (low, low + 1)


def _rows_of_bars(panel: Bars, style: Style) -> Image.Image:
    low, high = bar_ends(panel)
    label = max(font(13).getlength(name) for name in panel.names) + 12
    canvas = Image.new("RGB", (int(label) + 380, 24 * len(panel.values)), style.ground)
    draw = ImageDraw.Draw(canvas)
    zero = label + 280 * (0 - low) / (high - low)
    for row, (name, value) in enumerate(zip(panel.names, panel.values, strict=True)):
        y = 24 * row
        draw.text((label - 10, y + 12), name, fill=style.ink, font=font(13), anchor="rm")
        if np.isfinite(value):
            end = label + 280 * (float(np.clip(value, low, high)) - low) / (high - low)
            draw.rectangle((min(zero, end), y + 5, max(zero, end), y + 19), fill=(58, 110, 165))
        draw.text((label + 290, y + 12), number(float(value)), fill=style.ink, font=font(13), anchor="lm")
    return canvas


def _columns_of_bars(panel: Bars, style: Style) -> Image.Image:
    """Many bars stand thin and unnamed; the ends of the axis and their number are written."""
    low, high = bar_ends(panel)
    width, height = 640, 140
    canvas = Image.new("RGB", (width + 80, height + 18), style.ground)
    draw = ImageDraw.Draw(canvas)
    step = width / len(panel.values)
    zero = height * (1 - (0 - low) / (high - low))
    for i, value in enumerate(np.nan_to_num(panel.values)):
        end = height * (1 - (float(np.clip(value, low, high)) - low) / (high - low))
        box = (i * step, min(zero, end), max(i * step, (i + 1) * step - 1), max(zero, end))
        draw.rectangle(box, fill=(58, 110, 165))
    draw.text((width + 6, 0), number(high), fill=style.ink, font=font(12), anchor="la")
    draw.text((width + 6, height), number(low), fill=style.ink, font=font(12), anchor="ld")
    draw.text((0, height + 3), f"{panel.names[0]} … {panel.names[-1]}", fill=style.faint, font=font(11))
    return canvas


def _curve(panel: Curve, style: Style) -> Image.Image:
    width, height = 560, 240
    canvas = Image.new("RGB", (width + 90, height + 36), style.ground)
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((0, 0, width, height), outline=style.faint)
    xs, finite = panel.x.astype(float), panel.values[np.isfinite(panel.values)]
    low, high = float(finite.min(initial=0)), float(finite.max(initial=0))
    spans = (np.ptp(xs) or 1.0, (high - low) or 1.0)
    hues = ((58, 110, 165), (200, 90, 40), (60, 140, 80), (150, 80, 160))
    for line, (name, ys) in enumerate(zip(panel.names, panel.values, strict=True)):
        points = [((x - xs.min()) / spans[0] * width, (1 - (y - low) / spans[1]) * height)
                  for x, y in zip(xs, ys.astype(float), strict=True) if np.isfinite(y)]  # fmt: skip
        draw.line(points, fill=hues[line % len(hues)], width=2)
        draw.text((width + 6, 20 + 16 * line), name, fill=hues[line % len(hues)], font=font(12))
    draw.text((width + 6, 0), number(high), fill=style.ink, font=font(12))
    draw.text((width + 6, height), number(low), fill=style.ink, font=font(12), anchor="ld")
    ends = f"{number(float(xs.min()))} … {number(float(xs.max()))} {panel.x_unit}"
    draw.text((0, height + 6), ends, fill=style.faint, font=font(12))
    return canvas


def _table(panel: Table, style: Style) -> Image.Image:
    rows = [list(panel.columns), *([cell(c) for c in row] for row in panel.rows[:40])]
    widths = [max(font(12).getlength(row[i]) for row in rows) + 20 for i in range(len(panel.columns))]
    canvas = Image.new("RGB", (int(sum(widths)) + 1, 20 * len(rows) + 4), style.ground)
    draw = ImageDraw.Draw(canvas)
    for y, row in enumerate(rows):
        x = 0.0
        for text, wide in zip(row, widths, strict=True):
            draw.text(
                (x, 20 * y + 10), text, fill=style.ink if y else style.faint, font=font(12), anchor="lm"
            )
            x += wide
    draw.line((0, 20, canvas.width, 20), fill=style.faint)
    return canvas


def cell(value: str | float | int) -> str:
    """A table cell as text."""
    return number(value) if isinstance(value, float) else str(value)


def _with_unit(title: str, unit: str) -> str:
    return title if not unit or unit.lower() == title.lower() else f"{title} ({unit})"


def _titled(title: str, body: Image.Image, style: Style) -> Image.Image:
    return _stacked([_text(title, style, 13, faint=True, wrap=SHEET), body], style, 6) if title else body


def _text(words: str, style: Style, size: int, faint: bool = False, wrap: int = 0) -> Image.Image:
    lines = _wrapped(words, size, wrap) if wrap else [words]
    wide = int(max(font(size).getlength(line) for line in lines)) + 2
    canvas = Image.new("RGB", (max(1, wide), round(size * 1.45) * len(lines)), style.ground)
    draw = ImageDraw.Draw(canvas)
    for row, line in enumerate(lines):
        draw.text(
            (0, round(size * 1.45) * row), line, fill=style.faint if faint else style.ink, font=font(size)
        )
    return canvas


def _wrapped(words: str, size: int, width: int) -> list[str]:
    lines = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font(size).getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _beside(parts: list[Image.Image], style: Style, gap: int) -> Image.Image:
    canvas = Image.new(
        "RGB", (sum(p.width + gap for p in parts) - gap, max(p.height for p in parts)), style.ground
    )
    x = 0
    for part in parts:
        canvas.paste(part.convert("RGB"), (x, 0))
        x += part.width + gap
    return canvas


def _stacked(parts: list[Image.Image], style: Style, gap: int) -> Image.Image:
    edge = gap if gap == EDGE else 0
    width = max(p.width for p in parts) + 2 * edge
    canvas = Image.new("RGB", (width, sum(p.height + gap for p in parts) - gap + 2 * edge), style.ground)
    y = edge
    for part in parts:
        canvas.paste(part.convert("RGB"), (edge, y))
        y += part.height + gap
    return canvas
