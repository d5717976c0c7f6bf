"""GradientSHAP: the gradient at random places between random baselines and the picture.  Lundberg & Lee, 2017."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import numpy as np

from cnnlens import Array, Cost, Field, Heatmap, Model, Note, Probe, attributed, join_channels, visualiser

from .baselines import Plain, baseline_of, drawer
from .paths import completeness
from .samples import Samples, Values, run_to_run

From = Literal["mixed", "black", "white", "mean", "blur", "noise"]
MIXED: tuple[Plain, ...] = ("black", "white", "blur", "noise")


def ends_of(samples: int, baseline: str, noise: float) -> tuple[int, int]:
    """How many pictures with noise, and how many baselines, differ from each other."""
    return samples if noise else 1, samples if baseline in ("mixed", "noise") else 1


def cost(model: Model, settings: Mapping[str, Any]) -> Cost:
    """A forward and a backward pass a sample, and a forward for each end of a way that is new."""
    samples = settings["samples"]
    return Cost(samples + sum(ends_of(samples, settings["baseline"], settings["noise"])), samples)


@visualiser(
    title="GradientSHAP",
    family="gradients",
    needs={"gradients"},
    paper="Lundberg & Lee, 2017; Erion et al., 2019",
    link="https://arxiv.org/abs/1906.10670",
    cost=cost,
)
def gradient_shap(
    probe: Probe,
    *,
    samples: Annotated[int, Field(ge=1, le=1000, description="how many places are drawn")] = 50,
    baseline: Annotated[
        From, Field(description="where the ways begin; mixed: black, white, blur and noise in turn")
    ] = "mixed",
    noise: Annotated[
        float, Field(ge=0, le=1, description="spread of the noise on the picture, in intensity")
    ] = 0.0,
    seed: Annotated[int, Field(ge=0, le=2**32 - 1, description="of the random numbers")] = 0,
) -> tuple[Heatmap, Note, Note]:
    """Gradients at random places between baselines and the picture, times the way, on the average.

    In units of score. Expected over the draws, the map adds up to the score of the picture less that of the
    baselines, as Shapley values do; the notes say how nearly this map does, and how far another draw would be
    from it. The papers take pictures of the training set for baselines; those here need none.
    """

    def way(number: int) -> tuple[Array, Array, np.float32]:
        """A baseline, the picture with its noise, and how far between them the gradient is read."""
        rng = drawer(seed, number)
        share = np.float32(rng.random())
        start = baseline_of(probe.pixels, MIXED[number % 4] if baseline == "mixed" else baseline, rng)
        drawn = rng.standard_normal(probe.pixels.shape, np.float32) if noise else np.float32(0)
        return start, probe.pixels + np.float32(noise) * drawn, share

    def between(number: int) -> Array:
        start, end, share = way(number)
        return share * end + (1 - share) * start

    tops, bottoms = ends_of(samples, baseline, noise)
    total, seen = samples + tops + bottoms, Samples(samples)
    for _, gradients in probe.towards().gradients_of(map(between, range(samples)), samples):
        for gradient in gradients:
            start, end, _ = way(seen.count)  # drawn again rather than kept
            seen.add(np.subtract(end, start, dtype=np.float64) * gradient)
        probe.tick(seen.count, total)
    heatmap = attributed(
        join_channels(seen.mean, "sum"),
        title=f"GradientSHAP from {baseline} baselines, {samples} samples",
        unit=probe.target.unit,
        means="speaks for the class",
    )
    bottom = _mean_score(probe, (way(number)[0] for number in range(bottoms)), samples, total)
    top = _mean_score(probe, (way(number)[1] for number in range(tops)), samples + bottoms, total)
    error = seen.standard_error(lambda mean: np.atleast_1d(mean.sum()))
    known = "" if error is None else f", and {error[0]:.2g} the standard error of the sum"
    told = completeness(float(seen.mean.sum()), top - bottom, f"over all draws it is none{known}")
    return heatmap, told, run_to_run(seen, _joined)


def _mean_score(probe: Probe, pictures: Iterable[Array], done: int, total: int) -> float:
    """The mean of the target over pictures, made as they are asked for, after `done` of `total` passes."""
    told = probe.towards(progress=lambda just, _: probe.tick(done + just, total))
    return float(np.mean(told.score_of(pictures)))


def _joined(mean: Values) -> Values:
    return join_channels(mean, "sum")
