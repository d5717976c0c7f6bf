"""Style: how results are drawn, checked when it is made. Nothing in it changes a number."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ..errors import UnknownName, UsageError
from ..panels import Limits

Theme = Literal["light", "dark"]
Show = Literal["both", "overlay", "raw"]
Shared = Literal["unit", "layer"]

SEQUENTIAL = ("viridis", "cividis", "inferno", "magma", "gray", "turbo", "jet")
DIVERGING = ("RdBu_r", "berlin", "PuOr_r")


@dataclass(frozen=True)
class Style:
    """How results are drawn; nothing in it changes a number.

    `colours` and `signed_colours` name tables, None takes viridis, and RdBu_r on light or berlin on dark.
    `show` says how a map is drawn where there is a picture: beside it and over it, over it alone, or by itself;
    `alpha` is how much it then covers the picture. `first` and `count` say which tiles are drawn. `low` and
    `high` draw maps and tiles on that scale instead of their own (signed ones symmetric about zero); `scale`
    draws each tile on its own scale (`unit`) or all of a panel on one (`layer`).
    """

    theme: Theme = "light"
    colours: str | None = None
    signed_colours: str | None = None
    alpha: float = 0.55
    first: int = 0
    count: int = 64
    show: Show = "both"
    low: float | None = None
    high: float | None = None
    scale: Shared | None = None

    def __post_init__(self) -> None:
        for what, one, choices in (
            ("theme", self.theme, get_args(Theme)),
            ("way to show a map", self.show, get_args(Show)),
            ("scale of tiles", self.scale or "unit", get_args(Shared)),
        ):
            if one not in choices:
                raise UnknownName(what, str(one), choices)
        for name, known in ((self.colours, SEQUENTIAL), (self.signed_colours, DIVERGING)):
            if name is not None and name not in known:
                raise UnknownName("colour map", name, known)
        if not (isinstance(self.alpha, (int, float)) and 0 <= self.alpha <= 1):
            raise UsageError(f"alpha is a number from 0 to 1, not {self.alpha!r}")
        whole = isinstance(self.first, int) and isinstance(self.count, int)
        if not whole or self.first < 0 or self.count < 1:
            raise UsageError(
                f"tiles are counted from 0 and at least one is drawn, not {self.first} and {self.count}"
            )
        self._check_limits()

    def _check_limits(self) -> None:
        if self.low is None and self.high is None:
            return
        ends = (self.low, self.high)
        known = [isinstance(end, (int, float)) and math.isfinite(end) for end in ends]
        if self.low is None or self.high is None or not all(known) or not self.low < self.high:
            raise UsageError(
                f"low and high are two finite numbers, low below high, or both left out; not {ends[0]} and {ends[1]}"
            )
        if self.scale == "unit":
            raise UsageError("low and high are one scale for all tiles, and scale=unit one for each: choose")

    @property
    def limits(self) -> Limits | None:
        """The scale that is asked for, instead of the panel's own."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    def table_name(self, signed: bool) -> str:
        """The name of the colour table for signed or unsigned values."""
        if signed:
            return self.signed_colours or ("berlin" if self.theme == "dark" else "RdBu_r")
        return self.colours or "viridis"

    @property
    def ground(self) -> tuple[int, int, int]:
        """The colour of the page."""
        return (20, 22, 26) if self.theme == "dark" else (255, 255, 255)

    @property
    def ink(self) -> tuple[int, int, int]:
        """The colour of text."""
        return (226, 228, 232) if self.theme == "dark" else (28, 30, 34)

    @property
    def faint(self) -> tuple[int, int, int]:
        """The colour of lines and lesser text."""
        return (128, 134, 144) if self.theme == "dark" else (110, 116, 126)


def style_of(options: Mapping[str, Any]) -> Style:
    """Options as `save` takes them → a Style; UnknownName offers the nearest for one that is none."""
    known = [field.name for field in dataclasses.fields(Style)]
    for name in options:
        if name not in known:
            raise UnknownName("option of drawing", name, known)
    return Style(**options)
