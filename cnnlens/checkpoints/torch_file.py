"""PyTorch weights → a module: read weights-only, found inside their wrappings, fitted to an architecture."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CannotOpen, Mismatch, MissingPackage, Refused, UsageError
from .architecture import build
from .dense import check_loaded
from .formats import Format

if TYPE_CHECKING:
    from . import Opened

#: Where training loops keep the weights within a checkpoint, in the order in which they are looked for.
_WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "state_dict_ema",
    "model_ema",
    "ema",
    "model",
    "net",
    "weights",
)
#: What wrappers of modules put in front of every name.
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.")


def open_torch(
    path: Path, kind: Format, arch: Any, arch_args: Mapping[str, Any], device: str | None, trust: bool
) -> Opened:
    """A module with the file's weights in it; see `open_checkpoint` for the errors."""
    try:
        import torch
    except ImportError as error:
        raise MissingPackage("torch", "torch", f"{path.name}, a {kind.title},") from error
    from . import Opened

    _check_device(torch, device)
    if kind.variant in ("script", "export"):
        raise Refused(
            f"{path.name} is a {kind.title}: a program, not weights, and it shows nothing of its inside. "
            "Save the weights of the module it was made from: torch.save(module.state_dict(), …)"
        )
    content = _read(torch, path, kind, trust)
    if isinstance(content, torch.nn.Module):
        native, name, preprocess, notes = (
            content,
            type(content).__name__,
            None,
            ["a whole pickled module, trusted"],
        )
    else:
        check_loaded(torch, content, path.name)
        weights, notes = find_weights(torch, content, path)
        if arch is None:
            raise UsageError(
                f"{path.name} holds {len(weights)} arrays of weights and no architecture: "
                "name it with --arch (a torchvision name, package.module:callable or file.py:callable)"
            )
        built = build(arch, arch_args)
        native, name, preprocess = built.native, built.name, built.preprocess
        if not isinstance(native, torch.nn.Module):
            raise UsageError(
                f"{name}() built a {type(native).__name__}; PyTorch weights want a torch.nn.Module"
            )
        notes += fit_weights(native, weights, name)
    if device:
        native = _placed(native, device)
    return Opened(native.eval(), name, preprocess, {"arch": name, "opening_notes": notes})


def _check_device(torch: Any, device: str | None) -> None:
    if device is None:
        return
    known = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    base = device.partition(":")[0]
    if not known.get(base):
        has = ", ".join(name for name, there in known.items() if there)
        raise UsageError(f"no device {device!r} here; this machine has {has}")


def _placed(native: Any, device: str) -> Any:
    try:
        return native.to(device)
    except (RuntimeError, AssertionError) as error:  # no such number, or no room on it
        raise CannotOpen(f"cannot put the model on {device}: {str(error).partition(chr(10))[0]}") from error


def _read(torch: Any, path: Path, kind: Format, trust: bool) -> Any:
    if kind.variant == "safetensors":
        try:
            from safetensors.torch import load_file
        except ImportError as error:
            raise MissingPackage("safetensors", "torch", f"{path.name}, a {kind.title},") from error
        try:
            return load_file(path)
        except Exception as error:  # safetensors has its own error class, which is not its public name
            raise CannotOpen(f"{path.name} is not a whole safetensors file: {error}") from error
    try:
        return torch.load(path, map_location="cpu", weights_only=not trust)
    except pickle.UnpicklingError as error:
        reason = str(error).partition("\n")[0]
        raise Refused(
            f"{path.name} holds more than weights, and opening it would run code that came with it "
            f"({reason}). If you trust who made it, say --trust; better, save its state_dict() alone"
        ) from error
    except (
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
        KeyError,
        AttributeError,
        ModuleNotFoundError,
    ) as error:
        raise CannotOpen(
            f"{path.name} cannot be read as a {kind.title}: {str(error).partition(chr(10))[0]}"
        ) from error


def find_weights(torch: Any, content: Any, path: Path) -> tuple[dict[str, Any], list[str]]:
    """The state_dict within a checkpoint, wrappings and prefixes taken off, and what was taken off."""
    notes: list[str] = []
    found = content
    for key in _WRAPPERS:
        if (
            isinstance(found, Mapping)
            and isinstance(found.get(key), Mapping)
            and not _is_weights(torch, found)
        ):
            found = found[key]
            notes.append(f"weights found under {key!r}")
    if not isinstance(found, Mapping) or not _is_weights(torch, found):
        has = f"keys {list(content)[:8]}" if isinstance(content, Mapping) else f"a {type(content).__name__}"
        raise CannotOpen(f"{path.name} holds no weights that could be found: it has {has}")
    weights = {str(name): value for name, value in found.items() if isinstance(value, torch.Tensor)}
    return weights, notes


def _is_weights(torch: Any, value: Mapping[Any, Any]) -> bool:
    tensors = [v for v in value.values() if isinstance(v, torch.Tensor)]
    return bool(tensors) and all(isinstance(k, str) for k in value)


def fit_weights(module: Any, weights: dict[str, Any], name: str) -> list[str]:
    """Load the weights into the module, every one of them; Mismatch says what does not fit."""
    wanted = module.state_dict()
    stripped, prefixes = _without_prefix(weights, wanted)
    missing = [k for k in wanted if k not in stripped and not k.endswith("num_batches_tracked")]
    unexpected = [k for k in stripped if k not in wanted]
    wrong = [
        f"{k} is {tuple(v.shape)}, the architecture wants {tuple(wanted[k].shape)}"
        for k, v in stripped.items()
        if k in wanted and v.shape != wanted[k].shape
    ]
    if missing or unexpected or wrong:
        lists = [("missing", missing), ("unexpected", unexpected), ("of another shape", wrong)]
        told = "; ".join(f"{len(keys)} {what}: {_first(keys)}" for what, keys in lists if keys)
        raise Mismatch(f"the weights do not fit {name}: {told}{_guess(stripped, wanted)}")
    module.load_state_dict(stripped, strict=False)  # strict but for num_batches_tracked, which old files lack
    return [f"prefix {p!r} taken off" for p in prefixes]


def _without_prefix(weights: dict[str, Any], wanted: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    taken: list[str] = []
    changed = True
    while changed:
        changed = False
        for prefix in _PREFIXES:
            whole = all(k.startswith(prefix) for k in weights)
            if whole and not any(k in wanted for k in weights):
                weights = {k.removeprefix(prefix): v for k, v in weights.items()}
                taken.append(prefix)
                changed = True
    return weights, taken


def _first(keys: Sequence[str]) -> str:
    return ", ".join(keys[:10]) + (" …" if len(keys) > 10 else "")


def _guess(weights: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """The likeliest cause, where the only difference is the number of classes."""
    differing = [k for k in wanted if k in weights and weights[k].shape != wanted[k].shape]
    last = [k for k in wanted if k.endswith(("weight", "bias"))][-2:]
    if differing and set(differing) <= set(last) and set(weights) <= set(wanted):
        count = weights[differing[-1]].shape[0]
        return f". It was trained for {count} classes: --arch-arg num_classes={count}"
    return ""
