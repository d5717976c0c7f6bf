"""From a picture to what a model expects: size, colour order, range, mean and spread.

One object says all of it, is shown to the user and goes into every manifest. The arithmetic is a
multiplication and an addition per channel, so gradients are handed back per pixel in [0, 1].
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from PIL import Image as PILImage

from .arrays import Array
from .errors import BadInput, UnknownName

Resize = Literal["crop", "squash", "pad"]
Order = Literal["RGB", "BGR"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]

_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "crop_share": 0.875}
PRESETS: dict[str, dict[str, Any]] = {
    "imagenet": _IMAGENET,
    "caffe": {"range": (0.0, 255.0), "mean": (123.68, 116.779, 103.939), "order": "BGR", "crop_share": 0.875},
    "-1..1": {"range": (-1.0, 1.0)},
    "unit": {"range": (0.0, 1.0)},
    "raw": {"range": (0.0, 255.0)},
}
_KEYS = ("size", "channels", "mean", "std", "range", "order", "resize", "crop_share", "interpolation")


@dataclass(frozen=True)
class InputSpec:
    """What a model expects to be fed, and where that is known from.

    A pixel p in [0, 1] becomes (low + p·(high − low) − mean) / std, per channel in RGB order, and the
    channels are then put into `order`. `resize` says how a picture of another shape is fitted:
    `crop` scales the shorter side to size / crop_share and cuts the middle out, `squash` ignores the
    aspect ratio, `pad` adds black bars.
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
        if min(self.height, self.width, self.channels) < 1:
            raise BadInput(f"an input of {self.height}×{self.width}×{self.channels} has no pixels")
        for name in ("mean", "std"):
            values = tuple(float(v) for v in getattr(self, name))
            if len(values) not in (1, self.channels):
                raise BadInput(f"{name} has {len(values)} values for {self.channels} channel(s)")
            object.__setattr__(self, name, values)
        if 0.0 in self.std:
            raise BadInput("std holds a zero: the input would be infinite")
        if self.resize not in get_args(Resize):
            raise UnknownName("resize rule", str(self.resize), get_args(Resize))
        if self.interpolation not in get_args(Interpolation):
            raise UnknownName("interpolation", str(self.interpolation), get_args(Interpolation))
        if self.order not in get_args(Order):
            raise UnknownName("colour order", str(self.order), get_args(Order))
        if not 0 < self.crop_share <= 1:
            raise BadInput(
                f"crop_share is a share of the picture, more than 0 and at most 1, not {self.crop_share}"
            )

    @property
    def scale(self) -> Array:
        """The factor of each channel, (1,) or (channels,), in RGB order."""
        low, high = self.range
        return np.asarray((high - low) / np.asarray(self.std), np.float32)

    def encode(self, pixels: Array) -> Array:
        """Pixels (…, h, w, c) in [0, 1] → what the model is fed."""
        offset = (self.range[0] - np.asarray(self.mean)) / np.asarray(self.std)
        fed = pixels * self.scale + offset.astype(np.float32)
        return self._ordered(fed)

    def per_pixel(self, gradients: Array) -> Array:
        """A gradient by what the model is fed → the gradient by the pixels in [0, 1]."""
        return self._ordered(gradients) * self.scale

    def _ordered(self, values: Array) -> Array:
        if self.order == "BGR" and self.channels == 3:
            values = values[..., ::-1]
        return np.ascontiguousarray(values, np.float32)

    def fit(self, pixels: Array) -> Array:
        """A picture (H, W, C) in [0, 1] of any size → (height, width, channels), still in [0, 1]."""
        return _resized(_with_channels(pixels, self.channels), self)

    def facts(self) -> dict[str, Any]:
        """The specification as plain JSON-able values, for pages and manifests."""
        return dataclasses.asdict(self)


