"""Bars, curves and tables as Pillow pictures; and the font that all lettering uses."""

from __future__ import annotations

import functools
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..panels import Bars, Curve, Limits, Table
from .colour import number
from .style import Style


@functools.cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """DejaVu Sans, which has the signs we need; matplotlib brings it, and is not imported for it."""
    spec = find_spec("matplotlib")
    for place in (spec.submodule_search_locations or []) if spec else []:
        file = Path(place) / "mpl-data/fonts/ttf/DejaVuSans.ttf"
        if file.exists():
            return ImageFont.truetype(str(file), size)
    return ImageFont.load_default(size)


def draw_bars(panel: Bars, style: Style) -> Image.Image:
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


def draw_curve(panel: Curve, style: Style) -> Image.Image:
    width, height = 560, 240
    canvas = Image.new("RGB", (width + 90, height + 36), style.ground)
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((0, 0, width, height), outline=style.faint)
    xs, finite = panel.x.astype(float), panel.values[np.isfinite(panel.values)]
    low, high = float(finite.min(initial=0)), float(finite.max(initial=0))
    spans = (np.ptp(xs) or 1.0, (high - low) or 1.0)
    for zero, (first, last), side in ((-xs.min(), (0, height), 0), (-low, (0, width), 1)):
        if 0 < zero < spans[side]:  # where the axes cross
            at = zero / spans[0] * width if side == 0 else (1 - zero / spans[1]) * height
            draw.line((at, first, at, last) if side == 0 else (first, at, last, at), fill=style.faint)
    hues = ((58, 110, 165), (200, 90, 40), (60, 140, 80), (150, 80, 160))
    for line, (name, ys) in enumerate(zip(panel.names, panel.values, strict=True)):
        across = (xs - xs.min()) / spans[0] * width
        down = (1 - (ys.astype(float) - low) / spans[1]) * height
        for a in range(len(xs) - 1):  # a gap where a value is not finite
            if np.isfinite(down[a : a + 2]).all():
                ends = (across[a], down[a], across[a + 1], down[a + 1])
                draw.line(ends, fill=hues[line % len(hues)], width=2)
        draw.text((width + 6, 20 + 16 * line), name, fill=hues[line % len(hues)], font=font(12))
    draw.text((width + 6, 0), number(high), fill=style.ink, font=font(12))
    draw.text((width + 6, height), number(low), fill=style.ink, font=font(12), anchor="ld")
    words = f"{number(float(xs.min()))} … {number(float(xs.max()))} {panel.x_unit}"
    draw.text((0, height + 6), words, fill=style.faint, font=font(12))
    return canvas


def draw_table(panel: Table, style: Style) -> Image.Image:
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
