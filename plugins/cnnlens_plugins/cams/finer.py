"""Finer-CAM: what speaks for a class and not for those that come close to it.  Zhang et al., 2025."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import numpy as np

from cnnlens import (
    Approximate,
    Cost,
    Field,
    Impossible,
    Model,
    Note,
    Panel,
    PlacesLayers,
    Probe,
    Target,
    errors,
    visualiser,
)

from . import formulas
from .gradient_cams import LAYER, POSITIVE
from .places import judge_places, seen
from .showing import panels


def judge(model: Model, settings: Mapping[str, Any]) -> Iterator[Approximate | Impossible]:
    """Whether there are classes to compare, each with one score."""
    if len(model.outputs) > 1:
        yield Impossible("Finer-CAM compares the scores of classes, and this network has one for each place")
    elif model.outputs[-1] < 2:
        yield Impossible("Finer-CAM compares classes, and this network has one")
    yield from judge_places(model, settings)


BY = {"grad-cam": formulas.grad_cam, "hires-cam": formulas.hires_cam, "layer-cam": formulas.layer_cam}


@visualiser(
    title="Finer-CAM",
    family="class activation maps",
    needs={"activations", "gradients"},
    paper="Zhang et al., 2025",
    link="https://arxiv.org/abs/2501.11309",
    cost=Cost(2, 1),
    judge=judge,
)
def finer_cam(
    probe: Probe,
    *,
    layer: Annotated[PlacesLayers, LAYER] = "last",
    positive: Annotated[bool, POSITIVE] = True,
    classes: Annotated[int, Field(ge=1, le=1000, description="how many similar classes")] = 3,
    alpha: Annotated[float, Field(ge=0, le=10, description="how much of theirs is taken away")] = 0.6,
    by: Annotated[
        Literal["grad-cam", "hires-cam", "layer-cam"], Field(description="the formula that makes the map")
    ] = "grad-cam",
) -> tuple[Panel, ...]:
    """Grad-CAM of the class's score less a share of the mean score of the classes nearest to it.

    Near are those whose scores for this picture differ least. In units of score. Of a target that is a difference
    already, the classes near to its first are taken besides those that it names.
    """
    near = nearest(probe, classes)
    finer = probe.towards(less(probe.target, near, alpha), probe.progress)
    maps = [(one, BY[by](a, g)) for one, a, g in seen(finer, layer)]
    names = ", ".join(probe.model.class_name(index) for index in near)
    note = Note(f"{probe.target.label(probe.model)}, less {alpha:g} × the mean of: {names}")
    return panels(
        "Finer-CAM", maps, probe, positive=positive, notes=[note],
        means="speaks for the class and not for those near to it",
    )  # fmt: skip


def nearest(probe: Probe, count: int) -> list[int]:
    """The classes whose scores are nearest to that of the target's first class."""
    named = list(probe.target.by_class or ())
    if not named:
        raise errors.Unmet(f"Finer-CAM compares classes; {probe.target.text} is none")
    distances = np.abs(probe.scores - probe.scores[named[0]])
    others = [int(index) for index in np.argsort(distances, kind="stable") if index not in named]
    if not others:
        raise errors.Unmet(
            f"Finer-CAM compares classes, and {probe.model.name} has no other than the target's"
        )
    return others[:count]


def less(target: Target, near: list[int], alpha: float) -> Target:
    """The target less `alpha` times the mean score of the classes near to it."""
    return target.plus(
        {index: -alpha / len(near) for index in near}, f"{target.text}, less {alpha:g} of {near}"
    )
