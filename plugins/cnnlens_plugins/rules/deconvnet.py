"""DeconvNet: which pattern, run backwards through the network, made the target?  Zeiler & Fergus, 2013."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from cnnlens import Approximate, Cost, Field, Heatmap, Impossible, Model, Probe, visualiser

from .clipping import deconvolved, heatmap
from .structure import RECTIFIERS
from .verdicts import blind_reasons, clipping_reasons


def judge(model: Model, settings: Mapping[str, Any]) -> Iterator[Approximate | Impossible]:
    """Whether there are ReLUs, which activations are none, and whether the picture has a say."""
    yield from clipping_reasons("DeconvNet", model.calls)
    yield from blind_reasons(model.calls)


@visualiser(
    title="DeconvNet",
    family="gradients",
    needs={"tape"},
    paper="Zeiler & Fergus, 2013",
    link="https://arxiv.org/abs/1311.2901",
    cost=Cost(1, 1),
    judge=judge,
)
def deconvnet(
    probe: Probe,
    *,
    sign: Annotated[
        Literal["signed", "magnitude"], Field(description="which way the pattern points, or its size")
    ] = "signed",
    join: Annotated[
        Literal["max", "mean", "sum"], Field(description="how the colour channels become one number")
    ] = "max",
) -> Heatmap:
    """The network run backwards from the target, negatives dropped at every ReLU.

    Convolutions are turned round, maxima go back to where they were found, and a ReLU hands back what is
    positive, whether it was open or not. Per unit of intensity in [0, 1]; not the derivative of anything, and
    little of it hangs on the class (Mahendran & Vedaldi, 2016).
    """
    return heatmap(probe, probe.pull_altered(RECTIFIERS, deconvolved), sign, join, "deconvolved")
