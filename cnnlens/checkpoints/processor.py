"""Hugging Face's preprocessor_config.json → a preprocessing in our words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_RESAMPLE = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}  # Pillow's numbers


def read_processor(config: Mapping[str, Any]) -> dict[str, Any]:
    """Size, range, mean and spread, and how a picture of another shape is fitted."""
    found: dict[str, Any] = dict(_geometry(config))
    if config.get("do_rescale", True):
        factor = float(config.get("rescale_factor", 1 / 255))
        low = -1.0 if config.get("offset") or config.get("rescale_offset") else 0.0
        found["range"] = (low, 255 * factor + low)
    else:
        found["range"] = (0.0, 255.0)
    if config.get("do_normalize", True):
        for key, name in (("mean", "image_mean"), ("std", "image_std")):
            if config.get(name) is not None:
                found[key] = config[name]
    if config.get("resample") in _RESAMPLE:
        found["interpolation"] = _RESAMPLE[config["resample"]]
    return found


def _geometry(config: Mapping[str, Any]) -> dict[str, Any]:
    """What is resized and what is cut out."""
    height, width, shortest = _sides(config.get("size"))
    crop = _sides(config.get("crop_size"))
    if config.get("do_center_crop") and crop[0]:
        to = shortest or min(height or crop[0], width or crop[0])
        share = min(1.0, crop[0] / to) if config.get("do_resize", True) and to else 1.0
        return {"size": (crop[0], crop[1] or crop[0]), "resize": "crop", "crop_share": share}
    if shortest:
        # ConvNeXT's rule: below 384 the middle is cut out of a larger picture, from there on all is squashed
        share = float(config.get("crop_pct") or 1.0)
        squashed = "crop_pct" in config and shortest >= 384
        fit = {"resize": "squash"} if squashed else {"resize": "crop", "crop_share": share}
        return {"size": (shortest, shortest), **fit}
    return {"size": (height, width or height), "resize": "squash"} if height else {}


def _sides(size: Any) -> tuple[int | None, int | None, int | None]:
    """Height, width and shortest side of what may be a number, `{height, width}` or `{shortest_edge}`."""
    if isinstance(size, int):
        return size, size, None
    if isinstance(size, Mapping):
        return size.get("height"), size.get("width"), size.get("shortest_edge")
    return None, None, None
