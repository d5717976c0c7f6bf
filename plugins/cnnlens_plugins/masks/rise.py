"""RISE: what does the score come to, on average, when a place is seen?  Petsiuk, Das & Saenko, 2018."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import numpy as np

from cnnlens import Approximate, Array, Cost, Field, Heatmap, Model, Note, Probe, visualiser

from .covers import Fill, Of, cover_of, laid_over
from .grids import RandomMasks
from .judging import too_few, too_small


def judge(model: Model, settings: Mapping[str, Any]) -> Iterator[Approximate]:
    """Fewer masks than twice the cells tell cells apart by luck."""
    yield from too_few(settings["masks"], settings["cells"] ** 2, "cells")
    yield from too_small(model, settings["cells"] ** 2)


@visualiser(
    title="RISE",
    family="perturbation",
    paper="Petsiuk, Das & Saenko, 2018",
    link="https://arxiv.org/abs/1806.07421",
    cost=lambda _, settings: Cost(1 + settings["masks"]),
    judge=judge,
)
def rise(
    probe: Probe,
    *,
    masks: Annotated[
        int, Field(ge=2, le=8000, description="how many random masks; the noise falls by its root")
    ] = 1000,
    cells: Annotated[
        int, Field(ge=1, le=64, description="cells of a mask along each side, before it is smoothed")
    ] = 7,
    p: Annotated[float, Field(ge=0.05, le=0.95, description="the chance that a cell is seen")] = 0.5,
    fill: Annotated[
        Fill, Field(description="what hides; black is the paper's, and strange to many networks")
    ] = "black",
    of: Annotated[Of, Field(description="what is averaged; the paper takes the probability")] = "score",
    centred: Annotated[
        bool, Field(description="less the mean over all masks, so that zero means no matter")
    ] = True,
    seed: Annotated[int, Field(ge=0, le=2**32 - 1, description="the same seed draws the same masks")] = 0,
) -> tuple[Heatmap, Note]:
    """Hide random parts of the picture many times; where it was seen whenever the score was high, it matters.

    A place's value is the mean of the score over the masks, each weighed by how far it shows the place: the
    expected score given that the place is seen, in units of score. Centred, less the mean over all masks:
    positive speaks for the class. The note tells how far chance alone moves the map.
    """  # fmt: skip
    drawn = RandomMasks.drawn(masks, cells, p, probe.pixels.shape[:2], seed)
    cover = cover_of(probe.pixels, fill)
    pictures = (laid_over(probe.pixels, cover, drawn.one(i)) for i in range(masks))
    values = np.asarray(probe.score_of(pictures, masks, probability=of == "probability"), np.float64)
    middle = values.mean()
    expected, error = expectation(drawn, values - middle)
    heatmap = Heatmap(
        expected if centred else expected + middle,
        signed=centred,
        title=f"{of} where seen" + (f", less the mean {middle:.3g}" if centred else ""),
        unit=of if of == "probability" else probe.target.unit,
        means=f"seeing this raises the {of}" if centred else f"the mean {of} when this is seen",
    )
    return heatmap, Note(_noise(expected, error, masks, of))


def expectation(drawn: RandomMasks, values: Any) -> tuple[Array, Array]:
    """The mean of `values` (n,) given that a place is seen, (h, w), and its standard error.

    The mean is Σ v m / Σ m, a ratio of two random sums; its error is the usual linear approximation.
    """
    shown, weighed, squares = np.zeros((3, *drawn.size))
    with_value, with_both = np.zeros((2, *drawn.size))
    for place, value in enumerate(values):
        mask = np.asarray(drawn.one(place), np.float64)
        shown += mask
        weighed += value * mask
        square = mask**2
        squares += square
        with_value += value * square
        with_both += value**2 * square
    mean = np.divide(weighed, shown, out=np.zeros_like(shown), where=shown > 0)
    variance = np.maximum(with_both - 2 * mean * with_value + mean**2 * squares, 0)
    error = np.divide(np.sqrt(variance), shown, out=np.zeros_like(shown), where=shown > 0)
    return np.asarray(mean, np.float32), np.asarray(error, np.float32)


def _noise(expected: Array, error: Array, masks: int, of: str) -> str:
    spread, typical = float(np.ptp(expected)), float(np.median(error))
    if not spread:
        return f"the map is flat: no mask of {masks} changed the {of}"
    share = f"{typical / spread:.0%} of the map's range"
    told = f"chance alone moves a place by ±{typical:.2g} {of} (standard error), {share}"
    if typical > spread / 5:
        told += f": little of this map is more than noise; {4 * masks} masks would halve it"
    return told
