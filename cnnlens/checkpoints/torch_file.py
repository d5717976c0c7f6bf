"""PyTorch weights → a module: read weights-only, found inside their wrappings, fitted to an architecture."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import CannotOpen, MissingPackage, Refused, UsageError
from ..labels import from_metadata
from .architecture import Built, build, find_named
from .dense import check_loaded
from .fitting import fit_weights
from .formats import Format
from .harmless import harmless_globals
from .matching import Match, find, nearest
from .published import find_published
from .unwrapping import Unwrapped, unwrap
from .zoo import installed_zoos

if TYPE_CHECKING:
    from . import Opened


def open_torch(
    path: Path,
    kind: Format,
    arch: Any,
    arch_args: Mapping[str, Any],
    device: str | None,
    trust: bool,
    digest: str = "",
) -> Opened:
    """A module with the file's weights in it; see `open_checkpoint` for the errors.

    `digest` is the file's SHA-256, by which files that torchvision publishes are known.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingPackage("torch", "torch", f"{path.name}, a {kind.title},") from error
    from . import Opened

    check_device(device)
    if kind.variant in ("script", "export"):
        raise Refused(
            f"{path.name} is a {kind.title}: a program, not weights, and it shows nothing of its inside. "
            "Save the weights of the module it was made from: torch.save(module.state_dict(), …)"
        )
    content = _read(torch, path, kind, trust)
    labels = None
    if isinstance(content, torch.nn.Module):
        built = Built(content, type(content).__name__)
        notes = ["a whole pickled module, trusted"]
    else:
        check_loaded(torch, content, path.name)
        held = unwrap(content, path.name)
        asked = _Asked(arch, arch_args, path.name, digest)
        built, labels, notes = _fitted(torch, held, asked)
        labels = labels or (from_metadata(content) if isinstance(content, Mapping) else None)
    native = placed(built.native, device) if device else built.native
    facts = {"arch": built.name, "opening_notes": notes}
    return Opened(native.eval(), built.name, built.preprocess, facts, labels)


class _Asked(NamedTuple):
    """What was asked for, and of which file."""

    arch: Any
    arguments: Mapping[str, Any]
    file: str
    digest: str


def _fitted(torch: Any, held: Unwrapped, asked: _Asked) -> tuple[Built, tuple[str, ...] | None, list[str]]:
    """The architecture, asked for or found, with the weights in it; labels and preprocessing where known."""
    published = find_published(asked.digest)
    arch, arguments, notes = asked.arch, asked.arguments, []
    if arch is None:
        match = _narrowed(_found(held, asked.file), published.name if published else held.arch, asked.file)
        arch, arguments = match.names[0].partition(",")[0], {**_chosen_by(match), **arguments}
        notes = [f"architecture found from the tensors: {match.names[0]}", *match.why, *_class_note(match)]
    elif isinstance(arch, str) and not arguments and (named := find_named(arch)):
        fitting = find(held.weights, [named[0]])
        if fitting and (fitting := fitting.narrowed(named[1])):
            arguments, notes = _chosen_by(fitting), _class_note(fitting)
    built = build(arch, arguments)
    if not isinstance(built.native, torch.nn.Module):
        raise UsageError(
            f"{built.name}() built a {type(built.native).__name__}; PyTorch weights want a torch.nn.Module"
        )
    notes = [*held.notes, *fit_weights(built.native, held.weights, built.name), *notes, *built.assumed]
    if published and published.name == built.name:
        notes.append(f"published by torchvision: {published.weights}")
        return built._replace(preprocess=published.preprocess), published.labels, notes
    return built, None, notes


def _chosen_by(match: Match) -> dict[str, Any]:
    """The arguments that the tensors themselves ask for."""
    return {**match.entries[0].arguments, "num_classes": match.classes}


def _class_note(match: Match) -> list[str]:
    return [] if match.classes == 1000 else [f"{match.classes} classes, read from the tensors"]


def _found(held: Unwrapped, file: str) -> Match:
    """The architectures that the weights fit; UsageError names the nearest where there is none."""
    match = find(held.weights)
    if match:
        return match
    called = f", which the file calls {held.arch!r}" if held.arch else ""
    searched = " and ".join(f"{zoo.title} {zoo.version}" for zoo in installed_zoos())
    near = "".join(f"\n  {one}" for one in nearest(held.weights))
    told = f"; the nearest are{near}" if near else ""
    raise UsageError(
        f"{file} holds {len(held.weights)} arrays of weights and no architecture: name it with --arch "
        "(a torchvision or timm name, package.module:callable or file.py:callable). "
        f"They fit no architecture of {searched}{called}{told}"
    )


def _narrowed(match: Match, called: str | None, file: str) -> Match:
    """The match, by the file's own word where several fit; UsageError lists them where nothing decides."""
    if len(match.entries) == 1:
        return match
    narrowed = match.narrowed(called)
    if narrowed and len(narrowed.entries) == 1:
        return replace(narrowed, why=(f"of {', '.join(match.names)} the one that the file names",))
    raise UsageError(
        f"the tensors of {file} fit {len(match.entries)} architectures that have the same names and shapes "
        f"and compute or are fed differently: choose with --arch {' | '.join(match.names)}"
    )


def check_device(device: str | None) -> None:
    """UsageError where this machine has no such device."""
    if device is None:
        return
    import torch

    known = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    base = device.partition(":")[0]
    if not known.get(base):
        has = ", ".join(name for name, there in known.items() if there)
        raise UsageError(f"no device {device!r} here; this machine has {has}")


def placed(native: Any, device: str) -> Any:
    """The module on the device; CannotOpen where there is no room or no such number."""
    try:
        return native.to(device)
    except (RuntimeError, AssertionError) as error:  # no such number, or no room on it
        raise CannotOpen(f"cannot put the model on {device}: {str(error).partition(chr(10))[0]}") from error


def _read(torch: Any, path: Path, kind: Format, trust: bool) -> Any:
    if kind.variant == "safetensors":
        return _read_safetensors(path, kind)
    try:
        with torch.serialization.safe_globals(harmless_globals()):
            return torch.load(path, map_location="cpu", weights_only=not trust, mmap=False)
    except pickle.UnpicklingError as error:
        said = re.search(r"Unsupported [^\n]*?(?= was not|\. Please|$)", str(error), re.MULTILINE)
        reason = f" ({said[0]})" if said else ""
        raise Refused(
            f"{path.name} holds more than weights, and opening it would run code that came with it"
            f"{reason}. If you trust who made it, say --trust; better, save its state_dict() alone"
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


def _read_safetensors(path: Path, kind: Format) -> Any:
    """The tensors, with what the file's metadata says of its architecture beside them."""
    try:
        from safetensors import safe_open
    except ImportError as error:
        raise MissingPackage("safetensors", "torch", f"{path.name}, a {kind.title},") from error
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = dict(file.metadata() or {})
            weights = {name: file.get_tensor(name) for name in file.keys()}
    except Exception as error:  # safetensors has its own error class, which is not its public name
        raise CannotOpen(f"{path.name} is not a whole safetensors file: {error}") from error
    return {**{key: metadata[key] for key in ("arch", "architecture") if key in metadata}, **weights}
