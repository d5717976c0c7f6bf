"""A whole result as one Pillow picture: panels under each other, with titles, colour bars and numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

import numpy as np
from PIL import Image, ImageDraw

from ..arrays import Array
from ..diagram import Diagram
from ..panels import Bars, Curve, Heatmap, Limits, Note, Panel, Picture, Table, Tiles
from .charts import draw_bars, draw_curve, draw_table, font
from .colour import LEVELS, ODD, codes_of, colours_of, number
from .diagram import laid_out
from .diagram.pixels import picture_of
from .pointing import ROOM, is_written, outlined, outlines_of, written
from .raster import (
    columns_of,
    draw_picture,
    draw_tiles,
    enlarged,
    heatmap_limits,
    overlay,
    pixels_image,
    shown_tiles,
    tiles_scale,
)  # fmt: skip
from .style import Style, style_of
from .words import diagram_words

if TYPE_CHECKING:
    from ..result import Result

SIDE = 360  #: pixels of the longer side of a picture or map
SHEET = 940  #: pixels of the longer side of a sheet of tiles
EDGE = 16
STRIP = 8  #: so few tiles stand in one row
WRITTEN = 48  #: pixels of a place whose value is written into it


def draw_card(result: Result, **options: Any) -> Image.Image:
    """The result's panels one under the other, its caption on top; `options` are those of `Style`."""
    style = style_of(options)
    parts = [_text(headline(result), style, 17)]
    for panel in result.panels:
        parts.append(draw_panel(panel, result.pixels, style))
    return _stacked(parts, style, EDGE)


def headline(result: Result) -> str:
    """The caption, after the name of the picture where there is one that it does not name already."""
    image, taken = str(result.facts.get("image") or ""), result.facts.get("difference", {})
    return (
        f"{image} · {result.caption}" if image and "image" not in taken.get("differs", {}) else result.caption
    )


def draw_panel(panel: Panel, pixels: Array | None, style: Style) -> Image.Image:
    """One panel as a picture with its words and numbers."""
    match panel:
        case Heatmap():
            return _heatmap(panel, pixels, style)
        case Tiles():
            return _tiles(panel, style)
        case Picture():
            return _titled(panel.title, _picture(panel), style)
        case Bars():
            return _titled(with_unit(panel.title, panel.unit), draw_bars(panel, style), style)
        case Curve():
            return _titled(with_unit(panel.title, panel.unit), draw_curve(panel, style), style)
        case Table():
            return _titled(panel.title, draw_table(panel, style), style)
        case Diagram():
            return _titled(diagram_words(panel), picture_of(laid_out(panel), style), style)
        case Note():
            return _text(panel.text, style, 14, wrap=SHEET)
        case _:
            assert_never(panel)


def _heatmap(panel: Heatmap, pixels: Array | None, style: Style) -> Image.Image:
    height, width = panel.values.shape if pixels is None else pixels.shape[:2]
    scale = SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    table = style.table_name(panel.signed)
    codes = codes_of(panel.values, limits := heatmap_limits(panel, style), panel.signed)
    plain = Image.fromarray(colours_of(codes, table)).resize(size, Image.Resampling.NEAREST)
    cells = [plain]
    if pixels is not None and style.show != "raw":
        photo = pixels_image(pixels).convert("RGB").resize(size, Image.Resampling.BICUBIC)
        over = overlay(panel, pixels, style, size)
        cells = [over] if style.show == "overlay" else [photo, over, plain]
    pitch = size[1] / panel.values.shape[0], size[0] / panel.values.shape[1]
    cells[-1] = written(cells[-1], panel.values) if cells[-1] is plain else cells[-1]
    cells = [outlined(one, outlines_of(panel), pitch) for one in cells]
    bar = _colour_bar(limits, panel.signed, panel.unit, table, size[1], style)
    return _titled(
        heatmap_words(panel, int((codes == ODD).sum())), _beside([*cells, bar], style, EDGE), style
    )


def _picture(panel: Picture) -> Image.Image:
    drawn = enlarged(draw_picture(panel).convert("RGB"), SIDE)
    pitch = drawn.height / panel.values.shape[0], drawn.width / panel.values.shape[1]
    return outlined(drawn, outlines_of(panel), pitch)


def heatmap_words(panel: Heatmap, odd: int) -> str:
    """What stands over a heatmap: its title, what a high value means, how many places are not finite."""
    means = f"{'above zero' if panel.signed else 'high'}: {panel.means}" if panel.means else ""
    return " · ".join(
        filter(None, (panel.title, means, f"{odd} place{'s' if odd > 1 else ''} not finite" if odd else ""))
    )


def _tiles(panel: Tiles, style: Style) -> Image.Image:
    shown = shown_tiles(panel, style)
    height, width = panel.values.shape[1:3]
    columns = len(shown) if len(shown) <= STRIP else columns_of(len(shown), height, width)
    rows = -(-len(shown) // columns)
    zoom = max(1, min(SHEET // columns // width, SHEET // rows // height))
    gap = 2
    if is_written(panel) and zoom >= ROOM:  # no larger than the numbers want
        gap = 10
        zoom = max(ROOM, min(WRITTEN, ((SHEET + gap) // columns - gap) // width))
        columns = max(1, min(len(shown), (SHEET + gap) // (width * zoom + gap)))
    atlas = draw_tiles(panel, style, columns, gap=gap, zoom=zoom).convert("RGB")
    if max(atlas.size) > SHEET + gap * columns:
        atlas = enlarged(atlas, SHEET)
    share = atlas.width / (columns * (width * zoom + gap) - gap)
    pitch = ((width * zoom + gap) * share, (height * zoom + gap) * share)
    atlas = _point_tiles(atlas, panel, list(shown), columns, pitch, zoom * share)
    if min(width, height) * zoom * share >= 44:
        _label_tiles(atlas, panel, list(shown), columns, pitch, style)
    return _titled(
        tiles_words(panel, len(shown)),
        _beside([atlas, _legend(panel, atlas.height, style)], style, EDGE),
        style,
    )


def _point_tiles(
    atlas: Image.Image, panel: Tiles, shown: list[int], columns: int, pitch: tuple[float, float], scale: float
) -> Image.Image:
    """Each tile's values, where there is room for them, and its outlines."""
    height, width = panel.values.shape[1:3]
    for place, i in enumerate(shown):
        x, y = (place % columns) * pitch[0], (place // columns) * pitch[1]
        atlas = written(atlas, panel.values[i], (y, x), (width * scale, height * scale))
        boxes = outlines_of(panel, i)
        atlas = outlined(atlas, boxes, (scale, scale), (y, x))
    return atlas


def tiles_words(panel: Tiles, shown: int) -> str:
    """What stands over tiles: their title, how many are shown and how large they are."""
    height, width = panel.values.shape[1:3]
    part = f"{shown} of {len(panel.values)}" if shown < len(panel.values) else f"{shown}"
    return f"{panel.title} · {part} tile{'s' if shown > 1 else ''} of {height}×{width}"


def _legend(panel: Tiles, height: int, style: Style) -> Image.Image:
    """What the colours of tiles mean: a bar, or a sentence where there is not one scale."""
    words, ends = tiles_scale(panel, style)
    if ends is None:
        return _text(words, style, 12, faint=True)
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


def with_unit(title: str, unit: str) -> str:
    """A title with the unit behind it, unless it is that already."""
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
