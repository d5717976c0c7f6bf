"""SmoothGrad: what remains of the gradient when the picture is shaken.  Smilkov et al., 2017."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np

from cnnlens import Cost, Field, Heatmap, Join, Model, Note, Probe, attributed, join_channels, visualiser

from .baselines import drawer
from .saliency import Sign
from .samples import Samples, Values, run_to_run

Of = Literal["mean", "variance", "square"]
NAMES = {"mean": "SmoothGrad", "variance": "VarGrad", "square": "SmoothGrad²"}


def cost(model: Model, settings: Mapping[str, Any]) -> Cost:
    """A forward and a backward pass a sample."""
    return Cost(settings["samples"], settings["samples"])


@visualiser(
    title="SmoothGrad",
    family="gradients",
    needs={"gradients"},
    paper="Smilkov, Thorat, Kim, Viégas & Wattenberg, 2017",
    link="https://arxiv.org/abs/1706.03825",
    cost=cost,
)
def smoothgrad(
    probe: Probe,
    *,
    samples: Annotated[int, Field(ge=1, le=1000, description="how many noisy pictures")] = 25,
    noise: Annotated[
        float,
        Field(ge=0, le=1, description="spread of the noise, as a share of the picture's own range"),
    ] = 0.15,
    of: Annotated[
        Of, Field(description="what is made of the gradients: their mean, variance, or mean square")
    ] = "mean",
    sign: Annotated[
        Sign, Field(description="of the mean: how far the score would move, or also which way")
    ] = "magnitude",
    join: Annotated[Join, Field(description="how the colour channels become one number")] = "max",
    seed: Annotated[int, Field(ge=0, le=2**32 - 1, description="of the random numbers")] = 0,
) -> tuple[Heatmap, Note]:
    """The gradient by each pixel over many noisy copies of the picture.

    `mean` is SmoothGrad. `variance` is VarGrad (Adebayo et al., 2018), `square` SmoothGrad² (Hooker et al.,
    2019); both have no sign and are in squared units. The noise is normal and is not cut off at black and
    white. The note says how far the map would be elsewhere with other noise.
    """
    spread = np.float32(noise * (probe.pixels.max() - probe.pixels.min()))

    def noisy(number: int) -> Any:
        drawn = drawer(seed, number).standard_normal(probe.pixels.shape, np.float32)
        return probe.pixels + spread * drawn

    seen = Samples(samples)
    for _, gradients in probe.gradients_of(map(noisy, range(samples)), samples):
        for gradient in gradients.astype(np.float64):
            seen.add(gradient[None] if of == "mean" else np.stack([gradient, gradient**2]))

    def made(means: Values) -> Values:
        if of == "mean":
            return join_channels(means[0] if sign == "signed" else np.abs(means[0]), join)
        return join_channels(means[1] if of == "square" else np.maximum(means[1] - means[0] ** 2, 0), join)

    signed, unit = of == "mean" and sign == "signed", probe.target.unit
    high = "brighter here, higher score" if signed else "the score hangs on this pixel"
    heatmap = attributed(
        made(seen.mean),
        title=f"{NAMES[of]} of {samples} samples, noise {spread:.3g}",
        unit=f"{unit} per intensity" if of == "mean" else f"({unit} per intensity)²",
        means="the gradient here changes with the noise" if of == "variance" else high,
        signed=signed,
    )
    return heatmap, run_to_run(seen, made)
