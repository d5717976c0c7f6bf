"""FullGrad: the share of the picture in the score, and that of every bias in the network.  Srinivas & Fleuret, 2019."""

from __future__ import annotations

import itertools
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
    Layer,
    Model,
    Note,
    Probe,
    enlarged,
    visualiser,
)

from .score import zero_of

#: Activations that are straight pieces through the origin; others add what no bias of a layer tells.
_STRAIGHT = ("relu", "leakyrelu", "leaky_relu", "prelu", "softmax", "sigmoid", "log_softmax", "logsoftmax")
Rescale = Literal["map", "layer", "none"]


def judge(model: Model, settings: Mapping[str, Any]) -> Iterator[Approximate | Impossible]:
    """Whether input and biases add up to the score: only where the network is made of straight pieces."""
    if not any(layer.shape and len(layer.shape) == 3 for layer in biased(model)):
        yield Impossible(f"{model.name} has no convolution or batch norm whose bias could be placed")
    bent = sorted({layer.type for layer in model.layers if _is_bent(layer)})
    if bent:
        yield Approximate(
            f"input and biases add up to the score where a network is made of straight pieces through the origin; "
            f"{', '.join(bent)} {'is' if len(bent) == 1 else 'are'} not"
        )
    own = {layer.name for layer in biased(model)}
    if fused := [name for name in _fused(model) if name in own]:
        names = ", ".join(fused[:3]) + (", …" if len(fused) > 3 else "")
        yield Approximate(
            f"its biases lie before an activation of their own layer, gradients behind: {names}"
        )


def _fused(model: Model) -> list[str]:
    """Layers that have an activation of their own: two calls on a tape, one name."""
    keras = model.framework.startswith("keras")  # nobody else has such layers, and a tape costs a pass
    calls = model.calls if keras and not model.why_no("tape") else ()
    return [a.name for a, b in itertools.pairwise(calls) if a.name == b.name and b.kind == "activation"]


@visualiser(
    title="FullGrad",
    family="class activation maps",
    needs={"activations", "gradients", "replace"},
    paper="Srinivas & Fleuret, 2019",
    link="https://arxiv.org/abs/1905.00780",
    cost=Cost(3, 1),
    judge=judge,
)
def full_grad(
    probe: Probe,
    *,
    rescale: Annotated[
        Rescale, Field(description="stretch each map to 0..1 before they are added, each layer's, or none")
    ] = "map",
) -> tuple[Heatmap, Note]:
    """Input times gradient, and every bias times the gradient where it is added, each made absolute and summed.

    As in the paper each map is stretched to 0..1 before they are added, which makes the weakest channel as loud as
    the strongest; `rescale=none` adds shares of score as they are, those of a coarse layer spread over the pixels.
    A batch norm's bias is what it makes of zeros, so its mean and spread are in it. The note tells whether input and
    biases add up to the score.
    """
    size = probe.pixels.shape[:2]
    layers = biased(probe.model)
    watched = tuple(layer.name for layer in layers)
    ran = probe.model.trace(probe.pixels[None], watch=("input", *watched), target=probe.target)
    biases = _biases(probe.model, layers)
    shares = (probe.pixels - zero_of(probe.model)) * ran.gradients["input"][0]
    total, added = float(shares.sum(dtype=np.float64)), np.zeros(size, np.float64)
    added += _processed(shares, size, rescale)
    for name in watched:
        part = biases[name] * ran.gradients[name][0]
        total += float(part.sum(dtype=np.float64))
        if part.ndim == 3:
            added += _processed(part, size, rescale)
    unit = probe.target.unit if rescale == "none" else f"sum of shares of each {rescale}"
    heatmap = Heatmap(
        np.asarray(added, np.float32), title="FullGrad", unit=unit, means="the score hangs on this pixel"
    )
    told = (
        f"input and {len(watched)} layers with biases add up to {total:.4g}; the score is {probe.score:.4g}"
    )
    if not probe.target.is_linear:
        told += f"; {probe.target.text} is no sum of scores: its slope is shared, and need not add up to it"
    elif abs(total - probe.score) > 1e-2 * abs(probe.score):
        told += "; they do not add up: something on the way is bent, or a bias lies before an activation of its layer"
    return heatmap, Note(told)


def biased(model: Model) -> tuple[Layer, ...]:
    """The layers that add a bias to a linear map of one input: convolutions, dense layers, batch norms."""
    return tuple(
        layer
        for layer in model.layers
        if layer.shape and layer.parameters and len(layer.inputs) < 2
        and (layer.kind in ("convolution", "dense") or "batchnorm" in layer.type.lower())
    )  # fmt: skip


def _is_bent(layer: Layer) -> bool:
    if layer.kind == "activation":
        return layer.type.lower() not in _STRAIGHT
    return layer.kind in ("attention", "multiply") or (
        layer.kind == "normalisation" and "batchnorm" not in layer.type.lower()
    )


def _biases(model: Model, layers: tuple[Layer, ...]) -> dict[str, Array]:
    """What each layer adds: of a convolution or dense layer its own bias, of a batch norm what it makes of zeros.

    A batch norm's mean and spread are known, but not the number that it adds to the spread. So one pass is run
    with zeros in the place of all that batch norms read; a second, where one reads another.
    """
    norms = [layer for layer in layers if layer.kind == "normalisation"]
    found = {
        layer.name: model.weights(layer.name).get("bias", np.zeros(1, np.float32))
        for layer in layers
        if layer not in norms
    }
    while norms:
        names = {layer.name for layer in norms}
        now = [layer for layer in norms if not names & set(layer.inputs)] or norms[:1]
        found |= _of_zeros(model, now)
        norms = [layer for layer in norms if layer not in now]
    return found


def _of_zeros(model: Model, layers: list[Layer]) -> dict[str, Array]:
    """What each of these layers hands on when all that they read is zero."""
    shape = (1, model.input.height, model.input.width, model.input.channels)
    zero = np.broadcast_to(zero_of(model), shape)
    sources = dict.fromkeys(name for layer in layers for name in layer.inputs)
    nothing = {name: np.zeros((1, *model.layer(name).shape), np.float32) for name in sources}
    seen = model.trace(zero, watch=[layer.name for layer in layers], replace=nothing).activations
    return {name: values[0] for name, values in seen.items()}


def _processed(part: Array, size: tuple[int, int], rescale: Rescale) -> Array:
    """The paper's ψ, (h, w, c) → (*size): absolute, stretched to 0..1, enlarged; then summed over the channels."""
    values = np.abs(part)
    if rescale == "none":
        share = part.shape[0] * part.shape[1] / (size[0] * size[1])
        return np.asarray(enlarged(values.sum(-1) * share, size))
    axes = (0, 1) if rescale == "map" else None
    values = values - values.min(axes, keepdims=True)
    top = values.max(axes, keepdims=True)
    stretched = np.divide(values, top, out=np.zeros_like(values), where=top > 0)
    return np.asarray(enlarged(stretched.sum(-1), size))
