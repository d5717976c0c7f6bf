"""A whole result as one Pillow picture: panels under each other, with titles, colour bars and numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

import numpy as np
from PIL import Image, ImageDraw

from ..arrays import Array
from ..panels import Bars, Curve, Heatmap, Limits, Note, Panel, Picture, Table, Tiles
from .charts import draw_bars, draw_curve, draw_table, font
from .colour import LEVELS, ODD, Style, codes_of, colours_of, number
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
            return _titled(_with_unit(panel.title, panel.unit), draw_bars(panel, style), style)
        case Curve():
            return _titled(_with_unit(panel.title, panel.unit), draw_curve(panel, style), style)
        case Table():
            return _titled(panel.title, draw_table(panel, style), style)
        case Note():
            return _text(panel.text, style, 14, wrap=SHEET)
        case _:
            assert_never(panel)


def _heatmap(panel: Heatmap, pixels: Array | None, style: Style) -> Image.Image:
    height, width = panel.values.shape if pixels is None else pixels.shape[:2]
    size = (round(SIDE * width / max(height, width)), round(SIDE * height / max(height, width)))
    table = style.table_name(panel.signed)
    codes = codes_of(panel.values, heatmap_limits(panel), panel.signed)
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
