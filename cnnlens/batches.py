"""Many passes of one kind: as many pictures at once as memory allows, replayed where a replay holds.

A replay is a pass that the backend recorded and runs again at less cost: see `Model.replay`. It is recorded
anew for each piece of work, from the model as it is then, and is used only after it gave what the model
itself gives; where it does not, or cannot be had, the model's own passes are run.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .arrays import Array
from .errors import Unmet
from .passes import Box, Fill, Replay, Trace, hidden
from .targets import Target

if TYPE_CHECKING:
    from .model import Model

AT_ONCE = 64  #: boxes hidden at once, where each of them changes little
FEW = 8  #: boxes, that are not worth recording a pass for
Ran = Callable[["Model", Array, Sequence[str], Target | None, Replay | None], Trace]
#: How far two ways to round one computation lie apart at most: some ten times what a number is rounded by.
ROUNDING = {"bfloat16": 0.05, "float16": 0.006}
BLOCKS = 4  #: into which a picture is divided each way at most, to hide near boxes together


def in_batches(
    model: Model,
    values: Iterable[Array],
    *,
    watch: Sequence[str] = (),
    target: Target | None = None,
    at: str = "input",
    image: Array | None = None,
    replayed: bool = True,
) -> Iterator[Trace]:
    """Traces as of `Model.in_batches`; with `replayed`, from a replay where that holds."""
    size, rest = model.batch_for(gradients=target is not None), iter(values)
    filled, replay = False, None

    def ran(
        by: Model, batch: Array, watch: Sequence[str], target: Target | None, replay: Replay | None
    ) -> Trace:
        if image is None:
            return by.trace(batch, watch=watch, target=target, replay=replay)
        return by.trace(image[None], watch=watch, target=target, replace={at: batch}, replay=replay)

    while some := list(itertools.islice(rest, size)):
        more = list(itertools.islice(rest, 1))
        rest = itertools.chain(more, rest)
        if replayed and more and not filled and len(some) > 1:
            read = dict.fromkeys((*watch, *(target.layers if target else ())))
            names = tuple(name for name in read if name != "input")
            replay = _held_to_two(model, np.stack(some[:2]), names, at, image, ran)
        # a last batch that is filled up needs nothing compiled for its size
        spare = size - len(some) if model.even_batches and filled else 0
        seen = ran(model, np.stack(some + some[-1:] * spare), watch, target, replay)
        yield seen.of_first(len(some)) if spare else seen
        filled = True


def _held_to_two(
    model: Model, two: Array, names: Sequence[str], at: str, image: Array | None, ran: Ran
) -> Replay | None:
    """A replay that gives for two values what the model gives.

    In a lower precision the two round differently, so one is held as strictly in full precision first.
    """
    if model.in_full is not model and _held_to_two(model.in_full, two, names, at, image, ran) is None:
        return None

    def holds(replay: Replay) -> bool:
        found, own = ran(model, two, names, None, replay), ran(model, two, names, None, None)
        pairs = [(found.activations[name], values) for name, values in own.activations.items()]
        slack = ROUNDING[model.precision] if model.in_full is not model else 0.0
        return all(_agree(a, b, slack) for a, b in [(found.scores, own.scores), *pairs])

    return _held(model, two[0] if image is None else image, names, at, holds)


def hide(model: Model, image: Array, boxes: Sequence[Box], fill: Fill, tick: Callable[[int], None]) -> Array:
    """Scores (n, classes) of the picture (h, w, c) with each box hidden in turn; see `Model.hide`."""
    covered = model.input.encode(np.broadcast_to(np.asarray(fill, np.float32), image.shape)[None])
    ends = [boxes[0], boxes[-1]]

    def holds(replay: Replay) -> bool:
        own = model.trace(hidden(image, ends, fill)).scores
        return all(_agree(replay.hide(covered, [box]), row[None]) for box, row in zip(ends, own, strict=True))

    # in a lower precision what a box changes and what is rounded cannot be told apart
    height, width = image.shape[:2]
    inside = all(0 <= y0 < y1 <= height and 0 <= x0 < x1 <= width for y0, x0, y1, x1 in boxes)
    exact = inside and len(boxes) > FEW and model.in_full is model
    replay = _held(model, image, (), "input", holds) if exact else None
    if replay is None:
        scores: list[Array] = []
        pictures = (hidden(image, [box], fill)[0] for box in boxes)
        for ran in in_batches(model, pictures, replayed=not exact):
            scores.append(ran.scores)
            tick(sum(map(len, scores)))
        return np.concatenate(scores)
    most, done = model.batch_for(most=AT_ONCE), 0
    found: dict[int, Array] = {}
    for some in _together(boxes, height, width, most):
        with model.lock:
            found.update(zip(some, replay.hide(covered, [boxes[i] for i in some]), strict=True))
        done += len(some)
        tick(done)
    return np.stack([found[i] for i in range(len(boxes))])


def _together(boxes: Sequence[Box], height: int, width: int, most: int) -> Iterator[list[int]]:
    """The numbers of boxes that go through at once: of one size, and near one another.

    At the picture's border a box reaches less; one region that serves all of a batch is smaller where they do.
    """
    groups: dict[tuple[int, ...], list[int]] = {}
    blocks = max(1, min(BLOCKS, math.isqrt(len(boxes) // most)))
    for i, (y0, x0, y1, x1) in enumerate(boxes):
        middle = (blocks * (y0 + y1) // (2 * height), blocks * (x0 + x1) // (2 * width))
        groups.setdefault((y1 - y0, x1 - x0, *middle), []).append(i)
    for group in groups.values():
        yield from (group[start : start + most] for start in range(0, len(group), most))


def _held(
    model: Model, image: Array, keep: Sequence[str], at: str, holds: Callable[[Replay], bool]
) -> Replay | None:
    """A replay of the pass over the picture that `holds`; None where there is none."""
    if model.draws or not model.has_room_to_record:
        return None
    try:
        with model.lock:
            replay = model.replay(model.input.encode(image[None]), keep=keep, at=at)
        return replay if holds(replay) else None
    except Unmet:
        return None
    except Exception:  # whatever the user's own functions raise when they meet other sizes
        return None


def _agree(found: Array, own: Array, slack: float = 0.0) -> bool:
    """Equal but for rounding; what differs by more was not the same computation.

    `slack` is allowed for a lower precision's rounding, as a share of the largest.
    """
    largest = float(np.abs(own[np.isfinite(own)]).max(initial=0))
    return found.shape == own.shape and np.allclose(
        found, own, rtol=1e-3, atol=max(1e-4, slack) * largest, equal_nan=True
    )
