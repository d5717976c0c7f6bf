"""Grad-CAM: which places of a layer speak for the class?  Selvaraju et al., 2016."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from cnnlens import Array, Cost, Field, Heatmap, MapsLayer, Note, Probe, hookimpl, visualiser


@visualiser(
    title="Grad-CAM",
    needs={"activations", "gradients"},
    paper="Selvaraju et al., 2016",
    link="https://arxiv.org/abs/1610.02391",
    cost=Cost(1, 1),
)
def grad_cam(
    probe: Probe,
    *,
    layer: Annotated[
        MapsLayer, Field(description="the layer whose places are weighed; usually the last with maps")
    ] = "last",
    positive: Annotated[
        bool, Field(description="keep only what speaks for the class, as the paper does")
    ] = True,
) -> Heatmap | tuple[Heatmap, Note]:
    """A layer's maps, each weighted by the mean gradient of the score over it, summed.

    In units of score, at the layer's own resolution, not normalised. Without `positive` what speaks
    against the class is kept, below zero.
    """
    probe.look_at(layer, gradients=True)  # activations and gradients from one pass
    cam = weighted_sum(probe.activations(layer), probe.gradients(layer))
    values = np.maximum(cam, 0) if positive else cam
    heatmap = Heatmap(
        values, signed=not positive, title=f"Grad-CAM at {layer}", unit="score", means="speaks for the class"
    )
    if positive and not (values > 0).any():
        return heatmap, Note(_why_empty(cam, layer))
    return heatmap


def weighted_sum(activations: Array, gradients: Array) -> Array:
    """(h, w, c) and the gradients there → (h, w)."""
    return np.asarray((activations * gradients.mean((0, 1))).sum(-1), np.float32)


def _why_empty(cam: Array, layer: str) -> str:
    if not cam.any():
        return f"the map is zero everywhere: the score does not hang on {layer}"
    return (
        f"the map is empty: at {layer} every place speaks against the class "
        f"(from {cam.min():.3g} to {cam.max():.3g}); positive=false shows that"
    )


@hookimpl
def cnnlens_visualisers() -> list[object]:
    """What this plugin brings."""
    return [grad_cam]
