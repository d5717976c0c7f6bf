"""Extremal perturbation: the part of the picture that keeps the score best.  Fong, Patrick & Vedaldi, 2019."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

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

from .covers import Fill, cover_of, laid_over, shown
from .descent import descended, random_masks
from .grids import Wide, gaussian

RIVALS = 10  #: random masks of the same area that the found one is held to


def judge(model: Model, settings: Mapping[str, Any]) -> Iterator[Approximate]:
    """A descent of a few steps has not arrived."""
    if settings["steps"] < 50:
        yield Approximate(f"{settings['steps']} steps are too few for the mask to settle: 50 or more do")


@visualiser(
    title="Extremal perturbation",
    family="perturbation",
    needs={"gradients"},
    paper="Fong, Patrick & Vedaldi, 2019",
    link="https://arxiv.org/abs/1910.08485",
    cost=lambda _, settings: Cost(3 + RIVALS + settings["steps"], settings["steps"]),
    judge=judge,
)
def extremal(
    probe: Probe,
    *,
    goal: Annotated[
        Literal["keep", "destroy"],
        Field(description="the part that keeps the score when only it is seen, or kills it when hidden"),
    ] = "keep",
    area: Annotated[
        float, Field(ge=0.01, le=0.9, description="how much of the picture the part takes")
    ] = 0.1,
    fill: Annotated[Fill, Field(description="what hides the rest")] = "blur",
    cells: Annotated[
        int, Field(ge=2, le=64, description="cells of the mask along each side; fewer are smoother")
    ] = 28,
    steps: Annotated[int, Field(ge=1, le=800, description="steps of the descent, a pass each")] = 200,
    rate: Annotated[float, Field(gt=0, le=1, description="how far a step goes")] = 0.05,
    seed: Annotated[int, Field(ge=0, le=2**32 - 1, description="for the random masks it is compared to")] = 0,
) -> tuple[Heatmap, Picture, Note]:
    """Find the smooth mask of a given area that keeps the score, or kills it, by descent along its gradient.

    The map is the mask, from 0 to 1. The area is held as in the paper: the mask's sorted values are drawn
    towards as many ones as the area asks and zeros for the rest, ever harder. The note compares the score with
    those of random masks of the same area, for a mask can always be found.
    """  # fmt: skip
    cover, size = cover_of(probe.pixels, fill), probe.pixels.shape[:2]
    as_is, covered = probe.score, float(probe.score_of(cover[None])[0])
    down, across = (gaussian(min(cells, side), side) for side in size)
    scale = max(abs(as_is - covered), 1e-3 * max(1.0, abs(as_is)))

    def slope(mask: Wide) -> Wide:
        """How the score that is wanted, in parts of the whole fall, rises with each value of the mask (h, w)."""
        seen = mask if goal == "keep" else 1 - mask
        picture = laid_over(probe.pixels, cover, np.asarray(seen, np.float32))[None]
        watch = tuple(dict.fromkeys(("input", *probe.target.layers)))
        gradient = probe.model.trace(picture, watch=watch, target=probe.target).gradients["input"][0]
        # destroying, the score is to fall and the mask is what is hidden: the signs cancel
        return np.asarray((gradient * (probe.pixels - cover)).sum(-1), np.float64) / scale

    found_mask = descended(slope, (down, across), area, steps, rate, lambda done: probe.tick(done, steps))
    mask = np.asarray(found_mask, np.float32)
    rivals = random_masks(RIVALS, (down, across), mask, seed)
    seen = [each if goal == "keep" else np.float32(1) - each for each in (mask, *rivals)]
    pictures = (laid_over(probe.pixels, cover, each) for each in seen)
    found, *others = (float(v) for v in probe.score_of(pictures, 1 + RIVALS))
    told = _told(goal, float(mask.mean()), (as_is, covered, found), others)
    return (
        Heatmap(
            mask,
            title=f"mask that {goal}s, {mask.mean():.0%} of the picture",
            unit="mask",
            means=f"{'seeing' if goal == 'keep' else 'hiding'} this {goal}s the score",
            limits=(0, 1),
        ),
        Picture(
            shown(laid_over(probe.pixels, cover, seen[0])), title=f"what is seen: {found:.4g} of {as_is:.4g}"
        ),
        Note(told),
    )


def _told(goal: str, area: float, scores: tuple[float, float, float], others: list[float]) -> str:
    as_is, covered, found = scores
    sign = 1 if goal == "keep" else -1
    better = sum(sign * found > sign * other for other in others)
    return (
        f"score {as_is:.4g} of the picture, {covered:.4g} of the cover alone, {found:.4g} with {area:.0%} "
        f"{'seen' if goal == 'keep' else 'hidden'}; {len(others)} random masks as large leave "
        f"{np.mean(others):.4g} on average ({min(others):.4g} to {max(others):.4g}), "
        f"and the mask found does better than {better} of them"
    )