def read_preprocess(given: object, height: int, width: int, channels: int) -> InputSpec:
    """A preset's name, a mapping, a JSON file or a torchvision transform → an InputSpec.

    `height`, `width` and `channels` are the model's own and hold where nothing else is said.
    """
    if isinstance(given, InputSpec):
        return given
    source = "given"
    if isinstance(given, str) and given in PRESETS:
        values, source = dict(PRESETS[given]), f"preset {given}"
    elif isinstance(given, (str, Path)) and Path(given).suffix == ".json":
        values, source = _read_file(Path(given)), f"file {Path(given).name}"
    elif isinstance(given, Mapping):
        values = dict(given)
    elif hasattr(given, "crop_size") and hasattr(given, "mean"):
        values, source = from_torchvision(given), "torchvision transform"
    else:
        raise UnknownName("preprocessing", str(given), PRESETS, " (nor a .json file, nor a mapping)")
    for key in values:
        if key not in _KEYS:
            raise UnknownName("preprocessing key", str(key), _KEYS)
    if "size" in values:
        size = values.pop("size")
        height, width = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
    channels = int(values.pop("channels", channels))
    for key in ("mean", "std"):  # three numbers for colours fit a grey model by their average
        if key in values:
            numbers = np.atleast_1d(np.asarray(values[key], float))
            fits = len(numbers) in (1, channels)
            values[key] = tuple(numbers if fits or channels != 1 else [numbers.mean()])
    if "range" in values:
        low, high = values["range"]
        values["range"] = (float(low), float(high))
    return InputSpec(height, width, channels, source=source, **values)


def from_torchvision(transform: Any) -> dict[str, Any]:
    """What torchvision's ImageClassification transform says, in our words."""
    crop, resize = transform.crop_size[0], transform.resize_size[0]
    mean, std = tuple(transform.mean), tuple(transform.std)
    how = transform.interpolation.value
    return {
        "size": crop, "mean": mean, "std": std, "crop_share": min(1.0, crop / resize), "interpolation": how,
    }  # fmt: skip


def _read_file(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot read the preprocessing in {path}: {error}") from error
    if not isinstance(values, dict):
        raise BadInput(
            f"{path} holds a {type(values).__name__}; a preprocessing is an object with {', '.join(_KEYS)}"
        )
    return values


def _with_channels(pixels: Array, channels: int) -> Array:
    found = pixels.shape[-1]
    if found == channels:
        return pixels
    if found == 1:
        return np.repeat(pixels, channels, -1)
    if found == 3 and channels == 1:  # ITU-R 601, what Pillow and most training pipelines use
        return (pixels @ np.asarray([[0.299], [0.587], [0.114]], np.float32)).astype(np.float32)
    raise BadInput(f"the picture has {found} channels and the model reads {channels}")


def _resized(pixels: Array, spec: InputSpec) -> Array:
    height, width = pixels.shape[:2]
    if (height, width) == (spec.height, spec.width):
        return np.ascontiguousarray(pixels, np.float32)
    if spec.resize == "squash":
        return _scaled(pixels, spec.height, spec.width, spec.interpolation)
    ratios = (spec.height / height, spec.width / width)
    ratio = max(ratios) / spec.crop_share if spec.resize == "crop" else min(ratios)
    # the longer side is rounded down, as torchvision's Resize does; the hair is for ratios like 256/300
    size = (max(1, int(height * ratio + 1e-6)), max(1, int(width * ratio + 1e-6)))
    scaled = _scaled(pixels, *size, spec.interpolation)
    return _centred(scaled, spec.height, spec.width)


def _scaled(pixels: Array, height: int, width: int, interpolation: Interpolation) -> Array:
    """Resized channel by channel in floating point, smoothed where it shrinks."""
    how = PILImage.Resampling[interpolation.upper()]
    planes = [
        PILImage.fromarray(np.ascontiguousarray(pixels[..., c])).resize((width, height), how)
        for c in range(pixels.shape[-1])
    ]
    scaled = np.stack([np.asarray(p, np.float32) for p in planes], -1)
    return np.clip(scaled, 0, 1)  # bicubic and Lanczos overshoot at edges


def _centred(pixels: Array, height: int, width: int) -> Array:
    """Cut or pad (with black) about the middle."""
    for axis, wanted in ((0, height), (1, width)):
        spare = pixels.shape[axis] - wanted
        if spare > 0:
            start = round(spare / 2)
            pixels = np.take(pixels, range(start, start + wanted), axis)
        elif spare < 0:
            pads = [(0, 0)] * pixels.ndim
            pads[axis] = (-spare // 2, -spare - (-spare // 2))
            pixels = np.pad(pixels, pads)
    return np.ascontiguousarray(pixels, np.float32)
