"""Many passes of one kind: as many pictures at once as memory allows, replayed where a replay holds.

A replay is a pass that the backend recorded and runs again at less cost: see `Model.replay`. It is recorded
anew for each piece of work, from the model as it is then, and is used only after it gave what the model
itself gives; where it does not, or cannot be had, the model's own passes are run.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np

from .arrays import Array
from .errors import Cancelled
from .passes import Box, Fill, Replay, Trace, hidden
from .runtime import hand_back, kept
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
    size, rest = model.batch_for(gradients=target is not None, at=at), iter(values)
    filled, replay = False, None

    def ran(
        by: Model, batch: Array, watch: Sequence[str], target: Target | None, replay: Replay | None
    ) -> Trace:
        if image is None:
            return by.trace(batch, watch=watch, target=target, replay=replay)
        return by.trace(image[None], watch=watch, target=target, replace={at: batch}, replay=replay)

    roomy = model.has_room_to_keep(size, gradients=target is not None)
    with kept() if roomy else nullcontext():
        while some := list(itertools.islice(rest, size)):
            more = list(itertools.islice(rest, 1))
            rest = itertools.chain(more, rest)
            if replayed and more and not filled and len(some) > 2:
                read = dict.fromkeys((*watch, *(target.layers if target else ())))
                names = tuple(name for name in read if name != "input")
                replay = _held_to_three(model, np.stack(some[:3]), names, at, image, ran)
            # a last batch that is filled up needs nothing compiled for its size
            spare = size - len(some) if model.even_batches and filled else 0
            batch = np.stack(some + some[-1:] * spare)
            if not roomy:
                hand_back()  # what others freed lies in pieces, and would count
            try:
                seen = ran(model, batch, watch, target, replay)
            except Exception:  # whatever is raised at a size that the trial did not have
                if replay is None:
                    raise
                replay = None
                seen = ran(model, batch, watch, target, None)
            yield seen.of_first(len(some)) if spare else seen
            filled = True


def held_to_three(model: Model, three: Array, names: Sequence[str]) -> Replay | None:
    """A replay of passes over pictures that gives for these three (3, h, w, c) what the model gives; None where not."""

    def ran(
        by: Model, batch: Array, watch: Sequence[str], target: Target | None, replay: Replay | None
    ) -> Trace:
        return by.trace(batch, watch=watch, target=target, replay=replay)

    return _held_to_three(model, three, names, "input", None, ran)


def _held_to_three(
    model: Model, three: Array, names: Sequence[str], at: str, image: Array | None, ran: Ran
) -> Replay | None:
    """A replay, recorded of two pictures, that gives for three values what the model gives.

    In a lower precision the two round differently, so one is held as strictly in full precision first.
    """
    if model.is_lowered and _held_to_three(model.in_full, three, names, at, image, ran) is None:
        return None

    def holds(replay: Replay) -> bool:
        found, own = ran(model, three, names, None, replay), ran(model, three, names, None, None)
        pairs = [(found.activations[name], values) for name, values in own.activations.items()]
        slack = ROUNDING[model.precision] if model.is_lowered else 0.0
        return all(_agree(a, b, slack) for a, b in [(found.scores, own.scores), *pairs])

    return _held(model, three[0] if image is None else image, names, at, holds)


def hide(model: Model, image: Array, boxes: Sequence[Box], fill: Fill, tick: Callable[[int], None]) -> Array:
    """Scores (n, classes) of the picture (h, w, c) with each box hidden in turn; see `Model.hide`."""
    at_once = model.batch_for(most=min(AT_ONCE, len(boxes)))
    with kept() if model.has_room_to_keep(at_once) else nullcontext():
        tick(0)
        height, width = image.shape[:2]
        inside = all(0 <= y0 < y1 <= height and 0 <= x0 < x1 <= width for y0, x0, y1, x1 in boxes)
        # in a lower precision what a box changes and what is rounded cannot be told apart
        exact = inside and len(boxes) > FEW and not model.is_lowered
        replay = _held_to_boxes(model, image, boxes, fill) if exact else None
        if replay is not None:
            try:
                return _replayed_boxes(model, replay, image, boxes, fill, tick)
            except Cancelled:
                raise
            except Exception:  # of a size that the trial did not have; what `tick` raises, it raises again
                tick(0)
        scores: list[Array] = []
        pictures = (hidden(image, [box], fill)[0] for box in boxes)
        for ran in in_batches(model, pictures, replayed=not exact):
            scores.append(ran.scores)
            tick(sum(map(len, scores)))
        return np.concatenate(scores)


def _held_to_boxes(model: Model, image: Array, boxes: Sequence[Box], fill: Fill) -> Replay | None:
    """A replay that hides the first, a middle and the last box as passes over the hidden pictures do.

    What is held is the effect of a box, for scores alone hide it where it is small; and one of them goes through
    several times at once, so that what was recorded of two pictures is not taken for any number's.
    """
    trial = [boxes[0], boxes[len(boxes) // 2 + max(1, math.isqrt(len(boxes)) // 2)], boxes[-1]]
    cover = _cover(model, image, fill)

    def holds(replay: Replay) -> bool:
        own = model.trace(np.concatenate([image[None], hidden(image, trial, fill)])).scores
        return all(
            _agree(replay.hide(cover, [box] * times), np.stack([scores] * times), effect=scores - own[0])
            for box, times, scores in zip(trial, (1, 3, 1), own[1:], strict=True)
        )

    return _held(model, image, (), "input", holds)


def _replayed_boxes(
    model: Model,
    replay: Replay,
    image: Array,
    boxes: Sequence[Box],
    fill: Fill,
    tick: Callable[[int], None],
) -> Array:
    most, done, cover = model.batch_for(most=AT_ONCE), 0, _cover(model, image, fill)
    found: dict[int, Array] = {}
    for some in _together(boxes, image.shape[0], image.shape[1], most):
        with model.lock:
            scores = replay.hide(cover, [boxes[i] for i in some], functools.partial(tick, done))
        found.update(zip(some, scores, strict=True))
        done += len(some)
        tick(done)
    return np.stack([found[i] for i in range(len(boxes))])


def _cover(model: Model, image: Array, fill: Fill) -> Array:
    """What hides, a whole picture (1, h, w, c), preprocessed."""
    return model.input.encode(np.broadcast_to(np.asarray(fill, np.float32), image.shape)[None])


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
    except Exception:  # Unmet, or whatever the user's own functions raise when they meet other sizes
        return None


def _agree(found: Array, own: Array, slack: float = 0.0, effect: Array | None = None) -> bool:
    """Equal but for rounding; what differs by more was not the same computation.

    `slack` is allowed for a lower precision's rounding, as a share of the largest. Where `effect` is what
    matters, the difference may be a hundredth of it, besides rounding.
    """
    largest = float(np.abs(own[np.isfinite(own)]).max(initial=0))
    allowed = max(1e-5, slack) * largest
    if effect is not None:
        allowed = 5e-6 * largest + 0.01 * float(np.abs(effect).max())
    return found.shape == own.shape and np.allclose(found, own, rtol=slack, atol=allowed, equal_nan=True)
