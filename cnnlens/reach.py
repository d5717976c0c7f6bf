"""How much of the picture one place of a layer can see, counted along the graph as far as it is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .layer import Layer
from .model import Model

#: Kinds that hand on place by place; of the others those types are known that only move or name values.
_PLACEWISE = ("normalisation", "activation", "add", "multiply", "concat", "dropout")
_HANDS_ON = frozenset(
    ("Identity", "Permute", "StochasticDepth", "DropPath", "ZeroPad2d", "ZeroPadding2D", "ReflectionPad2d",
     "ReplicationPad2d", "InputLayer", "Rescaling", "Normalization")
)  # fmt: skip
#: These look at all places at once.
_GLOBAL = ("LayerNormalization", "GroupNorm", "GroupNormalization", "InstanceNorm2d")


@dataclass(frozen=True)
class Reach:
    """What one place sees: the sides of its receptive field in pixels, and how far apart places lie."""

    sides: tuple[int, int] = (1, 1)
    step: tuple[int, int] = (1, 1)


def reaches(model: Model) -> dict[str, Reach]:
    """The reach of each layer by name; those are missing that cannot be told.

    Told along convolutions and poolings, whose kernels and strides are known, and what works place by place. Where
    several ways meet, it is the widest of them.
    """
    found: dict[str, Reach] = {}
    shapes = {layer.name: layer.shape for layer in model.layers}
    picture = (model.input.height, model.input.width, model.input.channels)
    begun = False
    for layer in model.layers:
        if layer.kind == "block":
            continue
        if layer.inputs:
            before = _widest([found.get(name) for name in layer.inputs])
            shape = shapes.get(layer.inputs[0], ())
        else:
            before = Reach() if not begun or layer.kind == "convolution" else None
            shape = picture
        begun = True
        after = _after(layer, before, shape) if before else None
        if after:
            found[layer.name] = after
    return found


def _widest(ways: list[Reach | None]) -> Reach | None:
    known = [way for way in ways if way is not None]
    if len(known) < len(ways) or len({way.step for way in known}) > 1:
        return None
    sides = (max(way.sides[0] for way in known), max(way.sides[1] for way in known))
    return Reach(sides, known[0].step)


def _after(layer: Layer, before: Reach, shape: tuple[int, ...]) -> Reach | None:
    if layer.kind in _PLACEWISE:
        return None if layer.type in _GLOBAL else before
    if layer.type in _HANDS_ON:
        return before
    if layer.kind not in ("convolution", "pooling") or "ranspose" in layer.type or len(layer.shape) != 3:
        return None
    kernel, dilation = _pair(layer.hyper, "kernel", None), _pair(layer.hyper, "dilation", (1, 1))
    if kernel is None or dilation is None or len(shape) != 3:
        return None
    told = _pair(layer.hyper, "stride", None)  # where a layer does not say, its sides do
    stride = told or (round(shape[0] / layer.shape[0]), round(shape[1] / layer.shape[1]))
    sides = tuple(
        side + dilated * (size - 1) * step
        for side, dilated, size, step in zip(before.sides, dilation, kernel, before.step, strict=True)
    )
    return Reach((sides[0], sides[1]), (before.step[0] * stride[0], before.step[1] * stride[1]))


def _pair(
    hyper: Mapping[str, object], name: str, otherwise: tuple[int, int] | None
) -> tuple[int, int] | None:
    value = hyper.get(name)
    if isinstance(value, int):
        return value, value
    if isinstance(value, tuple) and len(value) == 2 and all(isinstance(v, int) for v in value):
        return value
    return otherwise
