"""CAM: the maps before a global average, weighted as the one dense layer behind it does.  Zhou et al., 2016."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import numpy as np

from cnnlens import Approximate, Cost, Field, Impossible, Model, Panel, Probe, errors, visualiser

from .formulas import weighed
from .head import Head, head_of
from .places import chosen_of, judge_size
from .showing import panels


def judge(model: Model, settings: Mapping[str, Any]) -> Iterator[Approximate | Impossible]:
    """Whether the network ends as CAM wants it."""
    head = head_of(model)
    if isinstance(head, str):
        yield Impossible(f"CAM is for networks that end in a global average and one dense layer: {head}")
        return
    for one in chosen_of(head.maps.name, model):
        yield from judge_size(one)


@visualiser(
    title="CAM",
    needs={"activations", "weights"},
    paper="Zhou et al., 2016",
    link="https://arxiv.org/abs/1512.04150",
    cost=Cost(1),
    judge=judge,
)
def cam(
    probe: Probe,
    *,
    positive: Annotated[bool, Field(description="keep only what speaks for the class")] = False,
) -> tuple[Panel, ...]:
    """The maps before the global average, each by the weight that the dense layer behind it gives the class.

    In units of score: the mean over the places, plus the dense layer's bias, is the score. Grad-CAM there, before
    its ReLU, is this divided by the number of places.
    """
    head = head_of(probe.model)
    if isinstance(head, str):
        raise errors.Unmet(f"CAM is for networks that end in a global average and one dense layer: {head}")
    activations = probe.activations(head.maps.name)  # first: the scores come with it
    weights = _weights(probe, head)
    (one,) = chosen_of(head.maps.name, probe.model)
    return panels("CAM", [(one, weighed(activations, weights))], probe.model, positive=positive)


def _weights(probe: Probe, head: Head) -> Any:
    """The weight (c,) of each map for the target, which is a weighted sum of classes."""
    if probe.target.layers:
        raise errors.Unmet(
            f"CAM explains classes by the dense layer's weights; {probe.target.text} is a unit"
        )
    kernel = probe.weights(head.dense.name)["kernel"]
    return np.sum([term.weight * kernel[:, term.index] for term in probe.target.terms], 0)
