"""What passes over the picture show at every layer, each run when it is first asked for."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np

from ..arrays import Array
from ..layer import Layer
from ..model import Model
from ..passes import Trace
from ..probe import Probe


class Evidence:
    """A picture that went wrong: the model, the probe, the layer that was asked about.

    `by_gradients` says whether the visualiser read gradients at all.
    """

    def __init__(self, model: Model, probe: Probe, layer: str, by_gradients: bool) -> None:
        self.model, self.probe = model, probe
        self.layer = layer if any(layer == known.name for known in model.layers) else "input"
        self.by_gradients = by_gradients and not model.why_no("gradients")

    @functools.cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The layers that can be watched, in call order: those that hand on an array; blocks only if alone."""
        if self.model.why_no("activations"):
            return ()
        shown = [layer for layer in self.model.layers if layer.shape]
        return tuple([layer for layer in shown if layer.kind != "block"] or shown)

    @functools.cached_property
    def forward(self) -> Trace:
        """One pass with the activations of every layer."""
        return self.model.trace(self.probe.pixels[None], watch=[layer.name for layer in self.layers])

    @functools.cached_property
    def backward(self) -> Trace:
        """One pass with the activations of every layer, and the target's gradients there and at the picture."""
        names = ["input", *(layer.name for layer in self.layers)]
        return self.model.trace(self.probe.pixels[None], watch=names, target=self.probe.target)

    def gradients_times(self, factor: float) -> Array:
        """The gradient at the layer asked about with the target multiplied by a factor, which is not divided out.

        In exact arithmetic it would be that many times the gradient.
        """
        target, names = self.probe.target, tuple(dict.fromkeys((self.layer, *self.probe.target.layers)))
        with self.model.lock:
            ran = self.model.forward(self.model.input.encode(self.probe.pixels[None]), names, {}, True)
            pulls = target.cotangents(ran.scores, ran.activations)
            pulls = {name: np.asarray(pull * np.float32(factor)) for name, pull in pulls.items()}
            return np.asarray(ran.pull(pulls, (self.layer,))[self.layer], np.float32)

    @functools.cached_property
    def precision(self) -> str | None:
        """`float16` or `bfloat16` where the model computes in it, told by its numbers; None for more."""
        return half_precision(self.probe.scores)

    def readers(self, name: str) -> Mapping[str, Layer]:
        """The layers that read a layer, by name; the next one where the graph is not known."""
        found = {layer.name: layer for layer in self.layers if name in layer.inputs}
        if found:
            return found
        order = ["input", *(layer.name for layer in self.layers)]
        after = self.layers[order.index(name) : order.index(name) + 1] if name in order else ()
        return {layer.name: layer for layer in after}


def half_precision(values: Array) -> str | None:
    """The short floating type that all of the values fit exactly: one other float in 8192 or more would."""
    finite = values[np.isfinite(values) & (values != 0)]
    if not finite.size:
        return None
    with np.errstate(over="ignore"):
        if np.array_equal(finite.astype(np.float16).astype(np.float32), finite):
            return "float16"
    bits = np.ascontiguousarray(finite, np.float32).view(np.uint32)
    return "bfloat16" if not (bits & 0xFFFF).any() else None
