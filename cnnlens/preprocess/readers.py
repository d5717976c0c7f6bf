"""From what says how pictures are prepared, ours or another library's, to an InputSpec."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import BadInput, UnknownName
from .presets import PRESETS
from .spec import InputSpec, read_numbers, read_whole

KEYS = ("size", *(f.name for f in dataclasses.fields(InputSpec)))
#: Pillow's numbers of resampling filters, as Hugging Face writes them.
_RESAMPLE = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}


def read_preprocess(given: object, height: int, width: int, channels: int) -> InputSpec:
    """A preset's name, a mapping, a JSON file or a torchvision transform → an InputSpec.

    `height`, `width` and `channels` are the model's own and hold where nothing else is said. A mapping may
    say `size` (a side, or height and width) or `height` and `width`; `InputSpec.facts()` is such a mapping.
    """
    if isinstance(given, InputSpec):
        return given
    values, source = _values(given)
    for key in values:
        if key not in KEYS:
            raise UnknownName("preprocessing key", str(key), KEYS)
    height, width = _sides(values, height, width)
    channels = read_whole("channels", values.pop("channels", channels))
    for key in ("mean", "std"):  # three numbers for colours fit a grey model by their average
        if key in values and channels == 1:
            numbers = read_numbers(key, values[key], "a number, or one per channel")
            values[key] = (sum(numbers) / len(numbers),)
    return InputSpec(height, width, channels, source=source, **values)


def _values(given: object) -> tuple[dict[str, Any], str]:
    """What was given as a mapping of its own, and where from."""
    if isinstance(given, str) and given in PRESETS:
        return dict(PRESETS[given]), f"preset {given}"
    if isinstance(given, (str, Path)) and Path(given).suffix == ".json":
        values = _read_file(Path(given))
        values.pop("source", None)  # where those were from that wrote the file
        return values, f"file {Path(given).name}"
    if isinstance(given, Mapping):
        values = dict(given)
        return values, str(values.pop("source", "given"))
    if hasattr(given, "crop_size") and hasattr(given, "mean"):
        return from_torchvision(given), "torchvision transform"
    raise UnknownName("preprocessing", str(given), PRESETS, " (nor a .json file, nor a mapping)")


def _sides(values: dict[str, Any], height: int, width: int) -> tuple[int, int]:
    """Height and width, taken out of `values` where they are said."""
    if "size" in values:
        size = values.pop("size")
        sides = read_numbers("size", size, "a side, or height and width", most=2)
        height, width = (read_whole("size", side) for side in (sides[0], sides[-1]))
    return values.pop("height", height), values.pop("width", width)


def _read_file(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot read the preprocessing in {path}: {error}") from error
    if not isinstance(values, dict):
        raise BadInput(
            f"{path} holds a {type(values).__name__}; a preprocessing is an object with {', '.join(KEYS)}"
        )
    return values


def from_torchvision(transform: Any) -> dict[str, Any]:
    """What torchvision's ImageClassification transform says, in our words."""
    crop, resize = transform.crop_size[0], transform.resize_size[0]
    mean, std = tuple(transform.mean), tuple(transform.std)
    how = transform.interpolation.value
    return {
        "size": crop, "mean": mean, "std": std, "crop_share": min(1.0, crop / resize), "interpolation": how,
    }  # fmt: skip


def from_timm(config: Mapping[str, Any]) -> dict[str, Any]:
    """What timm says of a model (`pretrained_cfg`, or `config.json` of a repository), in our words.

    timm's own defaults hold for what is not said. Sizes are those of training; where timm tests at another
    size, nothing of that is taken.
    """
    held = {**config, **config.get("pretrained_cfg", {})}
    channels, height, width = held.get("input_size") or (held.get("in_chans", 3), 224, 224)
    mode = held.get("crop_mode") or "center"
    squashes = mode == "squash"
    interpolation = str(held.get("interpolation") or "bicubic")
    name = held.get("architecture") or held.get("hf_hub_id") or "a model"
    return {
        "size": (int(height), int(width)),
        "channels": int(channels),
        "mean": tuple(held.get("mean") or (0.485, 0.456, 0.406)),
        "std": tuple(held.get("std") or (0.229, 0.224, 0.225)),
        "resize": "squash" if squashes else "pad" if mode == "border" else "crop",
        "crop_share": float(held.get("crop_pct") or 0.875),
        "interpolation": "bicubic" if interpolation == "random" else interpolation,
        "source": f"timm's configuration of {name}",
    }


def from_hf(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a Hugging Face `preprocessor_config.json` says, in our words; BadInput where it says no size."""
    kind = config.get("image_processor_type") or config.get("feature_extractor_type") or "image processor"
    values = _hf_fit(config, str(kind))
    top = 255 * float(config.get("rescale_factor", 1 / 255)) if config.get("do_rescale", True) else 255.0
    low = -1.0 if config.get("rescale_offset") and config.get("do_rescale", True) else 0.0
    values["range"] = (low, top + low)
    if config.get("do_normalize", True) and config.get("image_mean") and config.get("image_std"):
        values["mean"], values["std"] = tuple(config["image_mean"]), tuple(config["image_std"])
    if config.get("do_flip_channel_order"):
        values["order"] = "BGR"
    values["interpolation"] = _RESAMPLE.get(config.get("resample", 2), "bilinear")
    values["source"] = f"preprocessor_config.json ({kind})"
    return values


def _hf_fit(config: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Size, rule and share. Processors write the size as a number, as two sides, or as the shorter side."""
    size = config.get("size")
    crop = _hf_sides(config.get("crop_size")) if config.get("do_center_crop", "crop_pct" in config) else None
    if isinstance(size, Mapping) and "shortest_edge" in size:
        size, is_edge = read_whole("shortest_edge", size["shortest_edge"]), True
    else:
        is_edge = isinstance(size, int) and crop is not None
    if is_edge and isinstance(size, int):
        edge = size
        share = config.get("crop_pct") or (224 / 256 if kind.startswith("ConvNext") else None)
        if share and not config.get("crop_size"):  # ConvNeXt's: large pictures are squashed, small ones cut
            rule = {"resize": "squash"} if edge >= 384 else {"resize": "crop", "crop_share": float(share)}
            return {"size": (edge, edge), **rule}
        sides = crop or (edge, edge)
        return {"size": sides, "resize": "crop", "crop_share": min(1.0, min(sides) / edge)}
    whole = _hf_sides(size)
    if whole is None:
        raise BadInput(f"the {kind} says no size of pictures; give --preprocess a file with `size`")
    if crop is None:
        return {"size": whole, "resize": "squash"}
    return {"size": crop, "resize": "squash", "crop_share": min(1.0, crop[0] / whole[0])}


def _hf_sides(size: object) -> tuple[int, int] | None:
    if isinstance(size, int):
        return size, size
    if isinstance(size, Mapping) and {"height", "width"} <= size.keys():
        return read_whole("height", size["height"]), read_whole("width", size["width"])
    return None
