"""DeepLIFT: what does each pixel add to the score, compared with a picture of nothing?  Shrikumar et al., 2017."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import numpy as np

from cnnlens import (
    Array,
    Cost,
    Field,
    Heatmap,
    Impossible,
    Model,
    Note,
    Probe,
    Tape,
    attributed,
    cover_of,
    visualiser,
)  # fmt: skip

from .multipliers import Multipliers
from .start import bending
from .verdicts import deeplift_reasons

Baseline = Literal["black", "white", "grey", "mean", "blur"]


def judge(model: Model, settings: Mapping[str, Any]) -> Iterator[Impossible]:
    """What has no multiplier."""
    return deeplift_reasons(model.calls)


@visualiser(
    title="DeepLIFT",
    family="relevance",
    needs={"tape"},
    paper="Shrikumar, Greenside & Kundaje, 2017",
    link="https://arxiv.org/abs/1704.02685",
    cost=Cost(2, 2),
    judge=judge,
)
def deeplift(
    probe: Probe,
    *,
    baseline: Annotated[
        Baseline, Field(description="what the picture is compared with: a colour, its mean, or it blurred")
    ] = "black",
) -> tuple[Heatmap | Note, ...]:
    """How far each pixel's difference from a baseline moves the score.

    The rescale rule, in units of score, summed over the colour channels: positive raises the score above the
    baseline's, negative lowers it, and together they make the difference between the two; the note holds them to
    it. Of a maximum that changed, the place that made it change is told; products are shared exactly.
    """
    pictures = np.stack([probe.pixels, cover_of(probe.pixels, baseline)])
    tape = probe.model.tape(pictures)
    shares = contributions(probe, tape)
    values = shares.sum(-1)
    heatmap = attributed(
        values,
        title=f"DeepLIFT against {baseline}",
        unit=probe.target.unit,
        means=f"raises the score above that of {baseline}",
    )
    scores = probe.target.value(tape.scores, tape.activations(probe.target.layers))
    made, wanted = float(values.sum(dtype=np.float64)), float(scores[0] - scores[1])
    note = Note(
        f"contributions add up to {made:.4g}; the target is {scores[0]:.4g} for the picture and "
        f"{scores[1]:.4g} for the baseline, {wanted:.4g} apart"
    )
    return heatmap, note, *bending(probe)


def contributions(probe: Probe, tape: Tape) -> Array:
    """What each number that is fed adds to the target, (h, w, c), from the tape of picture and baseline."""
    fed = tape.calls[0].output
    start = {place: np.repeat(pull[:1], 2, 0) for place, pull in probe.starts(tape).items()}
    multipliers = tape.walk(start, Multipliers(tape))
    return np.asarray(multipliers[0] * (fed[0] - fed[1]))
