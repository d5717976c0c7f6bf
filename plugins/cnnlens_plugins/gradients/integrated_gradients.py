"""Integrated gradients: each pixel's share of the score, added up from a baseline.  Sundararajan et al., 2017."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import numpy as np

from cnnlens import (
    Array,
    Cost,
    Curve,
    Field,
    Heatmap,
    Model,
    Note,
    Panel,
    Probe,
    attributed,
    join_channels,
    visualiser,
)  # fmt: skip

from .baselines import Plain, baseline_of, drawer
from .paths import Rule, completeness, quadrature
from .samples import Samples, Values, run_to_run


def count_of(baseline: str, repeats: int) -> int:
    """How many baselines there are: of all but noise one is like the other."""
    return repeats if baseline == "noise" else 1


def cost(model: Model, settings: Mapping[str, Any]) -> Cost:
    """A forward and a backward pass a step of each path and for its baseline; a forward for the picture."""
    passes = count_of(settings["baseline"], settings["repeats"]) * (settings["steps"] + 1)
    return Cost(1 + passes, passes)


@visualiser(
    title="Integrated gradients",
    family="gradients",
    needs={"gradients"},
    paper="Sundararajan, Taly & Yan, 2017",
    link="https://arxiv.org/abs/1703.01365",
    cost=cost,
)
def integrated_gradients(
    probe: Probe,
    *,
    baseline: Annotated[Plain, Field(description="the picture without the thing")] = "black",
    steps: Annotated[int, Field(ge=1, le=1000, description="places on the path")] = 50,
    rule: Annotated[
        Rule, Field(description="how the places are chosen and weighed; right is the paper's")
    ] = "gauss-legendre",
    repeats: Annotated[int, Field(ge=1, le=100, description="how many baselines of noise are averaged")] = 5,
    seed: Annotated[int, Field(ge=0, le=2**32 - 1, description="of the noise")] = 0,
) -> tuple[Panel, ...]:
    """Gradients on the straight way from a baseline to the picture, times the way, summed over the channels.

    In units of score. The map adds up to the score of the picture less that of the baseline; the note says
    how nearly. What looks like the baseline gets nothing: black things on black do not show. The curve is the
    score on the way; where it is flat at the end, the network was sure long before the whole picture was
    there.
    """
    count, pixels = count_of(baseline, repeats), probe.pixels
    starts = (baseline_of(pixels, baseline, drawer(seed, number)) for number in range(count))
    first = baseline_of(pixels, baseline, drawer(seed, 0))
    at, weights = quadrature(rule, steps)
    if np.array_equal(first, pixels):
        empty = Heatmap(
            np.zeros(pixels.shape[:2], np.float32),
            signed=True,
            title="integrated gradients",
            unit=probe.target.unit,
        )
        return empty, Note(f"the picture is the {baseline} baseline itself: there is no way from one to it")
    shares, scores = Samples(count), Samples(count)
    for path, values in _paths(probe, starts, count, at, weights):
        shares.add(path)
        scores.add(values)
    heatmap = attributed(
        join_channels(shares.mean, "sum"),
        title=f"integrated gradients from {baseline}, {steps} steps",
        unit=probe.target.unit,
        means="speaks for the class",
    )
    line = np.append(scores.mean, probe.score)
    told = completeness(float(shares.mean.sum()), float(line[-1] - line[0]), "more steps may narrow it")
    curve = Curve(
        np.asarray([0, *at, 1], np.float32),
        line,
        title="score on the way",
        x_unit="share of the way",
        unit=probe.target.unit,
    )
    spread = (run_to_run(shares, _joined, "baselines"),) if baseline == "noise" else ()
    return heatmap, told, *spread, curve


def _paths(
    probe: Probe, starts: Iterator[Array], count: int, at: Values, weights: Values
) -> Iterator[tuple[Values, Values]]:
    """Of each baseline the shares (h, w, c) and the scores on the way, the baseline's own first."""
    places, weights = np.append(0.0, at), np.append(0.0, weights)
    begun: list[Array] = []

    def pictures() -> Iterator[Array]:
        for start in starts:
            begun.append(start)
            for share in places.astype(np.float32):
                yield start + share * (probe.pixels - start)

    total, values = np.zeros(probe.pixels.shape), list[float]()
    for scores, gradients in probe.gradients_of(pictures(), count * len(places)):
        for score, gradient in zip(scores, gradients, strict=True):
            total += weights[len(values)] * gradient
            values.append(float(score))
            if len(values) == len(places):
                yield total * (probe.pixels - begun.pop(0)), np.asarray(values)
                total, values = np.zeros(probe.pixels.shape), []


def _joined(mean: Values) -> Values:
    return join_channels(mean, "sum")
