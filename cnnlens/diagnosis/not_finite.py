"""Where NaN and infinities begin: the picture, the weights, a layer on the way up, a layer on the way down."""

from __future__ import annotations

import numpy as np

from ..arrays import Array
from ..layer import Layer
from ..model import Model
from .evidence import Evidence, half_precision


def why_not_finite(evidence: Evidence) -> str:
    """Where they begin, and what would do, in words."""
    return where_not_finite(evidence) or not_the_models(evidence)


def where_not_finite(evidence: Evidence) -> str | None:
    """Where they begin in the model or before it; None where all of that is finite."""
    fed = evidence.probe.fed
    if not np.isfinite(fed).all():
        return (
            f"what is fed already holds {_odd(fed)}; preprocessing makes them, see model.input "
            f"(mean {evidence.model.input.mean}, std {evidence.model.input.std})"
        )
    weights = weights_not_finite(evidence.model)
    if weights:
        return weights
    return _on_the_way_up(evidence) or _on_the_way_down(evidence)


def bad_weights(model: Model) -> str:
    """The same for a visualiser that reads no picture."""
    return (
        weights_not_finite(model) or "all weights are finite, so they are made by the visualiser's own sums"
    )


def weights_not_finite(model: Model) -> str | None:
    """The layers whose weights are not all finite."""
    if model.why_no("weights"):
        return None
    found: dict[str, str] = {}
    for layer in model.layers:
        for name, values in model.weights(layer.name).items():
            if not np.isfinite(values).all():
                found.setdefault(layer.name, f"the {name} of {layer.name} holds {_odd(values)}")
    if not found:
        return None
    others = f", and {len(found) - 1} more layers have such weights" if len(found) > 1 else ""
    return (
        f"{next(iter(found.values()))}{others}; the checkpoint is damaged or its training diverged: "
        "open an earlier one"
    )


def _on_the_way_up(evidence: Evidence) -> str | None:
    seen = evidence.forward.activations
    for layer in evidence.layers:
        if not np.isfinite(seen[layer.name]).all():
            return _made_by(layer, seen[layer.name], evidence)
    if not np.isfinite(evidence.forward.scores).all():
        return f"every layer's output is finite, the scores hold {_odd(evidence.forward.scores)}"
    return None


def _made_by(layer: Layer, values: Array, evidence: Evidence) -> str:
    """The layer at which they begin, and what of its own explains it."""
    seen = evidence.forward.activations
    before = [seen[name] for name in layer.inputs if name in seen]
    reads = (
        f" and reads finite numbers up to {max(float(np.abs(b).max()) for b in before):.3g}" if before else ""
    )
    told = f"they begin at {layer.name} ({layer.type}), which hands on {_odd(values)}{reads}; "
    own = {} if evidence.model.why_no("weights") else evidence.model.weights(layer.name)
    if "variance" in own and (own["variance"] < 0).any():
        count = int((own["variance"] < 0).sum())
        return told + f"{count} of its variances lie below zero and have no root: the checkpoint is damaged"
    finite = np.concatenate([values[np.isfinite(values)], *(b.ravel() for b in before)])
    if half_precision(finite) == "float16":
        return told + "the model computes in float16, which ends at 65504: open it in float32"
    return told + "all before it and all weights are finite: look at what it reads with feature-maps"


def _on_the_way_down(evidence: Evidence) -> str | None:
    if not evidence.by_gradients:
        return None
    found = evidence.backward.gradients
    for name in reversed(["input", *(layer.name for layer in evidence.layers)]):
        if np.isfinite(found[name]).all():
            continue
        by = [reader for reader in evidence.readers(name) if np.isfinite(found[reader]).all()]
        said = "the target's own derivative is so"
        if by:
            said = (
                f"{', '.join(by)} gets finite ones and hands these back: it has no derivative at what it read"
            )
        return (
            f"all activations are finite, the gradients are not: going down from the target they begin at {name} "
            f"({_odd(found[name])}); {said}; choose a layer above "
            "it, or a visualiser that reads no gradients, like occlusion"
        )
    return None


def not_the_models(evidence: Evidence) -> str:
    """That nothing which was looked at explains them."""
    what = "weights, activations and gradients" if evidence.by_gradients else "weights and activations"
    return f"picture, {what} are all finite, so they are made by the visualiser's own sums"


def _odd(values: Array) -> str:
    nans, infinite = int(np.isnan(values).sum()), int(np.isinf(values).sum())
    parts = [f"{nans} NaN" if nans else "", f"{infinite} infinite" if infinite else ""]
    return f"{' and '.join(part for part in parts if part)} of {values.size} numbers"
