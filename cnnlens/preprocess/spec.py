"""From a picture to what a model expects: size, colour order, range, mean and spread.

One object says all of it, is shown to the user and goes into every manifest. The arithmetic is a
multiplication and an addition per channel, so gradients are handed back per pixel in [0, 1].
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from ..arrays import Array
from ..errors import BadInput, UnknownName
from .fitting import Interpolation, Resize, resized, with_channels

Order = Literal["RGB", "BGR"]


@dataclass(frozen=True)
class InputSpec:
    """What a model expects to be fed, and where that is known from.

    A pixel p in [0, 1] becomes (low + p·(high − low) − mean) / std, per channel in RGB order, and the
    channels are then put into `order`. `resize` says how a picture of another shape is fitted:
    `crop` scales the shorter side to size / crop_share and cuts the middle out, `squash` ignores the
    aspect ratio (and cuts, where crop_share is below 1), `pad` adds black bars.
    """

    height: int
    width: int
    channels: int = 3
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    range: tuple[float, float] = (0.0, 1.0)
    order: Order = "RGB"
    resize: Resize = "crop"
    crop_share: float = 1.0
    interpolation: Interpolation = "bilinear"
    source: str = "assumed"

    def __post_init__(self) -> None:
        for name in ("height", "width", "channels"):
            object.__setattr__(self, name, read_whole(name, getattr(self, name)))
        if min(self.height, self.width, self.channels) < 1:
            raise BadInput(f"an input of {self.height}×{self.width}×{self.channels} has no pixels")
        for name in ("mean", "std"):
            values = read_numbers(name, getattr(self, name), "a number, or one per channel")
            if len(values) not in (1, self.channels):
                raise BadInput(f"{name} has {len(values)} values for {self.channels} channel(s)")
            object.__setattr__(self, name, values)
        if 0.0 in self.std:
            raise BadInput("std holds a zero: the input would be infinite")
        ends = read_numbers("range", self.range, "two numbers, what black and what white is fed as")
        if len(ends) != 2 or ends[0] == ends[1]:
            raise BadInput(f"range should be two numbers that differ, not {list(ends)}")
        object.__setattr__(self, "range", ends)
        if self.resize not in get_args(Resize):
            raise UnknownName("resize rule", str(self.resize), get_args(Resize))
        if self.interpolation not in get_args(Interpolation):
            raise UnknownName("interpolation", str(self.interpolation), get_args(Interpolation))
        if self.order not in get_args(Order):
            raise UnknownName("colour order", str(self.order), get_args(Order))
        (share,) = read_numbers("crop_share", self.crop_share, "a number", most=1)
        object.__setattr__(self, "crop_share", share)
        if not 0 < share <= 1:
            raise BadInput(
                f"crop_share is a share of the picture, more than 0 and at most 1, not {self.crop_share}"
            )

    @property
    def scale(self) -> Array:
        """The factor of each channel, (1,) or (channels,), in RGB order."""
        low, high = self.range
        return np.asarray((high - low) / np.asarray(self.std), np.float32)

    @property
    def limits(self) -> tuple[float, float]:
        """The lowest and the highest number that any pixel in [0, 1] can be fed as."""
        ends = self.encode(np.asarray([[0.0] * self.channels, [1.0] * self.channels], np.float32))
        return float(ends.min()), float(ends.max())

    def encode(self, pixels: Array) -> Array:
        """Pixels (…, h, w, c) in [0, 1] → what the model is fed."""
        offset = (self.range[0] - np.asarray(self.mean)) / np.asarray(self.std)
        fed = _by_rows(np.multiply, pixels, self.scale)
        return self._ordered(_by_rows(np.add, fed, offset.astype(np.float32)))

    def per_pixel(self, gradients: Array) -> Array:
        """A gradient by what the model is fed → the gradient by the pixels in [0, 1]."""
        return _by_rows(np.multiply, self._ordered(gradients), self.scale)

    def _ordered(self, values: Array) -> Array:
        if self.order == "BGR" and self.channels == 3:
            values = values[..., ::-1]
        return np.ascontiguousarray(values, np.float32)

    def fit(self, pixels: Array) -> Array:
        """A picture (H, W, C) in [0, 1] of any size → (height, width, channels), still in [0, 1]."""
        return resized(
            with_channels(pixels, self.channels),
            (self.height, self.width), self.resize, self.crop_share, self.interpolation,
        )  # fmt: skip

    def grey(self, count: int = 1) -> Array:
        """So many mid-grey pictures, (count, height, width, channels): for what is asked of the model, not of one."""
        return np.full((count, self.height, self.width, self.channels), 0.5, np.float32)

    def facts(self) -> dict[str, Any]:
        """The specification as plain JSON-able values; `read_preprocess` reads them back."""
        return dataclasses.asdict(self)


def read_numbers(key: str, given: object, wanted: str, most: int | None = None) -> tuple[float, ...]:
    """One or several numbers, all of them finite; BadInput says which `key` `wanted` them."""
    try:
        found = np.atleast_1d(np.asarray(given, float))
    except (TypeError, ValueError, OverflowError):  # words, lists of unequal lengths, a number of 400 digits
        found = np.empty(0)
    if found.ndim != 1 or not 1 <= found.size <= (most or found.size) or not np.isfinite(found).all():
        raise BadInput(f"{key} should be {wanted}, not {given!r}")
    return tuple(found.tolist())


def read_whole(key: str, given: object) -> int:
    """A whole number; BadInput says which `key` wanted it."""
    (number,) = read_numbers(key, given, "a whole number", most=1)
    if not number.is_integer():
        raise BadInput(f"{key} should be a whole number, not {given!r}")
    return int(number)


def _by_rows(do: np.ufunc, pixels: Array, numbers: Array) -> Array:
    """`do` of pixels (…, w, c) and a number for each channel: a row at a time, where NumPy would go pixel by pixel."""
    row = np.tile(np.broadcast_to(numbers, pixels.shape[-1:]), pixels.shape[-2])
    flat = pixels.reshape(*pixels.shape[:-2], len(row))
    done: Array = do(flat, row).reshape(pixels.shape)
    return done
