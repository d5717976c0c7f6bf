"""KernelSHAP: the score shared out fairly among regions, by a weighted regression.  Lundberg & Lee, 2017."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import numpy as np

from cnnlens import (
    Approximate,
    Cost,
    Field,
    Heatmap,
    Model,
    Note,
    Picture,
    Probe,
    visualiser,
)

from .borrowing import borrowed
from .coalitions import Rows, Wide, sandwich, values_of
from .covers import Fill, Of, cover_of, shown
from .judging import too_few, too_small
from .regions import Cut, outlined, regions_of


def judge(model: Model, settings: Mapping[str, Any]) -> Iterator[Approximate]:
    """A regression wants more samples than it has values."""
    if settings["samples"] < 2 ** min(settings["regions"], 30):
        yield from too_few(settings["samples"], settings["regions"], "values")
    yield from too_small(model, settings["regions"])


@visualiser(
    title="KernelSHAP",
    family="perturbation",
    paper="Lundberg & Lee, 2017",
    link="https://arxiv.org/abs/1705.07874",
    cost=lambda _, settings: Cost(2 + min(settings["samples"], 2 ** min(settings["regions"], 30) - 2)),
    judge=judge,
)
def kernel_shap(
    probe: Probe,
    *,
    samples: Annotated[int, Field(ge=2, le=5000, description="how many pictures with regions hidden")] = 1000,
    cut: Annotated[
        Cut, Field(description="how the picture is cut into regions; quickshift finds their number")
    ] = "slic",
    regions: Annotated[int, Field(ge=2, le=1000, description="about how many regions")] = 30,
    fill: Annotated[Fill, Field(description="what hides")] = "mean",
    of: Annotated[Of, Field(description="what is shared out")] = "score",
    seed: Annotated[int, Field(ge=0, le=2**32 - 1, description="the same seed hides the same regions")] = 0,
) -> tuple[Heatmap, Picture, Note]:
    """Shapley values of superpixels: what each adds to the score, averaged over all orders of uncovering them.

    In units of score; they add up to the score of the picture less that of everything hidden, exactly. Where
    there are no more sets of regions than samples, all are run and the values exact. Otherwise sets are drawn by
    the Shapley kernel, each with its complement (Covert & Lee, 2021), and the note says how far chance moves a value.
    """  # fmt: skip
    labels = regions_of(probe.pixels, cut, regions)
    count = int(labels.max()) + 1
    rows, weights = coalitions(count, samples, seed)
    ends = np.stack([np.zeros(count, bool), np.ones(count, bool)])
    values = values_of(probe, np.concatenate([ends, rows]), labels, cover_of(probe.pixels, fill), of)
    shares, spread = shared_out(rows, values[2:], weights, values[0], values[1])
    exact = len(rows) == 2**count - 2
    heatmap = Heatmap(
        shares[labels].astype(np.float32), signed=True, title=f"Shapley values of {count} regions",
        unit=of if of == "probability" else probe.target.unit,
        means=f"seeing this raises the {of}",
    )  # fmt: skip
    told = (
        f"the values add up to {shares.sum():.4g}: {values[1]:.4g} of the picture less {values[0]:.4g} of all hidden; "
        + (
            f"exact, from all {2**count} sets"
            if exact
            else f"{len(rows)} samples are too few to tell {count} regions from chance"
            if len(rows) <= count + 2
            else f"chance moves a value by ±{np.median(spread):.2g} (standard error), "
            f"the largest is {np.abs(shares).max():.2g}"
        )
    )
    return (
        heatmap,
        Picture(shown(outlined(probe.pixels, labels)), title=f"{count} regions by {cut}"),
        Note(told),
    )


def coalitions(count: int, samples: int, seed: int) -> tuple[Rows, Wide]:
    """Sets of regions (n, count) without the empty and the full one, and their weights (n,).

    All of them with the Shapley kernel as weight, or `samples` drawn by it in pairs, each weighing the same.
    """
    sizes = np.arange(1, count)
    if count < 2:
        return np.zeros((0, count), bool), np.zeros(0)
    if count < 30 and 2**count <= samples:
        every = (np.arange(1, 2**count - 1)[:, None] >> np.arange(count)) & 1 == 1
        kernel = [0.0, *((count - 1) / (math.comb(count, int(k)) * k * (count - k)) for k in sizes)]
        return every, np.asarray(kernel)[every.sum(1)]
    rng = np.random.default_rng(seed)
    chance = 1 / (sizes * (count - sizes))
    rows = np.zeros((max(1, samples // 2), count), bool)
    for row, size in zip(rows, rng.choice(sizes, len(rows), p=chance / chance.sum()), strict=True):
        row[rng.choice(count, size, replace=False)] = True
    both = np.stack([rows, ~rows], 1).reshape(-1, count)
    return both, np.ones(len(both))


def shared_out(
    rows: Rows, values: Wide, weights: Wide, nothing: float, everything: float
) -> tuple[Wide, Wide]:
    """The values (count,) that fit best among those that add up to `everything` − `nothing`; and their spread.

    The last value is put in terms of the others, so that the sum holds exactly and nothing is left to weigh it.
    """
    total = everything - nothing
    if not len(rows):
        return np.array([total]), np.zeros(1)
    linear = borrowed("sklearn.linear_model", "scikit-learn", "a regression")
    wide = rows.astype(np.float64)
    known, left = wide[:, :-1] - wide[:, -1:], values - nothing - wide[:, -1] * total
    fitted = linear.LinearRegression(fit_intercept=False).fit(known, left, sample_weight=weights)
    found = np.asarray(fitted.coef_)
    covariance = sandwich(known, left - known @ found, weights, together=2)
    spread = np.sqrt(np.maximum([*np.diag(covariance), covariance.sum()], 0))
    return np.append(found, total - found.sum()), spread
