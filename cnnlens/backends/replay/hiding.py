"""Scores of a picture with a box hidden, for many boxes at once, by what each box can change. Exact.

Nakandala, Kumar & Papakonstantinou, 2019 (incremental inference for occlusion), without their approximations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from ...passes import Box
from .patch import Patch
from .program import Program
from .spreading import Before, spread
from .steps import Step

#: A patch of more than this share of its map is not worth cutting out any more.
FULL = 0.75


class Hiding:
    """The program of a pass over one picture and all its values, `base`, to hide parts of the picture.

    `space` says which two axes of a picture are its height and width.
    """

    def __init__(self, program: Program, base: Mapping[int, Tensor], space: tuple[int, int]) -> None:
        self._space, self._before = space, Before(base)
        self._steps = program.needed({0}, {program.end})
        self._end = program.end
        self._last = {place: i for i, step in enumerate(self._steps) for place in step.reads.values()}

    def scores(self, cover: Tensor, boxes: Sequence[Box], pause: Callable[[], object]) -> Tensor:
        """The scores (n, …) with each box (y0, x0, y1, x1), all of one size, showing `cover` (1, c, h, w)."""
        values: dict[int, Patch | Tensor] = {0: self._hidden(cover, boxes)}
        for i, step in enumerate(self._steps):
            pause()
            values[step.place] = self._through(step, values, len(boxes))
            for place in set(step.reads.values()):
                if self._last[place] == i:
                    values.pop(place, None)
        return self._whole(self._end, values[self._end])

    def _hidden(self, cover: Tensor, boxes: Sequence[Box]) -> Patch:
        tall, wide = self._space
        top, left, bottom, right = torch.tensor(boxes, device=cover.device).T
        height, width = int(bottom[0] - top[0]), int(right[0] - left[0])
        cuts = [cover.narrow(tall, y0, height).narrow(wide, x0, width) for y0, x0, _, _ in boxes]
        return Patch(top, left, torch.cat(cuts), self._space)

    def _through(self, step: Step, values: dict[int, Patch | Tensor], count: int) -> Patch | Tensor:
        """What a step makes of what has changed."""
        given = [values.get(place) for place in step.reads.values()]
        if not any(isinstance(value, Tensor) for value in given):
            out = spread(step, [v for v in given if not isinstance(v, Tensor)], self._before)
            if out is not None:
                return self._grown(step.place, out)
        return step.run([self._read(place, values, count) for place in step.reads.values()])

    def _grown(self, place: int, out: Patch | Tensor) -> Patch | Tensor:
        """The same, as whole maps where it is most of them."""
        if isinstance(out, Tensor):
            return out
        shape = self._before.of(place).shape
        size = shape[out.space[0]] * shape[out.space[1]]
        return out if out.height * out.width < FULL * size else self._whole(place, out)

    def _whole(self, place: int, value: Patch | Tensor) -> Tensor:
        return value if isinstance(value, Tensor) else self._before.maps(place, value.space).whole(value)

    def _read(self, place: int, values: dict[int, Patch | Tensor], count: int) -> Tensor:
        if place in values:
            return self._whole(place, values[place])
        base = self._before.of(place)
        return base.expand(count, *base.shape[1:])
