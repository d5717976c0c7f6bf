"""Guided backpropagation: what in the picture excites what excites the target?  Springenberg et al., 2014."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from cnnlens import Approximate, Cost, Field, Heatmap, Impossible, Model, Probe, visualiser

from .clipping import guided, heatmap
from .structure import RECTIFIERS
from .verdicts import clipping_reasons


def judge(model: Model, settings: Mapping[str, Any]) -> Iterator[Approximate | Impossible]:
    """Whether there are ReLUs, and which activations are none."""
    return clipping_reasons("guided backpropagation", model.calls)


@visualiser(
    title="Guided backpropagation",
    family="gradients",
    needs={"tape"},
    paper="Springenberg, Dosovitskiy, Brox & Riedmiller, 2014",
    link="https://arxiv.org/abs/1412.6806",
    cost=Cost(1, 1),
    judge=judge,
)
def guided_backprop(
    probe: Probe,
    *,
    sign: Annotated[
        Literal["signed", "magnitude"],
        Field(description="which way the clipped gradient points, or its size"),
    ] = "signed",
    join: Annotated[
        Literal["max", "mean", "sum"], Field(description="how the colour channels become one number")
    ] = "max",
) -> Heatmap:
    """The gradient of the score by each pixel, negatives dropped at every ReLU on the way back.

    A ReLU hands back what is positive where it was open. Per unit of intensity in [0, 1]; not the derivative of
    anything. Much of what it shows are the picture's own edges, whatever the class and the weights (Adebayo et
    al., 2018).
    """
    return heatmap(probe, probe.pull_altered(RECTIFIERS, guided), sign, join, "guided gradient")
