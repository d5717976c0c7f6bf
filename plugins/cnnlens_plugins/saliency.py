"""Saliency: which pixels, changed a little, would change the score most?  Simonyan et al., 2013."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from cnnlens import Array, Cost, Field, Heatmap, Probe, hookimpl, visualiser


@visualiser(
    title="Saliency",
    needs={"gradients"},
    paper="Simonyan, Vedaldi & Zisserman, 2013",
    link="https://arxiv.org/abs/1312.6034",
    cost=Cost(1, 1),
)
def saliency(
    probe: Probe,
    *,
    sign: Annotated[
        Literal["magnitude", "signed"], Field(description="how far the score would move, or also which way")
    ] = "magnitude",
    join: Annotated[
        Literal["max", "mean", "sum"], Field(description="how the colour channels become one number")
    ] = "max",
) -> Heatmap:
    """The gradient of the score, before softmax, by each pixel.

    Per unit of intensity in [0, 1]. Joined by `max`, a signed map keeps the channel that is largest
    either way.
    """
    values = join_channels(probe.gradients("input"), sign == "signed", join)
    return Heatmap(
        values,
        signed=sign == "signed",
        title=f"gradient, {sign}",
        unit="score per intensity",
        means="brighter here, higher score" if sign == "signed" else "the score hangs on this pixel",
    )


def join_channels(gradient: Array, signed: bool, join: str) -> Array:
    """(h, w, c) → (h, w)."""
    values = gradient if signed else np.abs(gradient)
    if join == "max":
        largest = np.abs(values).argmax(-1, keepdims=True)
        values = np.take_along_axis(values, largest, -1)
    return np.asarray(values.mean(-1) if join == "mean" else values.sum(-1), np.float32)


@hookimpl
def cnnlens_visualisers() -> list[object]:
    """What this plugin brings."""
    return [saliency]
