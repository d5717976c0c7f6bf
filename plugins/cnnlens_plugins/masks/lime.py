"""LIME: a linear model of what the network says near this picture.  Ribeiro, Singh & Guestrin, 2016."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import numpy as np

from cnnlens import Approximate, Cost, Field, Heatmap, Model, Note, Picture, Probe, visualiser

from .coalitions import Rows, Wide, fit_quality, values_of, weighted_fit
from .covers import Of, cover_of, shown
from .judging import too_few, too_small
from .regions import Cut, means, outlined, regions_of


def judge(model: Model, settings: Mapping[str, Any]) -> Iterator[Approximate]:
    """A regression wants more samples than it has coefficients."""
    yield from too_few(settings["samples"], settings["regions"] + 1, "coefficients")
    yield from too_small(model, settings["regions"])


@visualiser(
    title="LIME",
    family="perturbation",
    paper="Ribeiro, Singh & Guestrin, 2016",
    link="https://arxiv.org/abs/1602.04938",
    cost=lambda _, settings: Cost(1 + settings["samples"]),
    judge=judge,
)
def lime(
    probe: Probe,
    *,
    samples: Annotated[int, Field(ge=2, le=5000, description="how many pictures with regions hidden")] = 1000,
    cut: Annotated[
        Cut, Field(description="how the picture is cut into regions; quickshift finds their number")
    ] = "slic",
    regions: Annotated[int, Field(ge=1, le=1000, description="about how many regions")] = 50,
    fill: Annotated[
        Literal["regions", "mean", "black", "grey", "white", "blur"],
        Field(
            description="what hides: each region's own mean colour, as the authors do, or one cover for all"
        ),
    ] = "regions",
    width: Annotated[
        float, Field(gt=0, le=100, description="how near is near: the width of the kernel")
    ] = 0.25,
    ridge: Annotated[
        float, Field(ge=0, le=1000, description="how far coefficients are drawn towards zero")
    ] = 1.0,
    of: Annotated[Of, Field(description="what is fitted; the authors fit the probability")] = "score",
    seed: Annotated[int, Field(ge=0, le=2**32 - 1, description="the same seed hides the same regions")] = 0,
) -> tuple[Heatmap, Picture, Note]:
    """Hide random sets of superpixels and fit a line to the scores: a region's value is its coefficient.

    In units of score: how far the fitted score rises when the region is seen. Pictures with more regions hidden
    weigh less, by an exponential kernel over the cosine distance. The fit is local and linear; the note says
    how well it fits (weighted R²) and how far chance moves a coefficient.
    """  # fmt: skip
    labels = regions_of(probe.pixels, cut, regions)
    count = int(labels.max()) + 1
    rows = drawn(samples, count, seed)
    cover = means(probe.pixels, labels) if fill == "regions" else cover_of(probe.pixels, fill)
    values = values_of(probe, rows, labels, cover, of)
    weights = nearness(rows, width)
    fitted, intercept, spread = weighted_fit(rows.astype(np.float64), values, weights, ridge)
    quality = fit_quality(values, rows @ fitted + intercept, weights)
    heatmap = Heatmap(
        fitted[labels].astype(np.float32), signed=True, title=f"coefficient of {count} regions",
        unit=of if of == "probability" else probe.target.unit,
        means=f"seeing this raises the {of}",
    )  # fmt: skip
    told = f"{samples} samples are too few to fit {count} regions, or to tell them from chance"
    if samples > count + 2:  # else nothing is left over by which chance could be told
        told = (
            f"the fit explains {quality:.0%} of the {of} near this picture (weighted R² of {samples} samples); "
            f"chance moves a coefficient by ±{np.median(spread):.2g} (standard error), the largest is "
            f"{np.abs(fitted).max():.2g}"
        )
    return (
        heatmap,
        Picture(shown(outlined(probe.pixels, labels)), title=f"{count} regions by {cut}"),
        Note(told),
    )


def drawn(samples: int, count: int, seed: int) -> Rows:
    """Which regions are seen (samples, count): each with chance one half; the first row sees all."""
    rows = np.random.default_rng(seed).random((samples, count)) < 0.5
    rows[0] = True
    return rows


def nearness(rows: Rows, width: float) -> Wide:
    """The weight of each row: √exp(−d²/width²), d the cosine distance from seeing everything."""
    distance = 1 - np.sqrt(rows.mean(1))
    return np.asarray(np.sqrt(np.exp(-(distance**2) / width**2)))
