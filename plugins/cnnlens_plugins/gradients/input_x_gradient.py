"""Input × gradient: each pixel's share of the score, were the network linear.  Shrikumar et al., 2016."""

from __future__ import annotations

from typing import Annotated, Literal

from cnnlens import Array, Cost, Field, Heatmap, InputSpec, Probe, attributed, join_channels, visualiser

Zero = Literal["fed", "black"]


@visualiser(
    title="Input × gradient",
    family="gradients",
    needs={"gradients"},
    paper="Shrikumar, Greenside, Shcherbina & Kundaje, 2016",
    link="https://arxiv.org/abs/1605.01713",
    cost=Cost(1, 1),
)
def input_x_gradient(
    probe: Probe,
    *,
    zero: Annotated[
        Zero,
        Field(
            description="where a pixel counts from: what preprocessing makes zero (often a grey), or black"
        ),
    ] = "fed",
) -> Heatmap:
    """Each pixel times the gradient of the score by it, summed over the channels.

    A pixel at `zero` gets nothing, whatever the network does with it: `fed` counts from the colour that
    preprocessing feeds as 0, as the paper does; `black` from a black picture. The sum of the map is the score
    less that of a picture all at zero only where the network is linear.
    """
    away = probe.pixels if zero == "black" else from_zero(probe.fed, probe.model.input)
    return attributed(
        join_channels(away * probe.gradients("input"), "sum"),
        title=f"input × gradient, counted from {'black' if zero == 'black' else 'what is fed as 0'}",
        unit=probe.target.unit,
        means="speaks for the class",
    )


def from_zero(fed: Array, spec: InputSpec) -> Array:
    """How far each pixel (h, w, c) lies from the one that is fed as zero, in intensity."""
    return spec.per_pixel(fed) / spec.scale**2  # `per_pixel` puts the channels in order, and multiplies once
