"""Names of classes: from a list, a file, or the thousand of ImageNet."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from ..errors import BadInput, CannotOpen


def read_labels(given: str | Path | Sequence[str] | None) -> tuple[str, ...] | None:
    """`imagenet`, a sequence of names, or a file → names in the order of the classes.

    Files: text with a name a line; JSON with a list or an object from number to name (ImageNet's
    `{"0": ["n0144…", "tench"]}` too); CSV with a column `name` or `label`, or number and name.
    """
    if given is None:
        return None
    if isinstance(given, str) and given == "imagenet":
        return imagenet()
    if not isinstance(given, (str, Path)):
        return tuple(map(str, given))
    path = Path(given)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CannotOpen(
            f"cannot read labels from {path}: {error}; give `imagenet` or a file of names"
        ) from error
    if path.suffix.lower() == ".json":
        return _from_json(text, path)
    if path.suffix.lower() == ".csv":
        return _from_csv(text)
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def imagenet() -> tuple[str, ...]:
    """The names of the thousand classes of ILSVRC 2012, as torchvision words them."""
    text = resources.files(__package__).joinpath("imagenet.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


#: Where training scripts keep the names of the classes, in the order in which they are believed.
_NAME_KEYS = (
    "id2label", "idx_to_class", "class_to_idx", "label2id", "class_names", "label_names", "classes", "labels",
    "categories", "names",
)  # fmt: skip


def from_metadata(metadata: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The names of the classes in what a checkpoint says beside its weights; None where it names none.

    Lists of names, objects from number to name or from name to number, the same as JSON in a text (as
    safetensors must), or names with commas between. What does not number its classes from 0 on is passed
    over: a guess at names would be worse than numbers.
    """
    for key in _NAME_KEYS:
        names = _names_in(metadata.get(key))
        if names is not None:
            return names
    for key in ("config", "hyper_parameters", "hparams", "args", "meta", "metadata", "cnnlens"):
        inner = metadata.get(key)
        if isinstance(inner, str):
            inner = _as_json(inner)
        found = from_metadata(inner) if isinstance(inner, Mapping) else None
        if found is not None:
            return found
    return None


def _names_in(value: object) -> tuple[str, ...] | None:
    """A list or object of names; None for all else: how many classes, the label of each picture."""
    if isinstance(value, str):
        value = _as_json(value)
        value = value.split(",") if isinstance(value, str) and "," in value else value
    if isinstance(value, Mapping):
        texts = {str(k): v for k, v in value.items()}
        try:
            value = _by_number(texts, "metadata")
        except CannotOpen:
            return None
    if not isinstance(value, (list, tuple)) or len(value) < 2:
        return None
    if not all(isinstance(v, str) for v in value):
        return None
    return tuple(str(v).strip() for v in value)


def _as_json(text: str) -> Any:
    """What the text says as JSON; the text itself where it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def check_count(names: Sequence[str] | None, count: int, where: str) -> None:
    """BadInput where there are not as many names as classes."""
    if names is not None and len(names) != count:
        raise BadInput(f"{len(names)} labels for the {count} classes of {where}")


def _from_json(text: str, path: Path) -> tuple[str, ...]:
    try:
        values: Any = json.loads(text)
    except ValueError as error:
        raise CannotOpen(f"{path} is not JSON: {error}") from error
    if isinstance(values, dict):
        values = _by_number(values, path)
    if not isinstance(values, list):
        raise CannotOpen(f"{path} holds a {type(values).__name__}; labels are a list or an object")
    return tuple(str(v[-1] if isinstance(v, list) else v) for v in values)


def _by_number(values: Mapping[str, Any], path: Path | str) -> list[Any]:
    """`{"0": name}` or `{name: 0}` in the order of the numbers, which must be those from 0 on."""
    wanted = list(range(len(values)))
    # names first: folders named 0, 1, 10, 2 … are numbered in that order, and both sides are numbers then
    if all(isinstance(v, int) for v in values.values()) and sorted(values.values()) == wanted:
        return sorted(values, key=lambda name: int(values[name]))
    if all(key.isdecimal() for key in values) and sorted(map(int, values)) == wanted:
        return [values[key] for key in sorted(values, key=int)]
    raise CannotOpen(f"{path} names no classes: its numbers are not those from 0 to {len(values) - 1}")


def _from_csv(text: str) -> tuple[str, ...]:
    rows = [row for row in csv.reader(text.splitlines()) if row]
    header = [name.strip().lower() for name in rows[0]] if rows else []
    column = next((header.index(name) for name in ("name", "label", "class") if name in header), None)
    body = rows if column is None else rows[1:]
    if all(row[0].strip().isdecimal() and len(row) > 1 for row in body):
        body = sorted(body, key=lambda row: int(row[0]))
        column = 1 if column in (None, 0) else column
    return tuple(row[column or 0].strip() for row in body)
