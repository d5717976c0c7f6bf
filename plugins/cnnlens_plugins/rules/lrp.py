"""LRP: how is the score, handed back layer by layer, shared among the pixels?  Bach et al., 2015."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import numpy as np

from cnnlens import (
    Approximate,
    Array,
    Cost,
    Field,
    Heatmap,
    Impossible,
    Model,
    Note,
    Probe,
    attributed,
    visualiser,
)  # fmt: skip

from .linear import Stabiliser
from .relevance import COMPOSITES, Ledger, Relevance
from .start import bending
from .verdicts import lrp_reasons

Name = Literal[
    "epsilon-plus-flat", "epsilon-plus", "epsilon-plus-square", "epsilon-gamma-box", "epsilon-alpha2-beta1",
    "epsilon-alpha2-beta1-flat", "epsilon", "zero",
]  # fmt: skip


def judge(model: Model, settings: Mapping[str, Any]) -> Iterator[Approximate | Impossible]:
    """What has no rule, what only a stand-in."""
    return lrp_reasons(model.calls)


def cost(model: Model, settings: Mapping[str, Any]) -> Cost:
    """The pass itself; but for ε each rule runs every layer again, for each sign that it looks at."""
    again = {"epsilon": 0, "alpha2-beta1": 2}.get(COMPOSITES[settings["composite"]].convolution, 1)
    return Cost(1 + again if settings["composite"] != "zero" else 1, max(1, again))


@visualiser(
    title="LRP",
    family="relevance",
    needs={"tape"},
    paper="Bach et al., 2015",
    link="https://doi.org/10.1371/journal.pone.0130140",
    cost=cost,
    judge=judge,
)
def lrp(
    probe: Probe,
    *,
    composite: Annotated[
        Name,
        Field(description="which rules: dense layers ε, convolutions z⁺, γ, αβ or ε, the first flat or box"),
    ] = "epsilon-plus-flat",
    epsilon: Annotated[
        float, Field(ge=0, le=10, description="ε of the ε rule, added to each output with its sign")
    ] = 1e-6,
    relative: Annotated[
        bool, Field(description="ε as a share of the root mean square of the layer's outputs")
    ] = False,
    gamma: Annotated[float, Field(ge=0, le=100, description="γ of the γ rule")] = 0.25,
) -> tuple[Heatmap | Note, ...]:
    """The score, shared backwards among what made it, layer by layer, down to the pixels.

    In units of score, summed over the colour channels: positive speaks for the target, negative against it,
    and together they make the score, but for what biases and stabilisers took; the note says how much.
    Composites are zennit's (Anders et al., 2021), their rules those of Bach et al. (2015) and Montavon et al.
    (2017, 2019); all rules but ε have a stabiliser of 1e-6. Batch norms are merged into the layer before.
    Sums are shared in proportion; a gate takes nothing (Arras et al., 2017).
    """
    tape = probe.tape
    start = {place: pull * tape.calls[place].output for place, pull in probe.starts().items()}
    by = Stabiliser(0.0 if composite == "zero" else epsilon, relative)
    rules = Relevance(tape, COMPOSITES[composite], by, gamma, ends_of(probe.model), tuple(start))
    values = tape.walk(start, rules)[0].sum(-1)
    heatmap = attributed(
        values, title=f"LRP, {composite}", unit=probe.target.unit, means="speaks for the target"
    )
    note = Note(_account(float(values.sum(dtype=np.float64)), probe.score, rules.ledger))
    return heatmap, note, *bending(probe)


def ends_of(model: Model) -> tuple[Array, Array]:
    """The least and the greatest number (c,) that each channel of the network can be fed."""
    ends = model.input.encode(np.asarray([[[0.0] * model.input.channels], [[1.0] * model.input.channels]]))
    return ends.min((0, 1)), ends.max((0, 1))


def _account(arrived: float, score: float, ledger: Ledger) -> str:
    biases, others = sum(ledger.biases.values()), sum(ledger.others.values())
    kept = f" ({arrived / score:.0%})" if score else ""
    text = f"relevance adds up to {arrived:.4g} of the target's {score:.4g}{kept}; biases took {biases:.3g}"
    if ledger.biases:
        text += f", most of it at {max(ledger.biases, key=lambda name: abs(ledger.biases[name]))}"
    if abs(others) > 1e-3 * max(abs(score), 1e-9):
        most = max(ledger.others, key=lambda name: abs(ledger.others[name]))
        text += f"; stabilisers, zeros and rims {others:.3g}, most of it at {most}"
    return text
