"""Why a map has the same value everywhere: each cause is tried, and only one that holds is told."""

from __future__ import annotations

import numpy as np

from ..layer import Layer
from ..panels import Heatmap
from .evidence import Evidence


def why_flat(panel: Heatmap, evidence: Evidence, spoken: bool) -> str | None:
    """The cause, in words. `spoken`: the visualiser has said something itself; then only a cause is added."""
    value = float(panel.values.flat[0])
    told = f"the map is {'zero' if not value else f'{value:.3g}'} everywhere: "
    if panel.values.size == 1 and evidence.layer != "input":
        return told + f"{evidence.layer} has one place; choose an earlier layer"
    cause = (
        (_no_gradient(evidence) if evidence.by_gradients else None)
        or _one_colour(evidence)
        or _same_everywhere(evidence, value)
    )
    if cause:
        return told + cause
    if value:  # one square over the whole picture makes a map that is flat, and true
        return None
    if not evidence.by_gradients:
        untouched = _untouched(evidence)
        return told + untouched if untouched else None
    if spoken:
        return None
    if not panel.signed:
        return told + (
            f"the target does hang on {evidence.layer}, so what was below zero was cut off by the method; a "
            "setting that keeps the sign would show it"
        )
    return told + "picture, activations and gradients differ from place to place; the cause is not among them"


def _one_colour(evidence: Evidence) -> str | None:
    pixels = evidence.probe.pixels
    if np.ptp(pixels, axis=(0, 1)).any():
        return None
    return "the picture is of one colour, so that no place of it differs from another"


def _same_everywhere(evidence: Evidence, value: float) -> str | None:
    """That the layer is flat itself. What is flat and not zero explains no map that is zero: it was cut off."""
    if evidence.layer == "input" or evidence.model.why_no("activations"):
        return None
    values = evidence.probe.activations(evidence.layer)
    places = tuple(range(values.ndim - 1))
    if not values.any() or (value and not np.ptp(values, axis=places).any()):
        return f"{evidence.layer} hands on {'the same' if values.any() else 'zero'} at every place"
    if (
        value
        and evidence.by_gradients
        and not np.ptp(evidence.probe.gradients(evidence.layer), axis=places).any()
    ):
        return (
            f"the gradient at {evidence.layer} is the same at every place, as before a mean over all of them; "
            "choose an earlier layer"
        )
    return None


def _no_gradient(evidence: Evidence) -> str | None:
    """Why the target has no gradient at the layer, if it has none."""
    found = evidence.probe.gradients(evidence.layer)
    if evidence.layer != "input" and found.ndim == 2 and found[0].any() and not found[1:].any():
        return _behind_attention(evidence)
    if found.any():
        return None
    return f"the target's gradient at {_named(evidence.layer)} is exactly zero, because " + (
        (_untouched(evidence) if _is_behind(evidence) else None)
        or _closed(evidence)
        or _untouched(evidence)
        or _lost(evidence)
    )


def _is_behind(evidence: Evidence) -> bool:
    """Whether the layer is called after all that the target reads."""
    order = [known.name for known in evidence.model.layers]
    read = [order.index(name) for name in evidence.probe.target.layers if name in order]
    return bool(read) and evidence.layer in order and max(read) < order.index(evidence.layer)


def _untouched(evidence: Evidence) -> str | None:
    """That the target does not read the layer at all: it stays as it is when the layer is changed."""
    layer, probe, rng = evidence.layer, evidence.probe, np.random.default_rng(0)
    pictures, replace = probe.pixels[None].repeat(5, 0), {}
    if layer == "input":
        pictures[1:] = rng.random((4, *probe.pixels.shape), np.float32)
    elif evidence.model.why_no("replace"):
        return None
    else:
        own = probe.activations(layer)
        sizes = np.asarray([0, 1, 10, 100, 1000], np.float32) * max(float(np.abs(own).max()), 1.0)
        drawn = rng.standard_normal((5, own.size), np.float32) * sizes[:, None]
        replace = {layer: own + drawn.reshape(5, *own.shape)}
    ran = evidence.model.trace(pictures, watch=probe.target.layers, replace=replace)
    values = probe.target.value(ran.scores, ran.activations)
    if np.abs(values - values[0]).max() > 1e-6 * abs(values[0]):
        return None
    if layer == "input":
        return "the target does not hang on the picture: four random ones leave it as it is"
    where = "behind what it reads" if _is_behind(evidence) else "beside the way to it"
    return (
        f"the target does not hang on that layer, which lies {where}: changed at random, up to a thousand times "
        "its size, it leaves the target as it is"
    )


def _closed(evidence: Evidence) -> str | None:
    """That every unit which gradient arrives at is switched off: the ReLU is dead there."""
    traced = evidence.backward
    for layer in reversed(evidence.layers):
        gradient, values = traced.gradients[layer.name], traced.activations[layer.name]
        below = [traced.gradients[name] for name in _below(layer, evidence)]
        if layer.kind != "activation" or not gradient.any() or any(g.any() for g in below):
            continue
        reached = values[gradient != 0]
        if not reached.any():
            return (
                f"{layer.name} ({layer.type}) is off, at zero, in all {reached.size} units that the target hangs on: "
                "they are dead for this picture"
            )
    return None


def _lost(evidence: Evidence) -> str:
    """The lowest layer that a gradient still arrives at."""
    alive = [layer for layer in evidence.layers if evidence.backward.gradients[layer.name].any()]
    if not alive:
        return "no layer has any: the target's own derivative is zero for this picture"
    return f"it is lost below {alive[0].name} ({alive[0].type}), the lowest layer where there is any"


def _behind_attention(evidence: Evidence) -> str:
    """That only the class token of a layer reaches the scores, and the last layer where others still do."""
    found = evidence.backward.gradients
    shape = evidence.model.layer(evidence.layer).shape
    spread = [
        layer.name for layer in evidence.layers if layer.shape == shape and found[layer.name][0][1:].any()
    ]
    instead = f"; the last layer where they do is {spread[-1]}" if spread else ""
    return (
        f"behind the last attention only the first token of {evidence.layer} reaches the target, and the "
        f"gradient at all others is exactly zero{instead}"
    )


def _below(layer: Layer, evidence: Evidence) -> tuple[str, ...]:
    """What a layer reads; the one before it where the graph is not known."""
    names = ["input", *(known.name for known in evidence.layers)]
    known = tuple(name for name in layer.inputs if name in names)
    return known or (names[names.index(layer.name) - 1],)


def _named(layer: str) -> str:
    return "the picture" if layer == "input" else layer
