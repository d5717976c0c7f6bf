"""Occlusion: boxes hidden one after another, only what each can change recomputed.

Against our own best batched full passes (batch norms folded, channels last, the best of three batch sizes), and
against Captum at the best of three of its settings. Positions are drawn from the whole grid, border and all, where
all of them would take minutes a turn; the error is told as a share of the effect, max |hidden - not hidden|.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

import cnnlens
from cnnlens import batches
from cnnlens.backends.torch import TorchModel
from cnnlens.passes import hidden
from cnnlens.runtime import kept

from .bare import SIDE, Bare
from .measure import Row, faster, same

#: Nets and what is asked against our own full passes; the last ones 85 % of what their operation counts allow.
OWN = {"vgg16": 5.5, "resnet18": 1.7, "resnet50": 1.7, "mobilenet_v2": 1.7}
BY_COUNT = ("efficientnet_lite0", "densenet121", "squeezenet1_1", "shufflenet_v2_x1_0")
CAPTUM = {"vgg16": 5.0, "mobilenet_v2": 3.5, "resnet18": 2.5, "resnet50": 2.5}
SAMPLE = {"vgg16": 48}  #: positions a turn; 192 of the others

Boxes = list[tuple[int, int, int, int]]


def grid(window: int, stride: int) -> Boxes:
    """Boxes over the whole picture, row by row."""
    starts = range(0, SIDE - window + 1, stride)
    return [(y, x, y + window, x + window) for y in starts for x in starts]


def sample(boxes: Boxes, count: int) -> list[Boxes]:
    """Whole batches of neighbours as a real run has them, spread over the picture; about `count` boxes in all."""
    groups = list(batches._together(boxes, SIDE, SIDE, batches.AT_ONCE))
    order = np.random.default_rng(0).permutation(len(groups))
    chosen: list[Boxes] = []
    for number in order:
        if sum(map(len, chosen)) < count:
            chosen.append([boxes[i] for i in groups[number]])
    return chosen


class Contest:
    """One network and picture: ours, the full passes, and what both count."""

    def __init__(self, name: str, window: int, stride: int) -> None:
        self.model = opened(name)
        self.image = np.random.default_rng(1).random((SIDE, SIDE, 3), np.float32)
        self.every = grid(window, stride)
        self.groups = sample(self.every, SAMPLE.get(name, 192))
        self.boxes = [box for some in self.groups for box in some]
        fed = self.model.input.encode(self.image[None])
        self.replay = self.model.replay(fed)
        self.cover = self.model.input.encode(np.zeros((1, SIDE, SIDE, 3), np.float32))
        self.fed = torch.from_numpy(fed).permute(0, 3, 1, 2)
        self.hidden = torch.from_numpy(self.cover).permute(0, 3, 1, 2)
        self.batch = self._best_batch()

    def ours(self, groups: list[Boxes] | None = None) -> np.ndarray:
        """The scores by `Replay.hide`, in the batches that `Model.hide` makes of all the positions."""
        with kept():
            return np.concatenate([self.replay.hide(self.cover, some) for some in groups or self.groups])

    def full(self, boxes: Boxes | None = None, batch: int | None = None) -> np.ndarray:
        """The scores by whole passes of the same folded program."""
        boxes, batch = self.boxes if boxes is None else boxes, batch or self.batch
        program, scores = self.replay._program, []
        with kept(), torch.inference_mode():
            for start in range(0, len(boxes), batch):
                some = boxes[start : start + batch]
                pictures = self.fed.repeat(len(some), 1, 1, 1).contiguous(memory_format=torch.channels_last)
                for picture, (y0, x0, y1, x1) in zip(pictures, some, strict=True):
                    picture[:, y0:y1, x0:x1] = self.hidden[0, :, y0:y1, x0:x1]
                scores.append(program.run({0: pictures}, {program.end})[program.end])
        return torch.cat(scores).numpy()

    def _best_batch(self) -> int:
        taken = {}
        for batch in (8, 16, 32):
            self.full(self.boxes[:batch], batch)
            started = time.perf_counter()
            self.full(self.boxes[:32], batch)
            taken[batch] = time.perf_counter() - started
        return min(taken, key=lambda batch: taken[batch])

    def allowed(self) -> float:
        """The ratio of multiply-adds, full by ours."""
        counts = []
        for run in (self.full, self.ours):
            with FlopCounterMode(display=False) as counter:
                run()
            counts.append(counter.get_total_flops())
        return counts[0] / counts[1]

    def error(self) -> str:
        """The largest difference from full passes as a share of the effect, in double precision; ValueError
        beyond 1e-4. In single precision as well, beside what full passes of another batch size differ by."""
        boxes = [*self.boxes[:6], self.every[0], self.every[-1]]
        base, full = self.full([(0, 0, 0, 0)]), self.full(boxes)
        effect = np.abs(full - base).max()
        single, others = (
            np.abs(found - full).max() / effect for found in (self.ours([boxes]), self.full(boxes, 1))
        )
        model = cnnlens.wrap(copy.deepcopy(self.model.module).double(), preprocess=self.model.input)
        replay = model.replay(model.input.encode(self.image[None]))
        exact = model.trace(hidden(self.image, boxes, 0.0)).scores
        plain = model.trace(self.image[None]).scores
        ours = np.concatenate([replay.hide(self.cover, [box]) for box in boxes])
        double = same(ours - plain, exact - plain, 1e-4, "occlusion")
        return f"{double} of the effect; in float32 {single:.0e}, full passes one by one {others:.0e}"


def opened(name: str) -> TorchModel:
    """A network as cnnlens has it."""
    if name == "efficientnet_lite0":
        from cnnlens.demo import demo_model

        model = demo_model()
    else:
        bare = Bare(name)
        model = bare.model
        if name == "mobilenet_v2":  # else hardly anything of the picture reaches its random end
            for part in bare.net.modules():
                if isinstance(part, torch.nn.BatchNorm2d):
                    part.weight.data.uniform_(1.5, 3.0)
    assert isinstance(model, TorchModel)
    return model


def rows(turns: int) -> Iterator[Row]:
    """Against full passes, then against Captum."""
    torch.set_num_threads(2)
    yield from against_full_passes(turns)
    for name, asked in CAPTUM.items():
        yield from against_captum(name, asked, turns)


def against_full_passes(turns: int) -> Iterator[Row]:
    """Window 16, stride 8."""
    for name, asked in {**OWN, **dict.fromkeys(BY_COUNT)}.items():
        contest = Contest(name, 16, 8)
        allowed, error = contest.allowed(), contest.error()
        what = f"occlusion 16/8, {name}, {len(contest.boxes)} of {len(contest.every)} positions"
        against = f"full passes, batch {contest.batch}; operations allow {allowed:.2f}×"
        wanted = asked or 0.85 * allowed
        yield faster(
            what,
            against,
            contest.ours,
            contest.full,
            asked=wanted,
            equal=error,
            turns=turns,
        )


def against_captum(name: str, asked: float, turns: int) -> Iterator[Row]:
    """The whole map of window 32, stride 16, by the public road."""
    from captum.attr import Occlusion

    model = opened(name)
    image = np.random.default_rng(1).random((SIDE, SIDE, 3), np.float32)
    probe = cnnlens.Probe(model, image, target=3)
    x = torch.from_numpy(probe.fed).permute(2, 0, 1)[None].contiguous()
    grey = torch.from_numpy(model.input.encode(np.full((1, 1, 1, 3), 0.5, np.float32))).permute(0, 3, 1, 2)
    oracle, boxes = Occlusion(model.module), grid(32, 16)

    def peer(at_once: int) -> Any:
        with torch.no_grad():
            return oracle.attribute(
                x, target=3, sliding_window_shapes=(3, 32, 32), strides=(3, 16, 16),
                baselines=grey.expand_as(x), perturbations_per_eval=at_once,
            )  # fmt: skip

    def ours() -> Any:
        return cnnlens.Probe(model, image, target=3).hide(boxes, 0.5)

    taken = {}
    for at_once in (1, 16, 64) if name != "vgg16" else (16,):
        started = time.perf_counter()
        found = peer(at_once)
        taken[at_once] = time.perf_counter() - started
    best = min(taken, key=lambda at_once: taken[at_once])
    falls, seen = probe.score - ours(), np.zeros((SIDE, SIDE))
    total = np.zeros((SIDE, SIDE))
    for (y0, x0, y1, x1), fall in zip(boxes, falls, strict=True):
        total[y0:y1, x0:x1] += fall
        seen[y0:y1, x0:x1] += 1
    equal = same(total / np.maximum(seen, 1), found[0, 0].numpy(), 1e-3, name)
    against = f"Captum, {best} per evaluation, the best of {', '.join(map(str, taken))}"
    yield faster(
        f"occlusion 32/16, {name}", against, ours, lambda: peer(best), asked=asked, equal=equal, turns=turns
    )
