"""Where the places of a map look: affine in the place, along each axis by itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..passes import Box
from ..windows import Windows

Ends = tuple[int, int]  #: the first pixel and the one after the last; two equal ones for none


@dataclass(frozen=True)
class Span:
    """Along one axis: place i sees `size` pixels from `start + i * stride` on; `seen` has those that exist.

    In `seen` is one pair a place: what the border of the picture, and of each map on the way, left of it.
    """

    size: int
    stride: int
    start: int
    seen: tuple[Ends, ...] = field(repr=False)

    def at(self, place: int) -> Ends:
        """The first pixel that a place sees and the one after the last, also beyond the border."""
        first = self.start + place * self.stride
        return first, first + self.size

    def window(self, windows: Windows, places: int) -> Span:
        """The span of so many `places` that read windows of this map."""
        reach = (windows.size - 1) * windows.dilation
        firsts = (place * windows.stride - windows.before for place in range(places))
        reads = [range(first, first + reach + 1, windows.dilation) for first in firsts]
        start = self.start - self.stride * windows.before
        return self.read(reads, self.size + self.stride * reach, self.stride * windows.stride, start)

    def read(self, reads: Iterable[Sequence[int]], size: int, stride: int, start: int) -> Span:
        """The span of places that read these of this map, one sequence each; those before and behind it are none."""
        there = range(len(self.seen))
        seen = (_hull(self.seen[place] for place in places if place in there) for places in reads)
        return Span(size, stride, start, tuple(seen))

    def joined(self, other: Span) -> Span | None:
        """The span that holds both; None where their places lie differently far apart."""
        if self.stride != other.stride:
            return None
        start, end = min(self.start, other.start), max(self.at(0)[1], other.at(0)[1])
        seen = tuple(_hull(pair) for pair in zip(self.seen, other.seen, strict=True))
        return Span(end - start, self.stride, start, seen)


def _hull(parts: Iterable[Ends]) -> Ends:
    there = [part for part in parts if part[0] < part[1]]
    return (min(first for first, _ in there), max(end for _, end in there)) if there else (0, 0)


@dataclass(frozen=True)
class ReceptiveField:
    """What each place of a map can see of the model's input, in pixels: affine along both axes.

    Place (i, j) sees `size` pixels from `start + (i, j) * stride` on. It is the smallest such box that does for all
    places: in an enlarged map some see up to a stride less of it.
    """

    rows: Span
    columns: Span

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what one place sees, before the border of the picture cuts it."""
        return self.rows.size, self.columns.size

    @property
    def stride(self) -> tuple[int, int]:
        """How many pixels lie between what one place sees and what the next does, down and across."""
        return self.rows.stride, self.columns.stride

    @property
    def start(self) -> tuple[int, int]:
        """The first row and column that place (0, 0) sees; negative where padding lies before the picture."""
        return self.rows.start, self.columns.start

    def box(self, i: int, j: int, *, clip: bool = True) -> Box:
        """The pixels that place (i, j) sees, (y0, x0, y1, x1), the last two exclusive.

        Without `clip` it is the affine box, of one size for all places, that may reach beyond the border.
        A place that reads padding alone sees no rows or no columns; where maps are joined and only one of them reads
        padding alone there, the box may be larger than what is seen. IndexError for a place that there is none of.
        """
        if not (0 <= i < len(self.rows.seen) and 0 <= j < len(self.columns.seen)):
            raise IndexError(f"place ({i}, {j}) of {len(self.rows.seen)}×{len(self.columns.seen)} places")
        (y0, y1), (x0, x1) = (
            span.seen[place] if clip else span.at(place)
            for span, place in ((self.rows, i), (self.columns, j))
        )
        return y0, x0, y1, x1
