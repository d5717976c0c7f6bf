"""The layers as the page lists them: in call order, indented by their path, with headings where several share one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DEEPEST = 5  #: steps that are still indented

Told = Mapping[str, Any]  #: a layer as `describe_layer` tells it


@dataclass(frozen=True)
class Row:
    """A line of the list: a layer, or a heading for those whose names begin with `prefix`."""

    label: str
    depth: int
    layer: Told | None = None
    prefix: str = ""
    shape: str = ""


def tree_of(layers: Sequence[Told]) -> list[Row]:
    """The rows. A layer is labelled by what its name adds to the names around it."""
    rows: list[Row] = []
    names = [str(layer["name"]) for layer in layers]
    known, held = set(names), Counter(prefix for name in names for prefix in _folders(name))
    open_: list[str] = []  # the paths that enclose the row at hand, outermost first
    for layer, name in zip(layers, names, strict=True):
        open_ = [prefix for prefix in open_ if name.startswith(prefix)]
        inside = open_[-1] if open_ else ""
        group = next((prefix for prefix in _folders(name) if len(prefix) > len(inside)), "")
        if held[group] < 3 or group[:-1] in known:
            group = ""
        if group:
            rows.append(Row(group[len(inside) : -1], min(len(open_), DEEPEST), prefix=group))
            open_.append(group)
        label = name[len(group or inside) :]
        rows.append(Row(label, min(len(open_), DEEPEST), layer, shape=times(layer["shape"])))
        if layer["kind"] == "block":
            open_.append(f"{name}{'/' if '/' in name else '.'}")
    return rows


def _folders(name: str) -> list[str]:
    """The folders of a path, the outermost first, each with its separator."""
    return [name[: found.end()] for found in re.finditer(r"[./]", name)]


def words_of(layer: Told) -> str:
    """What a layer is, in a line."""
    hyper = layer["hyper"]
    parts = [str(layer["kind"]), times(layer["shape"])]
    parts += [f"{name} {times(hyper[name])}" for name in ("kernel", "stride") if hyper.get(name)]
    parts += [f"{hyper['groups']} groups"] if hyper.get("groups", 1) > 1 else []
    parts += [f"{grouped(layer['parameters'])} parameters"] if layer["parameters"] else []
    return " · ".join(filter(None, parts))


def flat_of(layer: Told) -> str:
    """What is said of a layer in the place of its maps; nothing where it has some."""
    if layer["has_maps"]:
        return ""
    numbers = f"{times(layer['shape'])} numbers" if layer["shape"] else "no single array"
    return f"{layer['name']} hands on {numbers}, which cannot be drawn as maps. Choose a layer above it."


def settings_of(layer: Told) -> str:
    """How a layer was set up, without what does nothing: a stride of one, no padding, one group."""
    idle = {"stride": 1, "dilation": 1, "groups": 1, "padding": 0}
    told = [
        f"{name} {times(value)}"
        for name, value in layer["hyper"].items()
        if set(_flat(value)) != {idle.get(name)}
    ]
    return ", ".join(told)


def _flat(value: Any) -> list[Any]:
    return [one for part in value for one in _flat(part)] if isinstance(value, (list, tuple)) else [value]


def times(shape: Any) -> str:
    """Numbers of a shape, or one number, as people write them."""
    return "×".join(map(str, _flat(shape)))


def grouped(number: int) -> str:
    """A number with its thousands apart."""
    return f"{number:,}".replace(",", "\N{THIN SPACE}")
