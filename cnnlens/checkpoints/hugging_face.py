"""A folder as Hugging Face lays it out (config.json and safetensors) → a model, its input and its labels.

Nothing is fetched: transformers and timm are handed what is in the folder, and code in it is never run.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CannotOpen, Mismatch, MissingPackage, Refused
from ..preprocess import from_hf
from .architecture import build
from .fitting import fit_weights
from .safetensors_header import read_header

if TYPE_CHECKING:
    from . import Opened

_CONFIG = "config.json"


def is_repository(path: Path) -> bool:
    """Whether the folder has a configuration that names a model of transformers or timm."""
    if not (path / _CONFIG).is_file():
        return False
    config = _read_json(path / _CONFIG)
    return "model_type" in config or "architecture" in config


def open_repository(path: Path, *, device: str | None) -> Opened:
    """The image classifier of such a folder; its own labels and preprocessing come with it."""
    config = _read_json(path / _CONFIG)
    weights = sorted(path.glob("*.safetensors"))
    if not weights:
        raise CannotOpen(
            f"{path} has a {_CONFIG} and no .safetensors file, the only kind of weights read from such a "
            "folder: save them with save_pretrained(…, safe_serialization=True)"
        )
    for file in weights:
        read_header(file)
    opened = _open_timm(config, weights[0]) if "model_type" not in config else _open_hf(path, config)
    from . import sha256
    from .torch_file import check_device, placed

    if device:
        check_device(device)
        opened = replace(opened, native=placed(opened.native, device))
    facts = {"checkpoint": path.name, "checkpoint_sha256": sha256(weights[0])}
    return replace(opened, native=opened.native.eval(), facts={**facts, **opened.facts})


def _open_timm(config: Mapping[str, Any], weights: Path) -> Opened:
    """timm's layout: the name of an architecture and what `create_model` is given."""
    from safetensors.torch import load_file

    from . import Opened

    told = dict(config.get("pretrained_cfg") or {})
    arguments = {"num_classes": config["num_classes"]} if "num_classes" in config else {}
    built = build(f"timm:{config['architecture']}", {**arguments, **dict(config.get("model_args") or {})})
    if "mean" in told and hasattr(built.native, "pretrained_cfg"):
        built.native.pretrained_cfg = told
        from .zoo import timm_zoo

        built = built._replace(preprocess=timm_zoo().preprocess(built.native, built.name))
    notes = fit_weights(built.native, load_file(weights), built.name)
    names = told.get("label_names") or config.get("label_names")
    labels = tuple(map(str, names)) if isinstance(names, list) else None
    facts = {"format": "timm folder", "arch": built.name, "opening_notes": notes}
    return Opened(built.native, built.name, built.preprocess, facts, labels)


def _open_hf(path: Path, config: Mapping[str, Any]) -> Opened:
    from . import Opened

    kind = str(config["model_type"])
    if "auto_map" in config:
        raise Refused(
            f"{path} brings its own code ({_CONFIG} has auto_map), and opening it would run that code: "
            "use the architecture's own file with --arch file.py:callable and its .safetensors"
        )
    try:
        transformers = importlib.import_module("transformers")
    except ImportError as error:
        raise MissingPackage("transformers", "hf", f"{path.name}, a Hugging Face folder,") from error
    native, report = _from_pretrained(transformers, path, kind)
    told = {
        what: sorted(map(str, report.get(what) or ()))
        for what in ("missing_keys", "unexpected_keys", "mismatched_keys")
    }
    wrong = [
        f"{len(keys)} {what.replace('_', ' ')}: {', '.join(keys[:10])}" for what, keys in told.items() if keys
    ]
    if wrong:
        raise Mismatch(f"the weights in {path.name} do not fit its {_CONFIG} ({kind}): {'; '.join(wrong)}")
    processor = path / "preprocessor_config.json"
    preprocess = from_hf(_read_json(processor)) if processor.is_file() else None
    notes = [] if preprocess else [f"no {processor.name}: its input is not known"]
    facts = {"format": "Hugging Face folder", "arch": type(native).__name__, "opening_notes": notes}
    return Opened(native, type(native).__name__, preprocess, facts, _labels(config))


def _from_pretrained(transformers: Any, path: Path, kind: str) -> tuple[Any, Mapping[str, Any]]:
    try:
        return transformers.AutoModelForImageClassification.from_pretrained(  # type: ignore[no-any-return]
            str(path.resolve()), local_files_only=True, use_safetensors=True, trust_remote_code=False,
            output_loading_info=True,
        )  # fmt: skip
    except Exception as error:  # transformers raises whatever its parts raise
        reason = str(error).partition("\n")[0]
        raise CannotOpen(
            f"{path} does not open as an image classifier ({kind}) with transformers "
            f"{transformers.__version__}: {reason}"
        ) from error


def _labels(config: Mapping[str, Any]) -> tuple[str, ...] | None:
    """id2label in the order of its numbers; None where it only numbers them itself (LABEL_0)."""
    named = config.get("id2label")
    if not isinstance(named, Mapping) or not named:
        return None
    names = tuple(str(named[key]) for key in sorted(named, key=int))
    return None if all(name == f"LABEL_{i}" for i, name in enumerate(names)) else names


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CannotOpen(f"cannot read {path}: {error}") from error
    return values if isinstance(values, dict) else {}
