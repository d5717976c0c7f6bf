"""One image held to one model for one target; it remembers what it saw and counts progress.

A visualiser asks its probe; what was seen once is not computed again, so all who ask for the same layer
and target share one pass.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from .arrays import Array, frozen
from .images import Image, Source, open_image
from .layer import Layer
from .model import Model
from .passes import Box, Fill, hidden
from .tape import Rule, Share, Tape
from .targets import Target, read_target

Progress = Callable[[int, int], None]  #: progress(done, total); raise Cancelled in it to stop


class Probe:
    """A picture, a model and the question asked of both.

    `image` is the picture as it was opened, `pixels` (h, w, c) in [0, 1] what the model is shown. A target's
    text opens no file here: `like(…)` is for `look`, or read first with an `open` of the caller's.
    """

    def __init__(
        self,
        model: Model,
        image: Source,
        target: str | int | Target = "top1",
        progress: Progress | None = None,
    ) -> None:
        self.model = model
        self.image: Image = open_image(image)
        self.pixels: Array = frozen(model.input.fit(self.image.pixels))
        self.progress = progress
        self._target = read_target(target, model)
        self._memory = _Memory(activations={"input": self.pixels})

    @property
    def has_gradients(self) -> bool:
        """Whether a gradient of any target has been asked of it."""
        return bool(self._memory.gradients)

    @property
    def in_full(self) -> Probe:
        """This picture and target held to the model in full precision; itself where it computes in that."""
        if not self.model.is_lowered:
            return self
        if self._memory.full is None:  # a memory of its own: what was seen is not mixed between precisions
            self._memory.full = copy.copy(self)
            self._memory.full.model = self.model.in_full
            self._memory.full._memory = _Memory(activations={"input": self.pixels})
        return self._memory.full.towards(self.target)

    def towards(self, target: str | int | Target | None = None, progress: Progress | None = None) -> Probe:
        """A probe of the same picture with another target or progress, and the same memory."""
        other = copy.copy(self)
        other.progress = progress
        if target is not None:
            other._target = read_target(target, self.model)
        return other

    @property
    def scores(self) -> Array:
        """The scores of the picture before softmax or sigmoid: (classes,), at each place (h, w, classes)."""
        if self._memory.scores is None:
            self._run(())
        assert self._memory.scores is not None
        return self._memory.scores

    @property
    def probabilities(self) -> Array:
        """The probabilities of the picture, (classes,), at each place (h, w, classes)."""
        return np.asarray(self.model.probabilities(self.scores[None])[0], np.float32)

    @property
    def target(self) -> Target:
        """What is explained; "top1" has become the class that came first for this picture."""
        self._target = self._target.pinned(self.scores)
        return self._target

    @property
    def score(self) -> float:
        """The target's value for the picture as it is."""
        self.look_at(*self.target.layers)
        activations = {name: self.activations(name)[None] for name in self.target.layers}
        return float(self.target.value(self.scores[None], activations)[0])

    @property
    def fed(self) -> Array:
        """The very numbers (h, w, c) that the model is fed: the pixels after its own preprocessing."""
        return self.model.input.encode(self.pixels)

    @property
    def colours(self) -> Array:
        """The pixels as they can be shown, (h, w, 1 or 3): of more or fewer channels their mean."""
        return self.pixels if self.pixels.shape[-1] in (1, 3) else self.pixels.mean(-1, keepdims=True)

    def fed_as_picture(self) -> tuple[Array, tuple[float, float]]:
        """What the model is fed, to be looked at: in [0, 1], channels as it has them; and the ends' real numbers."""
        low, high = self.model.input.limits
        return (self.fed - np.float32(low)) / np.float32(high - low), (low, high)

    def activations(self, layer: str) -> Array:
        """What `layer` handed on for this picture: (h, w, channels) for maps, (units,) for a dense layer."""
        self.look_at(layer)
        return self._memory.activations[layer]

    def gradients(self, layer: str = "input") -> Array:
        """The derivative of the target by what `layer` handed on; by default by the pixels in [0, 1]."""
        self.look_at(layer, gradients=True)
        return self._memory.gradients[self.target, layer]

    def look_at(self, *layers: str, gradients: bool = False) -> None:
        """Fetch several layers in one pass; `activations` and `gradients` then cost nothing."""
        memory = self._memory
        if gradients:
            # a rank is found within the pass, so the first pass of all needs no other before it
            target = self._target if memory.scores is None else self.target
            missing = tuple(layer for layer in layers if (target, layer) not in memory.gradients)
        else:
            target = None
            missing = tuple(layer for layer in layers if layer not in memory.activations)
        if missing:
            self._run(missing, target)

    def weights(self, layer: str) -> dict[str, Array]:
        """The arrays of a layer: `kernel`, `bias`, …"""
        return self.model.weights(layer)

    def layer(self, name: str) -> Layer:
        """The layer's description."""
        return self.model.layer(name)

    def score_of(
        self,
        pictures: Array | Iterable[Array],
        count: int | None = None,
        *,
        probability: bool = False,
        at: str = "input",
    ) -> Array:
        """The target's value (n,) for altered pictures (n, h, w, c) in [0, 1], run in batches.

        `pictures` may be made as they are asked for, one at a time; say then how many there are, in `count`.
        With `probability` the value is in probabilities. With a layer `at` they are not pictures but other
        activations of it, and only what lies behind it is run, where the backend can.
        """
        count = len(pictures) if isinstance(pictures, np.ndarray) else count
        found: list[Array] = []
        image = None if at == "input" else self.pixels
        for ran in self.model.in_batches(pictures, watch=self.target.layers, at=at, image=image):
            found.append(self._read(ran.scores, ran.activations, probability))
            done = sum(map(len, found))
            self.tick(done, count or done)
        return np.concatenate(found) if found else np.zeros(0, np.float32)

    def gradients_of(
        self, pictures: Array | Iterable[Array], count: int | None = None, layer: str = "input"
    ) -> Iterator[tuple[Array, Array]]:
        """The target's value (k,) and its gradient (k, …) at `layer` for altered pictures, batch by batch.

        `pictures` (n, h, w, c) in [0, 1] may be made as they are asked for, one at a time; say then how many
        there are, in `count`. Nothing is kept: what is not asked for any more is let go of.
        """
        count = len(pictures) if isinstance(pictures, np.ndarray) else count
        watch, done = tuple(dict.fromkeys((layer, *self.target.layers))), 0
        for ran in self.model.in_batches(pictures, watch=watch, target=self.target):
            yield self.target.value(ran.scores, ran.activations), ran.gradients[layer]
            done += len(ran.scores)
            self.tick(done, count or done)

    @functools.cached_property
    def tape(self) -> Tape:
        """The pass over this picture as a list of calls, each with its own derivative."""
        tape, memory = self.model.tape(self.pixels[None]), self._memory
        if memory.scores is None and not self.model.is_lowered:  # the pass is made: nobody needs another
            memory.scores = frozen(tape.scores[0])
        return tape

    def walk(self, rule: Rule | None = None) -> Array:
        """Walk the tape back from the target by a rule; what arrives at what was fed, (h, w, c).

        Without a rule it is the gradient by what was fed, which `gradients()` gives per pixel and cheaper.
        """
        return np.asarray(self.tape.walk(self.starts(), rule)[0])

    def starts(self, tape: Tape | None = None) -> dict[int, Array]:
        """Where a walk begins: the target's derivative by the output of each call that it reads, by its place.

        By default on the probe's own tape. Unmet where the target reads a layer that no tape holds.
        """
        return (self.tape if tape is None else tape).starts(self.target)

    def pull_altered(self, functions: Collection[str], share: Share) -> Array:
        """The target's gradient by what was fed, (h, w, c), where activations hand back what `share` makes of it.

        `functions` are their names as on the tape, without underscores; `share(arrived, pulled)` is given what
        arrived at an output and what its derivative makes of that. As a walk by such a rule, but no tape is kept
        where the backend can do without.
        """
        memory = self._memory
        target = self._target if memory.scores is None else self.target
        scores, pulled = self.model.pull_altered(self.pixels[None], target, functions, share)
        if memory.scores is None:
            memory.scores = frozen(scores[0])
        return np.asarray(pulled[0])

    def value(self, probability: bool = False) -> float:
        """The target's value for the picture as it is: in scores, or with `probability` in probabilities."""
        if not probability:
            return self.score
        return float(self._read(self.scores[None], {}, True)[0])

    def hide(self, boxes: Sequence[Box], fill: Fill, probability: bool = False) -> Array:
        """The target's value (n,) with each box (y0, x0, y1, x1) of the picture hidden in turn by `fill`."""
        if not self.target.layers and self.scores.ndim == 1:
            scores = self.model.hide(self.pixels, boxes, fill, lambda done: self.tick(done, len(boxes)))
            return self._read(scores, {}, probability)
        pictures = (hidden(self.pixels, [box], fill)[0] for box in boxes)
        return self.score_of(pictures, len(boxes), probability=probability)

    def _read(self, scores: Array, activations: Mapping[str, Array], probability: bool) -> Array:
        target = self.target.in_probabilities(self.model.activation) if probability else self.target
        return target.value(scores, activations)

    def tick(self, done: int, total: int) -> None:
        """Say how far long work has come; raises Cancelled where somebody pressed stop."""
        if self.progress:
            self.progress(done, total)

    def _run(self, layers: Sequence[str], target: Target | None = None) -> None:
        ran = self.model.trace(self.pixels[None], watch=layers, target=target)
        memory = self._memory
        if memory.scores is None:
            memory.scores = frozen(ran.scores[0])
        for name, values in ran.activations.items():
            memory.activations.setdefault(name, frozen(values[0]))
        for name, values in ran.gradients.items():
            memory.gradients[self.target, name] = frozen(values[0])


@dataclass
class _Memory:
    """What passes over one picture have shown so far; shared by all its probes."""

    activations: dict[str, Array]
    gradients: dict[tuple[Target, str], Array] = field(default_factory=dict)
    scores: Array | None = None
    full: Probe | None = None  # the same picture in full precision
