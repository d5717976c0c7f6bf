"""Pictures whose class is known: a folder with a sub-folder for each class, or a CSV of files and labels."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import CannotOpen
from ..images import SUFFIXES

_FILE_COLUMNS = ("file", "filename", "path", "image", "picture", "name")
_LABEL_COLUMNS = ("label", "class", "target", "category", "truth")


@dataclass(frozen=True)
class Samples:
    """Picture files, the number of the class of each (None where that is not known), and what was noted."""

    paths: tuple[Path, ...]
    truths: tuple[int, ...] | None
    names: Mapping[int, str]  #: the label that each class has among the pictures
    notes: tuple[str, ...] = ()


def read_samples(
    place: Path | None, labels_csv: Path | None, classes: Sequence[str] | None, count: int, limit: int
) -> Samples:
    """The pictures in `place`, at most `limit` of them, as many of each class as can be.

    Labels come from `labels_csv`, else from `place` if it is a CSV, else from `place/labels.csv`, else from
    the names of sub-folders. They are matched to `classes`, or are numbers from 0 to `count` − 1.
    """
    if place is not None and place.suffix.lower() == ".csv":
        place, labels_csv = None, place
    if place is not None and not place.is_dir():
        raise CannotOpen(f"no such folder of pictures: {place}")
    if labels_csv is None and place is not None and (place / "labels.csv").is_file():
        labels_csv = place / "labels.csv"
    if labels_csv is not None:
        pairs = _from_csv(labels_csv, place or labels_csv.parent)
    else:
        assert place is not None
        pairs = _from_folders(place)
    if not pairs:
        raise CannotOpen(f"{place or labels_csv} holds no picture ({' '.join(SUFFIXES)})")
    return _numbered(pairs, classes, count, limit)


def _from_folders(place: Path) -> list[tuple[Path, str]]:
    """Every picture with the name of its sub-folder; with "" for each where there is no sub-folder."""
    folders = [d for d in sorted(place.iterdir()) if d.is_dir() and not d.name.startswith(".")]
    pairs = [(path, folder.name) for folder in folders for path in _pictures(folder.rglob("*"))]
    return pairs or [(path, "") for path in _pictures(place.iterdir())]


def _pictures(paths: Iterable[Path]) -> list[Path]:
    return sorted(p for p in paths if p.suffix.lower() in SUFFIXES and p.is_file())


def _from_csv(path: Path, base: Path) -> list[tuple[Path, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CannotOpen(f"cannot read labels from {path}: {error}") from error
    rows = [row for row in csv.reader(text.splitlines()) if row]
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    file = next((header.index(c) for c in _FILE_COLUMNS if c in header), None)
    label = next((header.index(c) for c in _LABEL_COLUMNS if c in header), None)
    body = rows[1:] if file is not None and label is not None else rows
    file, label = (0, 1) if file is None or label is None else (file, label)
    pairs = []
    for line, row in enumerate(body, 1 + len(rows) - len(body)):
        if len(row) <= max(file, label):
            raise CannotOpen(f"line {line} of {path} has {len(row)} column(s); a row is file,label")
        pairs.append((base / row[file].strip(), row[label].strip()))
    missing = [p.name for p, _ in pairs if not p.is_file()]
    if missing:
        raise CannotOpen(f"{len(missing)} of {len(pairs)} files in {path} are not there: {_few(missing)}")
    return pairs


def _numbered(
    pairs: Sequence[tuple[Path, str]], classes: Sequence[str] | None, count: int, limit: int
) -> Samples:
    """Pairs with their labels as class numbers, or without labels where the labels name no class."""
    notes: list[str] = []
    names = sorted({name for _, name in pairs} - {""})
    numbers = _match(names, classes, count, notes)
    if not numbers:
        if not names:
            notes.append("the folder has no sub-folders and no labels.csv, so accuracy cannot be known")
        paths = _spread([[path for path, _ in pairs]], limit)
        return Samples(tuple(paths[0]), None, {}, tuple(_cut(notes, len(pairs), len(paths[0]))))
    held = [[path for path, name in pairs if name == one] for one in numbers]
    kept = _spread(held, limit)
    truths = [numbers[name] for name, some in zip(numbers, kept, strict=True) for _ in some]
    notes = _cut(notes, sum(map(len, held)), len(truths))
    found = {number: name for name, number in numbers.items()}
    return Samples(tuple(path for some in kept for path in some), tuple(truths), found, tuple(notes))


def _match(
    names: Sequence[str], classes: Sequence[str] | None, count: int, notes: list[str]
) -> dict[str, int]:
    """Label → class number, for the labels that say a class."""
    known = _folded(classes or ())
    found = {name: known[_fold(name)] for name in names if _fold(name) in known}
    if not found and names and all(n.isdecimal() and int(n) < count for n in names):
        return {name: int(name) for name in names}
    if not found and classes is None and len(names) == count:
        notes.append(
            "the model names no classes: its outputs are taken to be the labels in alphabetical order"
        )
        return {name: number for number, name in enumerate(names)}
    lost = [name for name in names if name not in found]
    if names and not found:
        notes.append(
            f"no label is a class of the model ({_few(lost)}; it has {count}"
            + (f": {_few(classes)}" if classes else ", without names")
            + "), so accuracy cannot be known; give --labels with its classes in order"
        )
    elif lost:
        notes.append(f"{len(lost)} labels are no class of the model and were left out: {_few(lost)}")
    return found


def _folded(classes: Sequence[str]) -> dict[str, int]:
    """Each class's name, and each of its synonyms between commas, that is of one class alone."""
    owners: dict[str, set[int]] = {}
    for number, name in enumerate(classes):
        for word in (name, *name.split(",")):
            owners.setdefault(_fold(word), set()).add(number)
    return {word: min(numbers) for word, numbers in owners.items() if len(numbers) == 1}


def _fold(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def _spread(held: Sequence[Sequence[Path]], limit: int) -> list[list[Path]]:
    """At most `limit` files, the same number of each class as far as they go; drawn by a fixed seed."""
    rng = np.random.default_rng(0)
    drawn = [[some[i] for i in rng.permutation(len(some))] for some in held]
    share = [0] * len(drawn)
    left = min(limit, sum(map(len, drawn)))
    while left:
        for i, some in enumerate(drawn):
            if left and share[i] < len(some):
                share[i] += 1
                left -= 1
    return [some[:n] for some, n in zip(drawn, share, strict=True)]


def _cut(notes: list[str], found: int, used: int) -> list[str]:
    return [*notes, f"{used} of {found} pictures used; --limit takes more"] if used < found else notes


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
