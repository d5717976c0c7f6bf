"""Which layer to explain at: every layer with places, what each sees of the picture, and the one to take.

Of a convolutional network that is the last layer with maps that is a good choice; of a transformer with a class
token the norm before its last attention. After that attention only the class token is read, so the patches' own
gradient is zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .layer import Layer
from .model import Model
from .once import once
from .reach import reaches
from .tokens import Grid, grid_of

#: What hands on another's values, or holds other layers: never chosen where there is anything else.
_POOR = ("block", "pooling", "dropout", "reshape", "resize")


@dataclass(frozen=True)
class Candidate:
    """A layer with places.

    `rows` × `columns` are its places, `grid` is known where they are tokens. `stride` is how many pixels there are
    to a place, down and across. `sees` is the side of what one place sees of the picture, in pixels, None where
    the way there is not known. `read` is False for patch tokens that nothing reads any more. `good` says whether
    it may be chosen for the user, `chosen` whether it was, and `reason` why or why not.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    rows: int
    columns: int
    stride: tuple[float, float]
    sees: tuple[int, int] | None
    grid: Grid | None
    read: bool
    good: bool
    chosen: bool
    reason: str


def candidates(model: Model) -> tuple[Candidate, ...]:
    """The layers of `model` that have places, in call order; one of them is `chosen`, if there are any."""
    return _candidates(model)


@once
def _candidates(model: Model) -> tuple[Candidate, ...]:
    layers = with_places(model)
    best, seen, ends = last_of(layers, model), reaches(model), _ends(model)
    attention = _cut(layers, model)
    number = sum(_good(layer) for layer in layers)
    found = []
    for layer in layers:
        grid = grid_of(layer, model)
        read = grid is None or attention is None or ends[layer.name] < attention
        reach = seen.get(layer.name)
        rows, columns = (grid.rows, grid.columns) if grid else layer.shape[:2]
        one = Candidate(
            name=layer.name,
            kind=layer.kind,
            shape=layer.shape,
            rows=rows,
            columns=columns,
            stride=(model.input.height / rows, model.input.width / columns),
            sees=reach.sides if reach else None,
            grid=grid,
            read=read,
            good=_good(layer),
            chosen=layer is best,
            reason="",
        )
        found.append(replace(one, reason=_reason(one, model, number, attention is not None)))
    return tuple(found)


@once
def with_places(model: Model) -> tuple[Layer, ...]:
    """The layers whose output is a stack of maps, or tokens that are patches, in call order."""
    tokens = {layer.name for layer in model.layers if grid_of(layer, model)}
    attending = any(layer.kind == "attention" for layer in model.layers)
    return tuple(
        layer
        for layer in model.layers
        # heads and their weights have three axes too, but none of a picture's shape
        if layer.name in tokens
        or (layer.has_maps and not (tokens and attending and not _is_flat(layer, model)))
    )


def last_of(layers: Sequence[Layer], model: Model) -> Layer | None:
    """The layer that "last" stands for, of those with places."""
    return _last(model) if layers is with_places(model) else _last_of(layers, model)


@once
def _last(model: Model) -> Layer | None:
    return _last_of(with_places(model), model)


def _last_of(layers: Sequence[Layer], model: Model) -> Layer | None:
    good = [layer for layer in layers if _good(layer)] or list(layers)
    good = [layer for layer in good if layer.name in model.leading] or good
    attention = _cut(layers, model)
    if not good or attention is None:
        return good[-1] if good else None
    ends = _ends(model)
    before = [layer for layer in good if ends[layer.name] < attention]
    norms = [layer for layer in before if layer.kind == "normalisation"]
    return (norms or before or good)[-1]


def _cut(layers: Sequence[Layer], model: Model) -> int | None:
    """The place of the attention behind which only a class token is read; None where all places are read."""
    good = [layer for layer in layers if _good(layer)]
    if not good or grid_of(good[-1], model) is None or _pools_tokens(model):
        return None
    return _last_attention(model)


def _last_attention(model: Model) -> int | None:
    """The place, in call order, of the last layer where tokens are mixed; None where there is none."""
    layers = model.layers
    last_tokens = max((i for i, layer in enumerate(layers) if grid_of(layer, model)), default=-1)
    mixing = [
        i
        for i, layer in enumerate(layers[: last_tokens + 1])
        if layer.kind == "attention" or "softmax" in layer.type.lower()
    ]
    return mixing[-1] if mixing else None


def _pools_tokens(model: Model) -> bool:
    """Whether the scores are read off all patches: their mean, say, and not a class token."""
    tokens = {layer.name for layer in model.layers if grid_of(layer, model)}
    return any(
        layer.kind == "pooling" and len(layer.shape) == 1 and tokens & set(layer.inputs)
        for layer in model.layers
    )


def _good(layer: Layer) -> bool:
    return layer.kind not in _POOR


def _is_flat(layer: Layer, model: Model) -> bool:
    """Whether its two sides are as the input's, so that they can be places."""
    rows, columns = layer.shape[:2]
    ratio = rows * model.input.width / (columns * model.input.height)
    return 2 / 3 < ratio < 3 / 2


@once
def _ends(model: Model) -> dict[str, int]:
    """Where each layer's output is made, in call order: a block's with the last layer that it holds."""
    held: dict[str, int] = {}  # by the name of every part that holds it, the last layer
    for i, layer in enumerate(model.layers):
        parts = layer.name.split(".")
        held.update((".".join(parts[:n]), i) for n in range(1, len(parts)))
    return {
        layer.name: held.get(layer.name, i) if layer.kind == "block" else i
        for i, layer in enumerate(model.layers)
    }


def _reason(one: Candidate, model: Model, number: int, by_class_token: bool) -> str:
    if not one.chosen:
        return (
            f"a {one.kind}"
            if not one.good
            else "not the last"
            if one.read
            else "its patches are not read any more"
        )
    if one.grid is None:
        why = f"the last of {number} layers with maps"
    elif by_class_token:
        why = "the last norm before the last attention, behind which only the class token is read"
    else:
        why = f"the last of {number} layers with patch tokens"
    told = [why, f"{one.rows}×{one.columns}", _spaced(max(one.stride))]
    if one.sees:
        side = max(model.input.height, model.input.width)
        seen = f"{max(one.sees)} of {side}" if max(one.sees) < side else f"all {side}"
        told.append(f"sees {seen} pixels")
    return ", ".join(told)


def _spaced(stride: float) -> str:
    return f"one place per {stride:.3g} pixels" if stride > 1 else "a place for each pixel"
