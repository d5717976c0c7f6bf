"""What a visualiser answers with: meaning without appearance.

A panel holds numbers and says what they are: signed or not, in which unit, named how. It never holds a
colour map, a size on the screen, a path or HTML; those are the renderer's. The set is closed, so every
renderer can be proven total.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .arrays import Array, frozen
from .diagram import Diagram
from .errors import BadInput
from .pointing import Link, Outline, told

Limits = tuple[float, float]


def _freeze(panel: Any, name: str, ndims: tuple[int, ...], what: str) -> None:
    values = frozen(getattr(panel, name))
    if values.ndim not in ndims or 0 in values.shape:
        raise BadInput(f"{type(panel).__name__}.{name} is {what}, got shape {values.shape}")
    object.__setattr__(panel, name, values)


@dataclass(frozen=True, eq=False)
class Heatmap:
    """A number for each place, (h, w) at its native resolution, spanning the model's whole input.

    `signed`: whether zero means something and both sides of it count. `means` says in words what a high
    value is; `unit` what it is measured in. `limits` fixes the scale where several maps share one. `outlines`
    are drawn on it, and `opens` says where a click leads.
    """

    values: Array
    signed: bool = False
    title: str = ""
    unit: str = ""
    means: str = ""
    limits: Limits | None = None
    outlines: Sequence[Outline] = ()
    opens: Link | None = None

    def __post_init__(self) -> None:
        _freeze(self, "values", (2,), "(h, w)")
        object.__setattr__(self, "outlines", tuple(self.outlines))


@dataclass(frozen=True, eq=False)
class Tiles:
    """Many small maps of one size, (n, h, w), or small RGB pictures, (n, h, w, 3).

    `limits` is (n, 2): the low and high end of each tile's scale; None gives all tiles one scale.
    `marks` says what is special about a tile, by its position ("dead"). `outlines` are drawn on one or on each,
    and `opens` says where a click on a tile leads.
    """

    values: Array
    names: Sequence[str]
    signed: bool = False
    title: str = ""
    unit: str = ""
    limits: Array | None = None
    marks: Mapping[int, str] = field(default_factory=dict)
    outlines: Sequence[Outline] = ()
    opens: Link | None = None

    def __post_init__(self) -> None:
        _freeze(self, "values", (3, 4), "(n, h, w) or (n, h, w, 3)")
        object.__setattr__(self, "outlines", tuple(self.outlines))
        count = len(self.values)
        if self.values.ndim == 4 and self.values.shape[-1] != 3:
            raise BadInput(f"coloured tiles have 3 channels, got {self.values.shape}")
        object.__setattr__(self, "names", tuple(" ".join(str(n).split()) for n in self.names))
        if len(self.names) != count:
            raise BadInput(f"{count} tiles and {len(self.names)} names")
        if self.limits is not None:
            _freeze(self, "limits", (2,), "(n, 2)")
            if self.limits.shape != (count, 2):
                raise BadInput(f"limits of {count} tiles are ({count}, 2), got {self.limits.shape}")
        if any(not 0 <= i < count for i in self.marks):
            raise BadInput(f"marks name tiles {sorted(self.marks)} of {count}")
        if any(one.tile is not None and not 0 <= one.tile < count for one in self.outlines):
            raise BadInput(f"outlines name tiles {[one.tile for one in self.outlines]} of {count}")


def mark_of(one: Array) -> str:
    """What is special about a map: "not finite", "dead" (zero everywhere) or "flat" (one value); else nothing."""
    if not np.isfinite(one).all():
        return "not finite"
    if one.max() > one.min():
        return ""
    return "dead" if one.max() == 0 else "flat"


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels as they are: (h, w, 3) or (h, w, 1) in [0, 1]. `outlines` and `opens` as those of a heatmap."""

    values: Array
    title: str = ""
    outlines: Sequence[Outline] = ()
    opens: Link | None = None

    def __post_init__(self) -> None:
        _freeze(self, "values", (3,), "(h, w, 1 or 3)")
        object.__setattr__(self, "outlines", tuple(self.outlines))
        if self.values.shape[-1] not in (1, 3):
            raise BadInput(f"a picture has 1 or 3 channels, got {self.values.shape}")


@dataclass(frozen=True, eq=False)
class Bars:
    """Named numbers, (n,), to be compared by length. `limits` fixes both ends of the axis.

    `opens` says where a click on a bar leads: a link or None for each, or nothing at all.
    """

    values: Array
    names: Sequence[str]
    title: str = ""
    unit: str = ""
    limits: Limits | None = None
    opens: Sequence[Link | None] = ()

    def __post_init__(self) -> None:
        _freeze(self, "values", (1,), "(n,)")
        object.__setattr__(self, "names", tuple(" ".join(str(n).split()) for n in self.names))
        if len(self.names) != len(self.values):
            raise BadInput(f"{len(self.values)} bars and {len(self.names)} names")
        object.__setattr__(self, "opens", tuple(self.opens))
        if len(self.opens) not in (0, len(self.values)):
            raise BadInput(f"{len(self.values)} bars and {len(self.opens)} links: one for each, or none")


@dataclass(frozen=True, eq=False)
class Curve:
    """A number as a function of another: `x` (n,) and `values` (n,), or several lines (k, n) with names."""

    x: Array
    values: Array
    names: Sequence[str] = ()
    title: str = ""
    x_unit: str = ""
    unit: str = ""

    def __post_init__(self) -> None:
        _freeze(self, "x", (1,), "(n,)")
        if np.ndim(self.values) == 1:
            object.__setattr__(self, "values", np.asarray(self.values)[None])
        _freeze(self, "values", (2,), "(n,) or (k, n)")
        names = tuple(map(str, self.names)) or ("",) * len(self.values)
        object.__setattr__(self, "names", names)
        if len(names) != len(self.values) or self.values.shape[1] != len(self.x):
            raise BadInput(f"{len(names)} names, x {self.x.shape}, lines {self.values.shape} do not fit")


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of text and numbers under column names."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str | float | int]]
    title: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(self.columns))
        object.__setattr__(self, "rows", tuple(tuple(row) for row in self.rows))
        for row in self.rows:
            if len(row) != len(self.columns):
                raise BadInput(f"{len(self.columns)} columns and a row of {len(row)}: {row}")


@dataclass(frozen=True)
class Note:
    """A sentence to the person looking."""

    text: str


Panel = Heatmap | Tiles | Picture | Bars | Curve | Table | Diagram | Note


def panel_array(panel: Panel) -> Array | None:
    """The raw numbers of a panel, None for text."""
    return None if isinstance(panel, (Table, Diagram, Note)) else panel.values


def describe(panel: Panel) -> dict[str, Any]:
    """A panel without its values: kind, shape, and every word on it."""
    facts: dict[str, Any] = {"kind": type(panel).__name__}
    for name, value in vars(panel).items():
        if isinstance(value, np.ndarray):
            facts["shape" if name == "values" else name] = (
                list(value.shape) if name == "values" else value.tolist()
            )
        elif name in ("outlines", "opens", "nodes", "edges"):
            facts |= {name: told(value)} if value else {}
        else:
            facts[name] = dict(value) if isinstance(value, Mapping) else value
    if isinstance(panel, Table):
        facts["rows"] = [list(row) for row in panel.rows]
    return facts
