"""Patch: what a layer hands on where a box of the picture is hidden; all else is as it was, and is not held again."""

from __future__ import annotations

import functools
import math
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
        inside = _cross(_within(ys, self.height), _within(xs, self.width))
        rows = torch.where(inside, _grid(ys * self.width, xs), self.height * self.width)
        table = self._rows(pad)
        if patch is not None:
            dy, dx = ys - patch.top[:, None], xs - patch.left[:, None]
            over = _cross(_within(dy, patch.height), _within(dx, patch.width)) & inside
            each = torch.arange(len(top), device=top.device)[:, None, None] * patch.height
            place = (each + dy[:, :, None]) * patch.width + dx[:, None, :] + len(table)
            rows = torch.where(over, place, rows)
            table = torch.cat([table, self._flat(patch.values)])
        cut = functional.embedding(rows, table)
        return self._unflat(cut, len(top), height, width)

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

    def _flat(self, values: Tensor) -> Tensor:
        """(n, …) → a row for each place of each picture."""
        laid = values.permute(self._order)
        return laid.reshape(math.prod(laid.shape[:3]), -1)

    def _unflat(self, rows: Tensor, count: int, height: int, width: int) -> Tensor:
        rest = [self.base.shape[axis] for axis in self._order[3:]]
        back = [self._order.index(axis) for axis in range(self.base.ndim)]
        return rows.view(count, height, width, *rest).permute(back)

    def _rows(self, pad: float) -> Tensor:
        """The base as rows, and behind them one of `pad`."""
        if pad not in self._tables:
            flat = self._flat(self.base)
            self._tables[pad] = torch.cat([flat, flat.new_full((1, flat.shape[1]), pad)])
        return self._tables[pad]


def _within(places: Tensor, size: int) -> Tensor:
    return (places >= 0) & (places < size)


def _cross(ys: Tensor, xs: Tensor) -> Tensor:
    return ys[:, :, None] & xs[:, None, :]


def _grid(ys: Tensor, xs: Tensor) -> Tensor:
    return ys[:, :, None] + xs[:, None, :]


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
