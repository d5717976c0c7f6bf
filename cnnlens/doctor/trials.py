"""Run the candidates over the pictures, a batch of pictures at a time, and keep the scores alone."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..arrays import Array
from ..errors import BadInput, CannotOpen, Unmet
from ..images import open_image
from ..model import Model
from ..passes import batches
from ..preprocess import InputSpec
from .candidates import Candidate
from .statistics import (
    Classes,
    Numbers,
    best_sharpness,
    entropy,
    likelihoods,
    log_probabilities,
)

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Trial:
    """What the model made of the pictures under one candidate.

    `truths` are the numbers of the classes, None where nobody said them. Scores (n, classes ≥ 2).
    """

    candidate: Candidate
    scores: Numbers
    probabilities: Numbers
    truths: Classes | None

    @property
    def name(self) -> str:
        """The candidate's name."""
        return self.candidate.name

    @functools.cached_property
    def right(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Whether the first class is the truth, picture by picture."""
        assert self.truths is not None
        return np.asarray(self.scores.argmax(1) == self.truths)

    @property
    def top5(self) -> float:
        """The share of pictures whose truth is among the first five."""
        assert self.truths is not None
        own = self.scores[np.arange(len(self.truths)), self.truths][:, None]
        return float(((self.scores > own).sum(1) < 5).mean())

    @property
    def confidence(self) -> float:
        """The mean probability of the truth; of the first class where no truth is known."""
        if self.truths is None:
            return float(self.probabilities.max(1).mean())
        return float(self.probabilities[np.arange(len(self.truths)), self.truths].mean())

    @functools.cached_property
    def sharpness(self) -> float:
        """The factor of the scores that makes the truths likeliest."""
        assert self.truths is not None
        return best_sharpness(self.scores, self.truths)

    @functools.cached_property
    def likelihoods(self) -> Numbers:
        """The log-likelihood of each picture's truth at that factor."""
        assert self.truths is not None
        return likelihoods(self.scores, self.truths, self.sharpness)

    @property
    def entropy(self) -> float:
        """How undecided the model is over a picture, in nats, on average."""
        return float(entropy(self.probabilities).mean())


@dataclass
class Runner:
    """Runs candidates over pictures. Files that are no pictures are left out, and named in `broken`."""

    model: Model
    paths: Sequence[Path]
    truths: Sequence[int] | None
    progress: Progress | None = None
    broken: dict[Path, str] = field(default_factory=dict)
    shapes: Counter[tuple[int, int]] = field(default_factory=Counter)
    done: int = 0
    planned: int = 0  #: passes known of so far; what the first trials show may ask for more

    def run(self, candidates: Sequence[Candidate]) -> list[Trial]:
        """One trial for each candidate; each picture is opened once, and fitted once for each way to fit it."""
        found: list[list[Array]] = [[] for _ in candidates]
        truths: list[int] = []
        self.planned += len(self.paths) * len(candidates)
        for some in batches(range(len(self.paths)), self.model.batch):
            opened = [(i, pixels) for i in some if (pixels := self._open(self.paths[i])) is not None]
            if self.truths is not None:
                truths += [self.truths[i] for i, _ in opened]
            for scores, fed in zip(found, _fed(candidates, [pixels for _, pixels in opened]), strict=True):
                if opened:
                    scores.append(run_fed(self.model, fed))
            self.done += len(some) * len(candidates)
            if self.progress:
                self.progress(self.done, self.planned)
        if not found[0]:
            path, reason = next(iter(self.broken.items()))
            raise CannotOpen(f"none of the {len(self.paths)} files is a picture; {path.name}: {reason}")
        known = np.asarray(truths, np.int64) if self.truths is not None else None
        return [self._trial(c, np.concatenate(s), known) for c, s in zip(candidates, found, strict=True)]

    def _trial(self, candidate: Candidate, scores: Array, truths: Classes | None) -> Trial:
        wide = np.asarray(scores, np.float64)
        sigmoid = self.model.activation == "sigmoid"
        if wide.shape[1] == 1:  # one score for yes: the softmax of (0, s) is the sigmoid of s
            wide, sigmoid = np.concatenate([np.zeros_like(wide), wide], 1), False
        if sigmoid:  # each class for itself; what is left of all is shared out so that rows can be compared
            known = 1 / (1 + np.exp(-np.clip(np.nan_to_num(wide), -50, 50)))
            return Trial(candidate, wide, known / known.sum(1, keepdims=True), truths)
        return Trial(candidate, wide, np.exp(log_probabilities(wide)), truths)

    def _open(self, path: Path) -> Array | None:
        if path in self.broken:
            return None
        try:
            pixels = open_image(path).pixels
            self.model.input.fit(pixels[:1, :1])  # channels that cannot be read, said before all else
        except (CannotOpen, BadInput) as error:
            self.broken[path] = str(error)
            return None
        self.shapes[pixels.shape[0], pixels.shape[1]] += 1
        return pixels


def _fed(candidates: Sequence[Candidate], pictures: Sequence[Array]) -> list[Array]:
    """The batch as each candidate has it fed."""
    fitted: dict[tuple[object, ...], Array] = {}
    fed = []
    for candidate in candidates:
        spec = candidate.spec
        way = (spec.height, spec.width, spec.resize, spec.crop_share, spec.interpolation)
        if pictures and way not in fitted:
            fitted[way] = np.stack([spec.fit(pixels) for pixels in pictures])
        fed.append(spec.encode(fitted[way]) if pictures else np.empty(0, np.float32))
    return fed


def run_fed(model: Model, fed: Array) -> Array:
    """Scores (n, classes) of what is fed; Unmet where the model is no classifier."""
    with model.lock:
        scores = model.forward(fed, (), {}, False).scores
    if scores.ndim != 2:
        raise Unmet(f"{model.name} gives {scores.shape[1:]} for a picture; doctor reads classifiers")
    return scores


def grey(spec: InputSpec) -> Array:
    """A grey picture as it is fed, a batch of one."""
    return spec.encode(spec.grey())


def accepts(model: Model, spec: InputSpec) -> bool:
    """Whether the model runs on pictures of that size."""
    try:
        run_fed(model, grey(spec))
    except Exception:  # each framework has errors of its own; any of them is a no
        return False
    return True
