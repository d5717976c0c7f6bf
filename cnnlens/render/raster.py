"""A panel's numbers as a Pillow image, a pixel a value: palette images, so that a colour map can be changed
by its palette alone. Enlarging and lettering are done elsewhere."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from ..arrays import Array
from ..errors import UsageError
from ..panels import Heatmap, Limits, Picture, Tiles
from .colour import GAP, Codes, codes_of, colours_of, limits_of, number, palette
from .style import Style


def heatmap_limits(panel: Heatmap, style: Style | None = None) -> Limits:
    """The ends of the heatmap's scale: those that the style asks for, or its own."""
    low, high = (style and style.limits) or panel.limits or limits_of(panel.values, panel.signed)
    if panel.signed:
        most = max(abs(low), abs(high))
        return -most, most
    return low, high


def draw_heatmap(panel: Heatmap, style: Style) -> Image.Image:
    """A palette image, one pixel a value."""
    codes = codes_of(panel.values, heatmap_limits(panel, style), panel.signed)
    return _palette_image(codes, style.table_name(panel.signed), style.ground)


def draw_picture(panel: Picture) -> Image.Image:
    """The pixels as they are."""
    return pixels_image(panel.values)


def pixels_image(pixels: Array) -> Image.Image:
    """Pixels (h, w, c) in [0, 1] as an image; of other than 1 or 3 channels the first three, or the first."""
    eight = np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    if eight.shape[-1] >= 3:
        return Image.fromarray(np.ascontiguousarray(eight[..., :3]))
    return Image.fromarray(np.ascontiguousarray(eight[..., 0]))


def shown_tiles(panel: Tiles, style: Style) -> range:
    """The positions of the tiles that `style` draws."""
    shown = range(len(panel.values))[style.first : style.first + style.count]
    if not shown:
        raise UsageError(f"tiles from {style.first} on: there are {len(panel.values)}, counted from 0")
    return shown


def tiles_limits(panel: Tiles, style: Style | None = None) -> Limits | Array:
    """One pair for all tiles, or a pair for each: as the style asks for, or the panel's own."""
    if style and style.limits:
        return style.limits
    if style and style.scale == "unit":
        return _each_limits(panel.values)
    own = panel.limits if style is None or style.scale is None else None
    return limits_of(panel.values, panel.signed) if own is None else own


def tiles_scale(panel: Tiles, style: Style | None = None) -> tuple[str, Limits | None]:
    """What the colours of tiles mean: in words where no colour bar says it, else the ends of the bar."""
    limits = tiles_limits(panel, style)
    if isinstance(limits, np.ndarray) and len(np.unique(limits, axis=0)) > 1:
        return "each on its own scale", None
    low, high = limits if isinstance(limits, tuple) else map(float, limits[0])
    most = max(abs(low), abs(high))
    if panel.values.ndim == 4:
        zero = "grey is zero, white" if panel.signed else "black is zero, white"
        return f"{zero} {number(most)}", None
    return "", (-most, most) if panel.signed else (low, high)


def columns_of(count: int, height: int, width: int) -> int:
    """How many tiles stand in a row: a little wider than high, with as few empty places as that allows."""
    ideal = max(1, min(count, round(math.sqrt(count * 1.3 * height / width))))
    near = range(max(1, round(ideal * 0.8)), min(count, round(ideal * 1.25)) + 1)
    return min(near, key=lambda columns: (-count % columns, abs(columns - ideal)))


def draw_tiles(
    panel: Tiles, style: Style, columns: int | None = None, gap: int = 1, zoom: int = 1
) -> Image.Image:
    """An atlas: the tiles in rows, `gap` pixels between them, `zoom` pixels a value in each direction."""
    cells = _cells(panel, style)
    columns = columns or columns_of(*cells.shape[:3])
    coloured = cells.ndim == 4
    atlas = _laid_out(_zoomed(cells, zoom), columns, gap, np.asarray(style.ground if coloured else GAP))
    if coloured:
        return Image.fromarray(atlas)
    return _palette_image(atlas, style.table_name(panel.signed), style.ground)


def draw_each(panel: Tiles, style: Style) -> list[Image.Image]:
    """The tiles that `style` draws, each a picture of its own, a pixel a value."""
    table = style.table_name(panel.signed)
    cells = _cells(panel, style)
    return [Image.fromarray(c) if c.ndim == 3 else _palette_image(c, table, style.ground) for c in cells]


