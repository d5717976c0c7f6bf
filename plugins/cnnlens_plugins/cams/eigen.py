"""Eigen-CAM: what a layer's maps have most in common, whatever the class.  Muhammad & Yeasin, 2020."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from cnnlens import Approximate, Cost, Field, Model, Panel, PlacesLayers, Probe, visualiser

from .formulas import eigen_cam as formula
from .gradient_cams import LAYER
from .places import chosen_of, judge_size, seen
from .showing import panels


def judge(model: Model, settings: Mapping[str, Any]) -> Iterator[Approximate]:
    """Too few places; what nothing reads is shown all the same, since no class is asked about."""
    for one in chosen_of(settings["layer"], model):
        yield from judge_size(one)


@visualiser(
    title="Eigen-CAM",
    needs={"activations"},
    paper="Muhammad & Yeasin, 2020",
    link="https://arxiv.org/abs/2008.00299",
    by_target=False,
    cost=Cost(1),
    judge=judge,
)
def eigen_cam(
    probe: Probe,
    *,
    layer: Annotated[PlacesLayers, LAYER] = "last",
    centred: Annotated[
        bool, Field(description="take each channel's mean away first; the paper does not")
    ] = False,
    positive: Annotated[bool, Field(description="keep only what is above zero")] = False,
) -> tuple[Panel, ...]:
    """The places of a layer along the direction of channels in which they are largest.

    The first right singular vector of (places, channels). It knows no class. In units of activation; the sign of
    such a direction is free and chosen so that the map goes with the sum of the channels.
    """
    maps = [(one, formula(a, centred)) for one, a, _ in seen(probe, layer, gradients=False)]
    means = "strong in what the maps have in common"
    return panels("Eigen-CAM", maps, probe.model, positive=positive, unit="activation", means=means)
