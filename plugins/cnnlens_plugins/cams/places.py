"""A layer's values by place, and what of it stands against a map there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from cnnlens import Approximate, Array, Candidate, Impossible, Model, Probe, candidates, fold, names_of

#: Activations that hand on nothing below zero.
_NEVER_BELOW = re.compile(r"^(relu6?|.*sigmoid|.*softmax|softplus|threshold)(_?\d*)$", re.IGNORECASE)
FEW = 4  # places on a side; with fewer a map says little


def chosen_of(layer: str, model: Model) -> tuple[Candidate, ...]:
    """The same as candidates, who know their places and whether anything reads them."""
    asked = names_of(layer, model)
    known = {one.name: one for one in candidates(model) if one.name in asked}
    return tuple(known[name] for name in asked)


def by_place(values: Array, one: Candidate) -> Array:
    """Activations or gradients of a layer → (h, w, channels); the tokens of a transformer are folded."""
    return values if one.grid is None else fold(values, one.grid)


def seen(probe: Probe, layer: str, gradients: bool = True) -> Iterator[tuple[Candidate, Array, Array]]:
    """Of each layer its activations and gradients, (h, w, c); all of them from one pass.

    Without `gradients` the activations come twice.
    """
    probe.look_at(*names_of(layer, probe.model), gradients=gradients)
    for one in chosen_of(layer, probe.model):
        activations = by_place(probe.activations(one.name), one)
        yield one, activations, by_place(probe.gradients(one.name), one) if gradients else activations


def judge_places(model: Model, settings: Mapping[str, Any]) -> Iterator[Approximate | Impossible]:
    """Too few places to show anything, or places that nothing reads any more."""
    for one in chosen_of(settings["layer"], model):
        if not one.read:
            yield Impossible(
                f"behind the last attention only the class token is read, so nothing hangs on the patches of "
                f"{one.name}; take an earlier layer"
            )
        yield from judge_size(one)


def judge_size(one: Candidate) -> Iterator[Approximate]:
    """Whether a layer has few places."""
    if min(one.rows, one.columns) < FEW:
        yield Approximate(
            f"{one.name} has {one.rows}×{one.columns} places, each of {one.stride[0]:.3g}×{one.stride[1]:.3g} "
            "pixels: little can be told of where"
        )


def judge_sums(model: Model, settings: Mapping[str, Any]) -> Iterator[Approximate | Impossible]:
    """As `judge_places`, and whether the sums that the formula divides by can pass through zero."""
    yield from judge_places(model, settings)
    for one in chosen_of(settings["layer"], model):
        bent = one.kind == "activation" and not _NEVER_BELOW.search(model.layer(one.name).type)
        if bent or one.kind in ("normalisation", "convolution", "dense", "attention") or one.grid is not None:
            yield Approximate(
                f"the formula divides by sums of activations, and those of {one.name} can be of either sign"
            )
