"""Saliency: which pixels, changed a little, would change the score most?  Simonyan et al., 2013."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from cnnlens import Cost, Field, Heatmap, Join, Probe, attributed, join_channels, visualiser

Sign = Literal["magnitude", "signed"]


@visualiser(
    title="Saliency",
    family="gradients",
    needs={"gradients"},
    paper="Simonyan, Vedaldi & Zisserman, 2013",
    link="https://arxiv.org/abs/1312.6034",
    cost=Cost(1, 1),
)
def saliency(
    probe: Probe,
    *,
    sign: Annotated[Sign, Field(description="how far the score would move, or also which way")] = "magnitude",
    join: Annotated[Join, Field(description="how the colour channels become one number")] = "max",
) -> Heatmap:
    """The gradient of the score, before softmax, by each pixel.

    Per unit of intensity in [0, 1]. Joined by `max`, a signed map keeps the channel that is largest
    either way.
    """
    gradient = probe.gradients("input")
    return attributed(
        join_channels(gradient if sign == "signed" else np.abs(gradient), join),
        title=f"gradient, {sign}",
        unit=f"{probe.target.unit} per intensity",
        means="brighter here, higher score" if sign == "signed" else "the score hangs on this pixel",
        signed=sign == "signed",
    )
