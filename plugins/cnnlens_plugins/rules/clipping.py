"""Gradients that are clipped at every ReLU on their way back: what guided backpropagation and DeconvNet share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnnlens import Array, Call, Heatmap, Join, Probe, attributed, join_channels

from .signs import side
from .structure import is_rectifier


def guided(call: Call, arrived: Array) -> Sequence[Array]:
    """At a ReLU what is positive goes on where the ReLU was open; elsewhere the derivative."""
    if is_rectifier(call.info):
        return [side(share, True) for share in call.pull(arrived)]
    return call.pull(arrived)


def deconvolved(call: Call, arrived: Array) -> Sequence[Array]:
    """At a ReLU what is positive goes on, whether it was open or not; elsewhere the derivative."""
    return [side(arrived, True)] if is_rectifier(call.info) else call.pull(arrived)


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
