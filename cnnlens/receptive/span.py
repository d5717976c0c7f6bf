"""Where the places of a map look: affine in the place, along each axis by itself."""

from __future__ import annotations

from dataclasses import dataclass

from ..passes import Box


@dataclass(frozen=True)
class Span:
    """Along one axis: place i sees `size` pixels from `start + i * stride` on, of which those in `low:high` exist.

    `low` and `high` are the ends of what the whole map that was read can see: all of the picture, unless a
    border was cropped or a stride left one over.
    """

    size: int
    stride: int
    start: int
    low: int
    high: int

    def at(self, place: int) -> tuple[int, int]:
        """The first pixel that a place sees and the one after the last, also beyond the border."""
        first = self.start + place * self.stride
        return first, first + self.size

    def clipped(self, place: int) -> tuple[int, int]:
        """The same of the pixels that exist; two equal ends where there is none."""
        first, end = (min(max(edge, self.low), self.high) for edge in self.at(place))
        return first, end

    def window(self, kernel: int, stride: int, padding: int, dilation: int, places: int) -> Span:
        """The span of a call that reads windows of this map of so many `places`, padded in front."""
        return Span(
            self.size + self.stride * (kernel - 1) * dilation,
            self.stride * stride,
            self.start - self.stride * padding,
            self.clipped(0)[0],
            self.clipped(places - 1)[1],
        )

    def joined(self, other: Span) -> Span | None:
        """The span that holds both; None where their places lie differently far apart."""
        if self.stride != other.stride:
            return None
        start, end = min(self.start, other.start), max(self.at(0)[1], other.at(0)[1])
        low, high = min(self.low, other.low), max(self.high, other.high)
        return Span(end - start, self.stride, start, low, high)


@dataclass(frozen=True)
class ReceptiveField:
    """What each place of a map can see of the model's input, in pixels: affine along both axes.

    Place (i, j) sees `size` pixels from `start + (i, j) * stride` on. It is the smallest such box for all places:
    a dilated kernel leaves gaps in it, and an enlarged map sees up to `stride` less on either side.
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
        """What place (i, j) sees, (y0, x0, y1, x1), the last two exclusive; without `clip` also beyond the border."""
        (y0, y1), (x0, x1) = (
            (span.clipped if clip else span.at)(place) for span, place in ((self.rows, i), (self.columns, j))
        )
        return y0, x0, y1, x1
