"""Values and gradients by the pixels, asked for again and again of a model that stays as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .arrays import Array
from .batches import held_to_three
from .passes import Replay
from .targets import Target, Term

if TYPE_CHECKING:
    from .model import Model

Reals = np.ndarray[Any, np.dtype[np.float64]]
Row = tuple[Array, Mapping[str, Array]]


class Slopes:
    """Of pictures (n, h, w, c) in [0, 1] the targets' values (n,) and gradients per intensity (n, h, w, c).

    Picture i is asked for target i. A pass is recorded for it, held to the model's own for three pictures of noise,
    and run no further than the targets read; where that cannot be, the model's own passes are run.
    Raises Unmet where there are no gradients, BadInput for pictures of another size.
    """

    def __init__(self, model: Model, targets: Sequence[Target]) -> None:
        self._model, self._targets = model, tuple(targets)
        self._layers = tuple(dict.fromkeys(name for target in targets for name in target.layers))
        self._to_end = any(not term.layers for target in targets for term in target.terms)
        self._replay = self._recorded()

    def __call__(self, pictures: Array, of: slice = slice(None)) -> tuple[Array, Array]:
        """The values and gradients of pictures for the targets `of`, one each."""
        model, each = self._model, Target((Each(self._targets[of]),), "each its own")
        if self._replay is None:
            seen = model.trace(pictures, watch=("input", *self._layers), target=each)
            return each.value(seen.scores, seen.activations), seen.gradients["input"]
        with model.lock:
            fed = model.input.encode(model.checked(pictures))
            ran = self._replay.forward(fed, ("input", *self._layers), True, to_end=self._to_end)
            pulled = ran.pull(each.cotangents(ran.scores, ran.activations), ("input",))
        values = each.value(ran.scores, ran.activations)
        return values, model.input.per_pixel(np.asarray(pulled["input"], np.float32))

    def _recorded(self) -> Replay | None:
        """A pass over noise that gives what the model gives, to be run again; None where there is none."""
        model, rng = self._model, np.random.default_rng(0)
        noise = rng.random((3, model.input.height, model.input.width, model.input.channels), np.float32)
        return held_to_three(model, noise, self._layers)


@dataclass(frozen=True)
class Each(Term):
    """Picture i's value is that of target i."""

    targets: tuple[Target, ...]

    @property
    def layers(self) -> tuple[str, ...]:
        """All that any of them reads."""
        return tuple(dict.fromkeys(name for target in self.targets for name in target.layers))

    def value(self, scores: Array, activations: Mapping[str, Array]) -> Reals:
        """Each target's own, (n,)."""
        rows = self._rows(scores, activations)
        return np.concatenate([target.value(*row) for target, row in rows]).astype(np.float64)

    def cotangents(self, scores: Array, activations: Mapping[str, Array]) -> dict[str, Array]:
        """Each target's own at its picture, zero at what it does not read."""
        pulls: dict[str, Array] = {}
        for i, (target, row) in enumerate(self._rows(scores, activations)):
            for name, pull in target.cotangents(*row).items():
                whole = scores if name == "scores" else activations[name]
                pulls.setdefault(name, np.zeros(whole.shape, np.float32))[i] = pull[0]
        return pulls

    def _rows(self, scores: Array, activations: Mapping[str, Array]) -> Iterator[tuple[Target, Row]]:
        """Each target, and scores and activations of its picture alone."""
        for i, target in enumerate(self.targets):
            yield target, (scores[i : i + 1], {name: activations[name][i : i + 1] for name in target.layers})
