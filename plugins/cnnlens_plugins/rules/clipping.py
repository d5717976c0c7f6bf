"""Gradients that are clipped at every ReLU on their way back: what guided backpropagation and DeconvNet share."""

from __future__ import annotations

import numpy as np

from cnnlens import Array, Heatmap, Join, Probe, attributed, join_channels

from .signs import side


def guided(arrived: Array, pulled: Array) -> Array:
    """At a ReLU what is positive goes on where the ReLU was open."""
    return side(pulled, True, pulled if pulled.flags.writeable else None)


def deconvolved(arrived: Array, pulled: Array) -> Array:
    """At a ReLU what is positive goes on, whether it was open or not."""
    return side(arrived, True, pulled if pulled.flags.writeable else None)


def heatmap(probe: Probe, clipped: Array, sign: str, join: Join, title: str) -> Heatmap:
    """A clipped gradient (h, w, c) by what was fed, per unit of intensity, its channels joined as saliency does."""
    values = probe.model.input.per_pixel(clipped)
    unit, title = f"{probe.target.unit} per intensity", f"{title}, {sign}"
    if sign == "signed":
        return attributed(
            join_channels(values, join), title, unit, "brighter here, more of what speaks for the target"
        )
    joined = join_channels(np.abs(values), join)
    return attributed(joined, title, unit, "the target is here", signed=False)
