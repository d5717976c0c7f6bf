"""Pointing: what is outlined on a panel, and where a place of it leads."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from .errors import BadInput

Place = tuple[int, int]


@dataclass(frozen=True)
class Outline:
    """A box drawn on a panel, in its own places: (y0, x0, y1, x1), the last two exclusive.

    It may reach beyond the border, as a window into padding does; what lies within is drawn. Of tiles, `tile`
    is the position of the one that it is drawn on, None for each.
    """

    box: tuple[float, float, float, float]
    words: str = ""
    tile: int | None = None

    def __post_init__(self) -> None:
        box = tuple(float(end) for end in self.box)
        if len(box) != 4 or not all(map(math.isfinite, box)) or box[0] > box[2] or box[1] > box[3]:
            raise BadInput(f"an outline is (y0, x0, y1, x1), each end after its start, got {self.box}")
        object.__setattr__(self, "box", box)

    def within(self, height: int, width: int) -> tuple[float, float, float, float] | None:
        """What of it lies on a map of that size; None where nothing does."""
        y0, x0, y1, x1 = self.box
        inside = (max(y0, 0.0), max(x0, 0.0), min(y1, float(height)), min(x1, float(width)))
        return inside if inside[0] < inside[2] and inside[1] < inside[3] else None


@dataclass(frozen=True)
class Link:
    """Where a click on a panel leads: to a visualiser, with settings that hang on the place pointed at.

    `place` names the setting that gets the place, as "row,column": `start + step · place` of the panel's own.
    Where that lies outside `within` (rows, columns) it leads nowhere, as out of padding. `tile` names the
    setting that gets the name of the tile. `words` say what is opened ("its convolution").
    """

    visualiser: str
    settings: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    words: str = ""
    place: str = ""
    tile: str = ""
    start: Place = (0, 0)
    step: Place = (1, 1)
    within: Place | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", dict(self.settings))
        for name in ("start", "step", "within"):
            pair = getattr(self, name)
            if pair is not None:
                object.__setattr__(self, name, (int(pair[0]), int(pair[1])))

    def at(self, row: int = 0, column: int = 0, tile: str = "") -> dict[str, Any] | None:
        """The settings that it opens with from that place and tile; None where it leads nowhere."""
        found: dict[str, Any] = dict(self.settings)
        if self.place:
            there = (self.start[0] + self.step[0] * row, self.start[1] + self.step[1] * column)
            if self.within is not None and not all(
                0 <= at < size for at, size in zip(there, self.within, strict=True)
            ):
                return None
            found[self.place] = f"{there[0]},{there[1]}"
        if self.tile:
            found[self.tile] = tile
        return found


def told(value: Any) -> Any:
    """Links, outlines and what else points, by the names of their fields, in plain values."""
    if isinstance(value, (tuple, list)):
        return [told(one) for one in value]
    if not is_dataclass(value):
        return value
    own = {one.name: getattr(value, one.name) for one in fields(value)}
    return {name: told(one) if is_dataclass(one) else one for name, one in own.items()}
