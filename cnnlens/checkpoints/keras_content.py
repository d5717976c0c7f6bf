"""What a Keras file holds, read without Keras: its configuration, its versions and its arrays."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CannotOpen, Refused
from .archives import read_archive
from .hdf5_tree import Dataset, read_tree
from .keras_config import objects, parse_config
from .limits import GRACE, MOST_TEXT
from .words import shown


@dataclass(frozen=True)
class KerasContent:
    """A Keras file, described; `config` is None where the file holds weights alone."""

    config: Any
    datasets: tuple[Dataset, ...]
    versions: Mapping[str, str]
    metadata: Mapping[str, str]


def read_keras_zip(path: Path) -> KerasContent:
    """The description of a `.keras` file."""
    archive = read_archive(path)
    told = parse_config(archive.read("metadata.json", MOST_TEXT), path.name)
    config = parse_config(archive.read("config.json", MOST_TEXT), path.name)
    datasets: tuple[Dataset, ...] = ()
    if "model.weights.npz" in archive.entries:
        raise CannotOpen(
            f"{path.name} keeps its weights as .npz, which is not read: save it again with Keras 3"
        )
    for name in (n for n in archive.entries if n.endswith((".h5", ".hdf5"))):
        with archive.open(name, GRACE * 4) as file:
            found = read_tree(
                file, f"{shown(name, 80)} in {path.name}", archive.entries[name].stored
            ).datasets
        datasets += tuple(found)
    versions = {
        k: str(v)[:40] for k, v in (told if isinstance(told, dict) else {}).items() if k == "keras_version"
    }
    rest = {k: str(v)[:200] for k, v in (told if isinstance(told, dict) else {}).items() if k not in versions}
    return KerasContent(config, datasets, versions, rest)


def read_keras_h5(path: Path) -> KerasContent:
    """The description of an HDF5 file of Keras: a whole model, or weights alone."""
    if zipfile.is_zipfile(path):  # Keras would read the archive where the file is named .keras
        raise Refused(
            f"{path.name} can be read in more than one way, so it is not read at all: HDF5 and a zip archive"
        )
    tree = read_tree(path, path.name, path.stat().st_size)
    text = tree.attributes.get("model_config")
    config = parse_config(text, path.name) if isinstance(text, str) else None
    versions = {k: str(tree.attributes[k])[:40] for k in ("keras_version", "backend") if k in tree.attributes}
    rest = {k: str(v)[:200] for k, v in tree.attributes.items() if k not in (*versions, "model_config")}
    return KerasContent(config, tuple(tree.datasets), versions, rest)


def too_wide(content: KerasContent) -> Iterator[str]:
    """Layers wider than the file has numbers for: Keras makes room before it reads them."""
    there = sum(math.prod(one.shape) for one in content.datasets)
    for one in objects(content.config) if there else ():
        inner = one.get("config")
        for key in ("units", "filters", "input_dim", "output_dim"):
            wide = inner.get(key) if isinstance(inner, dict) else None
            if type(wide) is int and wide > there:
                yield f"a layer of {wide:,} {key} in a file of {there:,} numbers"


def check_widths(content: KerasContent, name: str) -> None:
    """Refuse a configuration that asks for more memory than its weights can fill."""
    told = next(too_wide(content), None)
    if told is not None:
        raise Refused(f"{name} declares {told}")
