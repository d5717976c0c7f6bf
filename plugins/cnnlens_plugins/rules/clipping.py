"""Gradients that are clipped at every ReLU on their way back: what guided backpropagation and DeconvNet share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnnlens import Array, Call, Heatmap, Probe

from .structure import is_rectifier


def guided(call: Call, arrived: Array) -> Sequence[Array]:
    """At a ReLU what is positive goes on where the ReLU was open; elsewhere the derivative."""
    if is_rectifier(call.info):
        return [np.maximum(share, 0) for share in call.pull(arrived)]
    return call.pull(arrived)


def deconvolved(call: Call, arrived: Array) -> Sequence[Array]:
    """At a ReLU what is positive goes on, whether it was open or not; elsewhere the derivative."""
    return [np.maximum(arrived, 0)] if is_rectifier(call.info) else call.pull(arrived)


def heatmap(probe: Probe, clipped: Array, sign: str, join: str, title: str) -> Heatmap:
    """A clipped gradient (h, w, c) by what was fed, per unit of intensity, its channels joined as saliency does."""
    values = probe.model.input.per_pixel(clipped)
    values = values if sign == "signed" else np.abs(values)
    if join == "max":
        values = np.take_along_axis(values, np.abs(values).argmax(-1, keepdims=True), -1)
    joined = values.mean(-1) if join == "mean" else values.sum(-1)
    return Heatmap(
        joined,
        signed=sign == "signed",
        title=f"{title}, {sign}",
        unit=f"{probe.target.unit} per intensity",
        means="brighter here, more of what speaks for the target"
        if sign == "signed"
        else "the target is here",
    )
