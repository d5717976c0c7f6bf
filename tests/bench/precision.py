"""SmoothGrad in bf16 against itself in fp32; the last column is what the lower precision did to the map."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import cnnlens

from .bare import Bare
from .measure import Row, faster

NETS = ("vgg16", "resnet50", "mobilenet_v2")
SAMPLES = 10


def rows(turns: int) -> Iterator[Row]:
    """A net at a time: a batch of ten forward and back."""
    for name in NETS:
        bare = Bare(name)
        yield _smoothgrad(bare, turns)
        yield _batch(bare, turns)


def _smoothgrad(bare: Bare, turns: int) -> Row:
    low = bare.model.computing_in("bf16")
    index = int(bare.model.trace(bare.pixels[None]).scores.argmax())

    def made(model: Any) -> Any:
        return cnnlens.look(model, bare.pixels, "smoothgrad", target=index, samples=SAMPLES).array

    return faster(
        f"SmoothGrad-{SAMPLES} in bf16, its error measured, {bare.name}", "in fp32", lambda: made(low),
        lambda: made(bare.model), asked=None, equal=_likeness(made(low), made(bare.model)), turns=turns,
    )  # fmt: skip


def _batch(bare: Bare, turns: int) -> Row:
    low = bare.model.computing_in("bf16")
    ten = np.random.default_rng(1).random((10, *bare.pixels.shape), np.float32)

    def made(model: Any) -> Any:
        return model.trace(ten, watch=("input",), target=0).gradients["input"]

    return faster(
        f"forward and back, 10 pictures in bf16, {bare.name}", "in fp32", lambda: made(low),
        lambda: made(bare.model), asked=None, equal=_likeness(made(low), made(bare.model)), turns=turns,
    )  # fmt: skip


def _likeness(low: Any, full: Any) -> str:
    return f"correlation {float(np.corrcoef(low.ravel(), full.ravel())[0, 1]):.3f}"
