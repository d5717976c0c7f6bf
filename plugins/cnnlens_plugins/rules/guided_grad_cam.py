"""Guided Grad-CAM: fine edges, where Grad-CAM says that they matter.  Selvaraju et al., 2016."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import numpy as np

from cnnlens import (
    Approximate,
    Cost,
    Field,
    Heatmap,
    Impossible,
    Join,
    MapsLayer,
    Model,
    Note,
    Probe,
    attributed,
    enlarged,
    join_channels,
    visualiser,
)  # fmt: skip

from .clipping import guided
from .structure import RECTIFIERS
from .verdicts import clipping_reasons


def judge(model: Model, settings: Mapping[str, Any]) -> Iterator[Approximate | Impossible]:
    """Only where there are ReLUs can the way back be guided."""
    yield from clipping_reasons("Guided backpropagation", model.calls)


@visualiser(
    title="Guided Grad-CAM",
    family="gradients",
    needs={"activations", "gradients", "tape"},
    paper="Selvaraju et al., 2016",
    link="https://arxiv.org/abs/1610.02391",
    cost=Cost(2, 2),
    judge=judge,
)
def guided_grad_cam(
    probe: Probe,
    *,
    layer: Annotated[
        MapsLayer, Field(description="the layer whose places are weighed; usually the last with maps")
    ] = "last",
    enlarge: Annotated[
        Literal["bilinear", "nearest"],
        Field(description="how Grad-CAM is brought to the size of the picture"),
    ] = "bilinear",
    join: Annotated[Join, Field(description="how the colour channels become one number")] = "max",
) -> tuple[Heatmap, ...] | tuple[Heatmap, Note]:
    """Guided backpropagation by each pixel, times Grad-CAM enlarged to the picture.

    Guided backpropagation (Springenberg et al., 2014) is the gradient with what is negative left out at every
    ReLU on the way back. It shows edges whether or not the class has to do with them, and hardly changes when
    weights are replaced by random ones (Adebayo et al., 2018): what depends on the class here is Grad-CAM.
    """
    probe.look_at(layer, gradients=True)
    weights = probe.gradients(layer).mean((0, 1), dtype=np.float64)
    cam = np.maximum((probe.activations(layer) * weights).sum(-1), 0)
    clipped = probe.model.input.per_pixel(probe.pull_altered(RECTIFIERS, guided))
    values = clipped * enlarged(cam, probe.pixels.shape[:2], enlarge)[..., None]
    heatmap = attributed(
        join_channels(values, join),
        title=f"guided Grad-CAM at {layer}",
        unit=f"{probe.target.unit}² per intensity",
        means="brighter here speaks for the class, where Grad-CAM is above zero",
    )
    if not cam.any():
        return heatmap, Note(f"empty, since Grad-CAM is: at {layer} no place speaks for the class")
    return (heatmap,)
