"""What a checkpoint holds and what loading it would run, told without running any of it.

Every reader here is our own and inert: pickles become notes, configurations JSON, arrays their shapes. No
framework is imported, and no class or function that the file names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import CannotOpen
from . import sha256
from .archives import read_archive
from .dense import foreign_names, oddities
from .exported import exported_tensors
from .formats import Format, recognise
from .found import find_weights, wrapped_prefixes
from .index import read_table
from .inspection import Inspection, TensorFact, class_count
from .keras_config import code_named, layer_count
from .keras_content import KerasContent, read_keras_h5, read_keras_zip, too_wide
from .limits import MOST_TEXT
from .matching import find
from .safetensors_header import read_header
from .torch_content import read_torch_legacy, read_torch_zip
from .words import brief, shown


def inspect(path: str | Path) -> Inspection:
    """What a checkpoint file holds: format, versions, tensors, metadata, and what loading it would run.

    Nothing of the file is executed. Raises CannotOpen for what is no checkpoint or is damaged, Refused for
    what is built to deceive or to exhaust.
    """
    path = Path(path)
    kind = recognise(path)
    if kind.framework == "none":
        hint = f": {kind.hint}" if kind.hint else ""
        raise CannotOpen(f"{path} is {kind.title}, not a checkpoint that cnnlens reads{hint}")
    begun = Inspection(path.name, path.stat().st_size, sha256(path), kind.title, kind.framework)
    told = _READERS[kind.framework, kind.variant](path, kind, begun)
    told = replace(told, problems=tuple(dict.fromkeys(told.problems)))
    architecture, classes = _matched(told) if kind.framework == "torch" else (told.architecture, told.classes)
    if classes is None:
        classes = class_count(told.tensors, kind.framework)
    return replace(told, architecture=architecture, classes=classes)


@dataclass(frozen=True)
class _Listed:
    """A library of architectures as the shipped table lists it: nothing of it need be installed or imported."""

    title: str
    version: str = ""

    def names(self) -> list[str]:
        return sorted(read_table()[self.title])


def _matched(told: Inspection) -> tuple[str, int | None]:
    """The architectures that names and shapes fit, and the number of classes that goes with them."""
    listed: Any = [_Listed(title) for title in read_table()]
    match = find({tensor.name: tensor for tensor in told.tensors}, listed) if told.tensors else None
    return ("none that is known", None) if match is None else (" or ".join(match.names), match.classes)


def _torch(path: Path, kind: Format, begun: Inspection) -> Inspection:
    content = read_torch_legacy(path) if kind.variant == "legacy" else read_torch_zip(path)
    found = find_weights(content.value)
    return replace(
        begun,
        versions=dict(content.versions),
        tensors=found.tensors,
        other_tensors=len(found.others),
        other_bytes=sum(one.bytes for one in found.others),
        metadata=found.metadata,
        wrapper=found.wrapper,
        prefixes=wrapped_prefixes([tensor.name for tensor in found.tensors]),
        would_run=tuple(shown(name) for name in (*foreign_names(content.pickle), *content.programs)),
        problems=tuple(oddities(content.pickle)),
    )


def _exported(path: Path, kind: Format, begun: Inspection) -> Inspection:
    archive = read_archive(path)
    programs = [n for n in archive.entries if n.endswith((".json", ".pt", ".so", ".cpp", ".py"))]
    versions = {
        leaf.replace("_", " "): shown(archive.read(name, MOST_TEXT)[:40].decode("utf-8", "replace").strip())
        for name in archive.entries
        if (leaf := name.rpartition("/")[2]) in ("archive_version", "archive_format", "version", "byteorder")
    }
    told = tuple(
        f"the program {shown(n.partition('/')[2] or n)}" for n in programs if not n.endswith("_config.json")
    )
    return replace(begun, versions=versions, tensors=exported_tensors(archive), would_run=told)


def _safetensors(path: Path, kind: Format, begun: Inspection) -> Inspection:
    header = read_header(path)
    tensors = tuple(TensorFact(t.name, t.shape, t.dtype, t.end - t.begin) for t in header.tensors)
    metadata = {shown(key): shown(value) for key, value in header.metadata.items()}
    prefixes = wrapped_prefixes([tensor.name for tensor in tensors])
    return replace(begun, tensors=tensors, metadata=metadata, prefixes=prefixes)


def _keras(path: Path, kind: Format, begun: Inspection) -> Inspection:
    content = read_keras_zip(path) if kind.variant == "zip" else read_keras_h5(path)
    ours: list[TensorFact] = []
    others: list[TensorFact] = []
    for one in content.datasets:
        optimiser = one.name.split("/", 1)[0] in ("optimizer", "optimizer_weights")
        (others if optimiser else ours).append(TensorFact(one.name, one.shape, one.dtype, one.bytes))
    return replace(
        begun,
        versions={shown(k): shown(v) for k, v in content.versions.items()},
        tensors=tuple(ours),
        other_tensors=len(others),
        other_bytes=sum(one.bytes for one in others),
        metadata={shown(k): shown(v) for k, v in content.metadata.items()},
        architecture=_keras_architecture(content),
        classes=class_count(tuple(ours), "keras", content.config),
        would_run=tuple(shown(name) for name in code_named(content.config)),
        problems=tuple(too_wide(content)),
    )


def _keras_architecture(content: KerasContent) -> str:
    if not isinstance(content.config, dict):
        return "not in the file: it holds weights alone"
    inner = content.config.get("config")
    name = inner.get("name") if isinstance(inner, dict) else None
    told = f"{brief(content.config.get('class_name'))} of {layer_count(content.config)} layers"
    return f"{told}, named {shown(name)!r}" if isinstance(name, str) else told


_READERS: dict[tuple[str, str], Callable[[Path, Format, Inspection], Inspection]] = {
    ("torch", "zip"): _torch,
    ("torch", "legacy"): _torch,
    ("torch", "script"): _torch,
    ("torch", "export"): _exported,
    ("torch", "safetensors"): _safetensors,
    ("keras", "zip"): _keras,
    ("keras", "h5"): _keras,
}
