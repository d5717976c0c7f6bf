"""What a call reads that is neither a convolution nor a pooling: asked of its own derivative at a few places."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np

from ..passes import Box
from ..tape import Call
from .span import Ends, ReceptiveField, Span


def probed(
    calls: Sequence[Call], position: int, field: ReceptiveField, shape: Sequence[int]
) -> ReceptiveField | None:
    """The field after calls, one behind the other, where the first read a map of that field and shape at `position`.

    Places in the middle of the output must hang on places that move along evenly, and those at its border on what
    then follows. None where they do not: all see everything, or each something else. A call that picks one of several
    by value could see more than was met here; it would have to pick alike everywhere, in all channels. Raises Unmet
    where a call has no derivative.
    """
    info = calls[-1].info
    if info.kind == "resize" and any(out % size for out, size in zip(info.shape[:2], shape[:2], strict=True)):
        return None  # in its middle it may look as if nothing was resized
    reach = functools.cache(lambda i, j: _reached(calls, position, i, j))
    told, spans = info.hyper.get("stride"), []
    factors = [max(out // size, 1) for out, size in zip(info.shape[:2], shape[:2], strict=True)]
    if info.kind == "transposed-convolution" and told:
        factors = list(told)
    middle = [max(out - factor, 0) // 2 for out, factor in zip(info.shape[:2], factors, strict=True)]
    for axis, span in enumerate((field.rows, field.columns)):
        size, out = shape[axis], info.shape[axis]

        def ends(place: int, axis: int = axis, out: int = out) -> Ends | None:
            if place in (0, out - 1):  # the corners serve both axes
                box = reach(*((0, 0) if place == 0 else (info.shape[0] - 1, info.shape[1] - 1)))
            else:
                box = reach(*((place, middle[1]) if axis == 0 else (middle[0], place)))
            return box and (box[axis], box[axis + 2])

        found = _span_of(ends, span, size, out, factors[axis])
        if found is None:
            return None
        spans.append(found)
    return ReceptiveField(*spans)


def _reached(calls: Sequence[Call], position: int, i: int, j: int) -> Box | None:
    """The places (y0, x0, y1, x1) of what the first call read that the last one's output at (i, j) hangs on."""
    share = np.zeros((1, *calls[-1].info.shape), np.float32)
    share[0, i, j] = np.random.default_rng(0).standard_normal(share.shape[-1])  # equal ones may cancel
    for call in reversed(calls[1:]):
        share = call.pull(share)[0]
    share = calls[0].pull(share)[position]
    found = np.argwhere(share[0].any(-1))
    if not len(found):
        return None
    (y0, x0), (y1, x1) = found.min(0), found.max(0) + 1
    return int(y0), int(x0), int(y1), int(x1)


def _span_of(ends: Callable[[int], Ends | None], span: Span, size: int, out: int, factor: int) -> Span | None:
    """The span along one axis of `out` places that read `size`, `factor` of them one; None if there is none."""
    if out == size == 1:
        return span
    if factor + 1 > out or span.stride % factor:
        return None
    begin = (out - factor) // 2
    seen = [ends(place) for place in range(begin, begin + factor + 1)]
    boxes = [box for box in seen if box is not None]
    if len(boxes) < len(seen):
        return None
    forward = boxes[-1][0] - boxes[0][0]
    if forward < 1 or boxes[-1][1] - boxes[0][1] != forward or 1 < min(forward, factor):
        return None
    step = span.stride * forward // factor
    start = min(span.at(first)[0] - step * place for place, (first, _) in enumerate(boxes, begin))
    end = max(span.at(last - 1)[1] - step * place for place, (_, last) in enumerate(boxes, begin))
    reads = []
    for place in range(out):
        periods, phase = divmod(place - begin, factor)
        reads.append(range(boxes[phase][0] + periods * forward, boxes[phase][1] + periods * forward))
    for place in (0, out - 1):
        mirrored = _mirrored(reads[place], ends(place), size)
        if mirrored is None:
            return None
        if mirrored:  # all that stick out on this side may read as far in
            reads = [_with_mirrored(read, size) for read in reads]
    return span.read(reads, end - start, step, start)


def _mirrored(read: range, box: Ends | None, size: int) -> bool | None:
    """Whether a place at the border reads more than was told, no farther in than it sticks out; None if farther."""
    if box is None or (read.start <= box[0] and box[1] <= read.stop):
        return False
    wider = _with_mirrored(read, size)
    return True if wider.start <= box[0] and box[1] <= wider.stop else None


def _with_mirrored(read: range, size: int) -> range:
    """What is read, and of what sticks out the mirror image at the border."""
    first = min(read.start, 2 * size - 1 - read.stop) if read.stop > size else read.start
    return range(first, max(read.stop, 1 - read.start) if read.start < 0 else read.stop)
