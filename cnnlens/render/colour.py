"""From numbers to colours: the scale, the levels, the colour table.

Signed values get symmetric limits about zero and a diverging table, unsigned ones a sequential table; zero
of a signed map has a level of its own. NaN and infinities are painted in a colour that no table has.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib import resources

import numpy as np
import numpy.typing as npt

from ..arrays import Array
from ..panels import Limits

Codes = npt.NDArray[np.uint8]
Array64 = npt.NDArray[np.float64]

LEVELS = 253  #: odd, so that the middle level is zero
GAP, ODD = 253, 254  #: the codes of the space between tiles and of NaN or infinity
ODD_COLOUR = (255, 0, 255)
STRIDE = 2**16  #: values that are made into levels at once


@functools.cache
def tables() -> Mapping[str, Codes]:
    """Every colour table, (253, 3) uint8, by name."""
    with resources.files(__package__).joinpath("colour_maps.npz").open("rb") as file, np.load(file) as held:
        return {name: held[name] for name in held.files}


def limits_of(values: Array, signed: bool) -> Limits:
    """The ends of the scale: symmetric about zero for signed values, from zero where nothing is below it."""
    low, high = float(values.min()), float(values.max())
    if not np.isfinite(low - high):  # only then is it worth a copy of those that are finite
        finite = values[np.isfinite(values)]
        if not finite.size:
            return (-1.0, 1.0) if signed else (0.0, 1.0)
        low, high = float(finite.min()), float(finite.max())
    if signed:
        most = max(abs(low), abs(high))
        return -most, most
    return min(0.0, low), high


def codes_of(values: Array, limits: Limits | Array, signed: bool) -> Codes:
    """Values → levels 0 … 252, `ODD` where not finite. `limits`: one pair, or (n, 2) for the first axis."""
    ends = np.asarray(limits, np.float64)
    if ends.ndim == 2:
        ends = ends.reshape(len(ends), *(1,) * (values.ndim - 1), 2)
    low, high = ends[..., 0], ends[..., 1]
    if signed:  # zero stays in the middle
        high = np.maximum(np.abs(low), np.abs(high))
        low = -high
    wide = high > low
    span = np.where(wide, high - low, np.inf)
    flat = np.where(wide, 0.0, (LEVELS - 1) // 2 if signed else 0)
    codes: Codes = np.empty(values.shape, np.uint8)
    step = max(1, STRIDE * len(values) // max(1, values.size))
    for first in range(0, len(values), step):
        some = slice(first, first + step)
        own = some if ends.ndim > 1 else ...
        codes[some] = _levels(values[some], low[own], span[own], flat[own])
    return codes


def _levels(values: Array, low: Array64, span: Array64, flat: Array64) -> npt.NDArray[np.float64]:
    """Levels as numbers, of so few values that they stay in the processor's cache from step to step."""
    levels = np.subtract(values, low, dtype=np.float64)
    with np.errstate(invalid="ignore"):  # infinity by the endless span of a flat tile
        levels /= span
    levels *= LEVELS - 1
    levels += flat
    finite = np.isfinite(levels)
    np.rint(levels, out=levels)
    np.clip(levels, 0, LEVELS - 1, out=levels)
    if not finite.all():
        levels[~finite] = ODD
    return levels


def palette(name: str, gap: tuple[int, int, int]) -> bytes:
    """A PNG palette of 256 colours: the table, the gap, the colour for NaN."""
    colours = np.zeros((256, 3), np.uint8)
    colours[:LEVELS] = tables()[name]
    colours[GAP], colours[ODD] = gap, ODD_COLOUR
    return colours.tobytes()


def colours_of(codes: Codes, name: str) -> Codes:
    """Levels → RGB."""
    table = np.frombuffer(palette(name, (0, 0, 0)), np.uint8).reshape(256, 3)
    return np.asarray(table[codes], np.uint8)


def number(value: float) -> str:
    """A number as it stands on a colour bar: three figures, a real minus, and no minus zero."""
    return f"{value + 0.0:.3g}".replace("-", "−")


def brief(value: float) -> str:
    """A number where there is little room: three figures, or as many as six signs have room for."""
    text = ""
    for figures in (3, 2, 1):
        text = f"{value + 0.0:.{figures}g}".replace("e-0", "e-").replace("e+0", "e")
        if len(text) <= 6:
            break
    return text.replace("-", "−")
