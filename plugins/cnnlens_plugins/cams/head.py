"""Does the network end in a global average and one dense layer?  What it is made of, if so; what was found, if not."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cnnlens import Layer, Model

_AVERAGE = re.compile(r"avg|average|mean", re.IGNORECASE)
#: What hands on the same numbers.
_SAME = ("dropout", "reshape", "block")


@dataclass(frozen=True)
class Head:
    """The layer with maps whose average the dense layer reads, and that dense layer."""

    maps: Layer
    dense: Layer


def head_of(model: Model) -> Head | str:
    """The head of the network, or in words what stands where it should."""
    by_name = {layer.name: layer for layer in model.layers}
    layers = [layer for layer in model.layers if layer.kind != "block"]
    dense = [layer for layer in layers if layer.kind == "dense" and len(layer.shape) == 1]
    if not dense:
        return f"{model.name} has no dense layer; it ends in {_told(layers[-1])}"
    last = dense[-1]
    for layer in layers[layers.index(last) + 1 :]:
        if not (
            _hands_on(layer) or layer.type.lower() in ("softmax", "sigmoid", "log_softmax", "logsoftmax")
        ):
            return f"behind its last dense layer {last.name} comes {_told(layer)}"
    if not {"kernel"} <= model.weights(last.name).keys():
        return f"the weights of its last dense layer {last.name} are not known"
    below = _before(last, by_name)
    if below is None or not _is_global_average(below, by_name):
        return f"its last dense layer {last.name} reads {_told(below) if below else 'what is not known'}"
    maps = by_name[below.inputs[0]]
    return Head(maps, last)


def _before(layer: Layer, by_name: dict[str, Layer]) -> Layer | None:
    """What a layer reads, past everything that hands on the same numbers."""
    while len(layer.inputs) == 1:
        layer = by_name[layer.inputs[0]]
        if not _hands_on(layer) or _is_global_average(layer, by_name):
            return layer
    return None


def _hands_on(layer: Layer) -> bool:
    return layer.kind in _SAME or layer.type == "Identity"


def _is_global_average(layer: Layer, by_name: dict[str, Layer]) -> bool:
    if layer.kind not in ("pooling", "other") or not _AVERAGE.search(layer.type) or len(layer.inputs) != 1:
        return False
    before = by_name[layer.inputs[0]]
    channels = before.shape[-1:]
    return before.has_maps and layer.shape in (channels, (1, 1, *channels))


def _told(layer: Layer) -> str:
    return f"{layer.name} ({layer.type}, {'×'.join(map(str, layer.shape)) or 'no one array'})"
