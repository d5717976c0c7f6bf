"""Patch: what a layer hands on where a box of the picture is hidden; all else is as it was, and is not held again."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

Space = tuple[int, int]  #: which two axes are the height and the width
Span = tuple[Tensor, Tensor, int, int]  #: top and left (n,) each, and one height and width for all


@dataclass(frozen=True)
class Patch:
    """New values (n, …) of a region of n maps: at its own place in each, of one size in all.

    `top` and `left` are (n,). `space` says which axes of `values` are its height and width.
    """

    top: Tensor
    left: Tensor
    values: Tensor
    space: Space

    @property
    def height(self) -> int:
        return self.values.shape[self.space[0]]

    @property
    def width(self) -> int:
        return self.values.shape[self.space[1]]

    @property
    def span(self) -> Span:
        """Where it lies."""
        return self.top, self.left, self.height, self.width

    def moved(self, values: Tensor, space: Space | None = None) -> Patch:
        """Other values at the same places."""
        return Patch(self.top, self.left, values, space or self.space)


class Maps:
    """One picture's maps, from which windows are cut, with patches laid over them or not."""

    def __init__(self, base: Tensor, space: Space) -> None:
        self.base, self.space = base, space
        self.height, self.width = (base.shape[axis] for axis in space)
        self._tables: dict[float, Tensor] = {}

    def windows(
        self, patch: Patch | None, top: Tensor, left: Tensor, height: int, width: int, pad: float = 0.0
    ) -> Tensor:
        """What stands in a window of each map, (n, …, height, width) in the order of axes that the maps have.

        `patch` lies over the maps; beyond their border stands `pad`. A gather of rows, one a place, each holding
        all channels: a border is one row more, and so exact whatever it is made of.
        """
        ys = top[:, None] + torch.arange(height, device=top.device)
        xs = left[:, None] + torch.arange(width, device=top.device)
        inside = _within(ys, self.height)[:, :, None] & _within(xs, self.width)[:, None, :]
        rows = torch.where(inside, ys[:, :, None] * self.width + xs[:, None, :], self.height * self.width)
        cut = functional.embedding(rows, self._rows(pad))
        if patch is not None:
            _lay_over(cut, self._by_place(patch.values), patch.top - top, patch.left - left)
        rest = [self.base.shape[axis] for axis in self._order[3:]]
        return cut.view(len(top), height, width, *rest).permute(self._back)

    def whole(self, patch: Patch) -> Tensor:
        """The maps with the patch laid over them, (n, …)."""
        nowhere = torch.zeros_like(patch.top)
        if (patch.height, patch.width) == (self.height, self.width):
            return patch.values
        return self.windows(patch, nowhere, nowhere, self.height, self.width)

    @functools.cached_property
    def _order(self) -> list[int]:
        """The axes with the places first: number, height, width, the rest."""
        rest = [axis for axis in range(1, self.base.ndim) if axis not in self.space]
        return [0, *self.space, *rest]

    @functools.cached_property
    def _back(self) -> list[int]:
        return [self._order.index(axis) for axis in range(self.base.ndim)]

    def _by_place(self, values: Tensor) -> Tensor:
        """(n, …) → (n, height, width, all channels)."""
        return values.permute(self._order).flatten(3)

    def _rows(self, pad: float) -> Tensor:
        """The base as rows, one a place, and behind them one of `pad`."""
        if pad not in self._tables:
            flat = self._by_place(self.base).flatten(0, 2)
            self._tables[pad] = torch.cat([flat, flat.new_full((1, flat.shape[1]), pad)])
        return self._tables[pad]


def _lay_over(cut: Tensor, new: Tensor, down: Tensor, right: Tensor) -> None:
    """Write `new` (n, h, w, c) into `cut` (n, height, width, c), so far down and to the right of its corner.

    What would stick out is left out. Neighbours mostly lie alike and are written in one go.
    """
    start = 0
    for (y, x), run in itertools.groupby(zip(down.tolist(), right.tolist(), strict=True)):
        end = start + sum(1 for _ in run)
        inner = new[start:end, max(0, -y) : max(0, cut.shape[1] - y), max(0, -x) : max(0, cut.shape[2] - x)]
        top, left = max(0, y), max(0, x)
        cut[start:end, top : top + inner.shape[1], left : left + inner.shape[2]] = inner
        start = end


def _within(places: Tensor, size: int) -> Tensor:
    return (places >= 0) & (places < size)


def union(patches: Sequence[Patch], height: int, width: int) -> Span:
    """The smallest region of one size that holds all patches of each map of height × width."""
    top, tall = _joined([(p.top, p.height) for p in patches], height)
    left, wide = _joined([(p.left, p.width) for p in patches], width)
    return top, left, tall, wide


def _joined(spans: Sequence[tuple[Tensor, int]], size: int) -> tuple[Tensor, int]:
    first = functools.reduce(torch.minimum, (start for start, _ in spans))
    last = functools.reduce(torch.maximum, (start + length for start, length in spans))
    length = min(size, int((last - first).max()))
    return first.clamp(max=size - length), length


def reached(start: Tensor, length: int, window: Mapping[str, int], size: int) -> tuple[Tensor, int]:
    """Which outputs of a sliding window, of `size` in all, see inputs of [start, start + length).

    `window` holds kernel, stride, padding and dilation along that axis. One length for all.
    """
    kernel, stride, padding, dilation = (window[k] for k in ("kernel", "stride", "padding", "dilation"))
    first = -((dilation * (kernel - 1) - padding - start) // stride)  # rounded up
    last = (start + length - 1 + padding).div(stride, rounding_mode="floor").clamp(max=size - 1)
    first = first.clamp(0, size - 1)
    count = max(1, int((last - first).max()) + 1)
    return first.clamp(max=size - count), count
