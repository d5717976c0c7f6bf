"""Ablation-CAM: each map weighted by the fall of the score when it is set to zero.  Desai & Ramaswamy, 2020."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np

from cnnlens import Array, Cost, Model, Panel, PlacesLayers, Probe, names_of, visualiser

from .formulas import weighed
from .gradient_cams import LAYER, POSITIVE
from .head import Head, head_of, sum_over_classes
from .places import by_place, chosen_of, judge_places
from .showing import panels


def cost(model: Model, settings: Mapping[str, Any]) -> Cost:
    """A forward pass a map, or none where it is known what follows the layer; and one for the picture as it is."""
    layers = [one for one in chosen_of(settings["layer"], model) if not only_head_behind(one.name, model)]
    return Cost(1 + sum(one.shape[-1] for one in layers))


@visualiser(
    title="Ablation-CAM",
    family="class activation maps",
    needs={"activations", "replace", "weights"},
    paper="Desai & Ramaswamy, 2020",
    link="https://openaccess.thecvf.com/content_WACV_2020/html/Desai_Ablation-CAM_Visual_Explanations_for_Deep_Convolutional_Network_via_Gradient-free_WACV_2020_paper.html",
    cost=cost,
    judge=judge_places,
)
def ablation_cam(
    probe: Probe,
    *,
    layer: Annotated[PlacesLayers, LAYER] = "last",
    positive: Annotated[bool, POSITIVE] = True,
) -> tuple[Panel, ...]:
    """A layer's maps, each weighted by how far the score falls without it.

    Only what lies behind the layer is run. Behind the last maps of a network that ends in a global average and one
    dense layer nothing has to be: the fall is the map's mean times its weight. The paper divides the fall by the
    score, one factor for the whole map, which turns it about where the score is negative; that is left out.
    In units of score times activation.
    """
    probe.look_at(*names_of(layer, probe.model))  # first: the scores come with it
    maps = []
    for one in chosen_of(layer, probe.model):
        head = only_head_behind(one.name, probe.model)
        known = head is not None and probe.target.by_class is not None
        falls = _falls_by_weight(probe, head) if known and head else _falls(probe, one.name)
        maps.append((one, weighed(by_place(probe.activations(one.name), one), falls)))
    return panels(
        "Ablation-CAM", maps, probe, positive=positive, unit=f"{probe.target.unit} × activation",
        means="speaks for the class",
    )  # fmt: skip


def only_head_behind(layer: str, model: Model) -> Head | None:
    """The head, if the layer is the one that it reads."""
    head = head_of(model)
    return head if isinstance(head, Head) and head.maps.name == layer else None


def _falls_by_weight(probe: Probe, head: Head) -> Array:
    """The fall (c,) of a score that is linear in the means of the maps."""
    weights = sum_over_classes(probe.weights(head.dense.name)["kernel"], probe.target.by_class or {})
    return np.asarray(probe.activations(head.maps.name).mean((0, 1)) * weights)


def _falls(probe: Probe, layer: str) -> Array:
    """The fall (c,) of the target with each channel of the layer set to zero in turn, run from the layer on."""
    whole = probe.activations(layer)
    count = whole.shape[-1]
    return probe.score - probe.score_of((without(whole, i) for i in range(count)), count, at=layer)


def without(whole: Array, channel: int) -> Array:
    """The maps with one of them zero."""
    rest = whole.copy()
    rest[..., channel] = 0
    return rest