def overlay(panel: Heatmap, pixels: Array, style: Style, size: tuple[int, int]) -> Image.Image:
    """The heatmap over the picture in grey, both at `size` (width, height)."""
    grey = pixels_image(pixels).convert("L").convert("RGB").resize(size, Image.Resampling.BICUBIC)
    codes = codes_of(_enlarged(panel.values, size), heatmap_limits(panel, style), panel.signed)
    colours = Image.fromarray(colours_of(codes, style.table_name(panel.signed)))
    return Image.blend(grey, colours, style.alpha)


def enlarged(image: Image.Image, side: int) -> Image.Image:
    """Scaled so that the longer side is `side`: by whole pixels where it grows, smooth where it shrinks."""
    longest = max(image.size)
    if longest > side:
        size = (max(1, round(image.width * side / longest)), max(1, round(image.height * side / longest)))
        return image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    factor = side / longest
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.NEAREST)


def _enlarged(values: Array, size: tuple[int, int]) -> Array:
    """Values between places by interpolation; what is not finite stays so, place by place."""
    finite = np.isfinite(values)
    filled = Image.fromarray(np.where(finite, values, 0).astype(np.float32))
    smooth = np.array(filled.resize(size, Image.Resampling.BILINEAR))
    if not finite.all():
        holes = Image.fromarray((~finite).astype(np.uint8)).resize(size, Image.Resampling.NEAREST)
        smooth[np.asarray(holes) > 0] = np.nan
    return smooth


def _each_limits(values: Array) -> Array:
    """The least and the largest finite value of each tile, (n, 2)."""
    rows = values.reshape(len(values), -1)
    finite = np.isfinite(rows)
    ends = np.stack([np.where(finite, rows, np.inf).min(1), np.where(finite, rows, -np.inf).max(1)], 1)
    return np.asarray(np.where(np.isfinite(ends), ends, 0), np.float32)


def _cells(panel: Tiles, style: Style) -> Codes:
    """The tiles that are drawn as levels (n, h, w), or as colours (n, h, w, 3)."""
    shown = shown_tiles(panel, style)
    values = panel.values[shown.start : shown.stop]
    limits = tiles_limits(panel, style)
    own = limits[shown.start : shown.stop] if isinstance(limits, np.ndarray) else limits
    if values.ndim == 4:
        return _signed_colours(values, own, panel.signed)
    return codes_of(values, own, panel.signed)


def _palette_image(codes: Codes, table: str, gap: tuple[int, int, int]) -> Image.Image:
    image = Image.fromarray(codes, "P") if codes.ndim == 2 else Image.fromarray(codes)
    image.putpalette(palette(table, gap))
    return image


def _zoomed(cells: Codes, zoom: int) -> Codes:
    return cells if zoom == 1 else cells.repeat(zoom, 1).repeat(zoom, 2)


def _signed_colours(values: Array, limits: Limits | Array, signed: bool) -> Codes:
    """Coloured tiles: signed ones about mid-grey, each on the scale of its limits."""
    low, high = (limits[:, 0], limits[:, 1]) if isinstance(limits, np.ndarray) else limits
    most = np.maximum(np.abs(low), np.abs(high)) if signed else high
    most = np.reshape(np.where(np.asarray(most) > 0, most, 1), (-1, 1, 1, 1))
    shares = values / most * 0.5 + 0.5 if signed else values / most
    return np.rint(np.clip(np.nan_to_num(shares), 0, 1) * 255).astype(np.uint8)


def _laid_out(tiles: Codes, columns: int, gap: int, ground: Codes) -> Codes:
    """Tiles (n, h, w[, 3]) in rows of `columns`."""
    count, height, width = tiles.shape[:3]
    rows = math.ceil(count / columns)
    shape = (rows * columns, height + gap, width + gap, *tiles.shape[3:])
    cells = np.empty(shape, np.uint8)
    cells[...] = ground.astype(np.uint8)
    cells[:count, :height, :width] = tiles
    cells = cells.reshape(rows, columns, *shape[1:]).swapaxes(1, 2)
    whole = cells.reshape(rows * (height + gap), columns * (width + gap), *tiles.shape[3:])
    return np.ascontiguousarray(whole[: -gap or None, : -gap or None])
