"""Dense: which inputs of a fully connected unit made it what it is, back to the map and the place they came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from cnnlens import (
    Bars,
    Call,
    Cost,
    Field,
    Heatmap,
    LayerOf,
    Link,
    Probe,
    Table,
    Tape,
    Tiles,
    errors,
    visualiser,
)

from .road import call_of, chosen_unit, name_of
from .sums import bars_of, strongest, table_of
from .window import Reals

DenseLayer = Annotated[str, LayerOf("any", kinds=("dense",))]
_TILES = 12
_MOVES = ("reshape", "identity")

Answer = tuple[Heatmap | Tiles | Bars | Table, ...]


@visualiser(title="Fully connected", family="taken apart", needs={"tape"}, cost=Cost(2))
def dense(
    probe: Probe,
    *,
    layer: Annotated[DenseLayer, Field(description="the fully connected layer")] = "last",
    unit: Annotated[
        int | None, Field(ge=0, description="which of its units; none: the one the target asks for most")
    ] = None,
) -> Answer:
    """Why a unit of a fully connected layer has its value: weight × input, for each input, and the bias.

    The contributions and the bias add up to the value. Where the layer is fed by maps, flattened or averaged, each
    contribution is brought back to the map and the place that it came from, and they still add up: as a picture of
    where the value comes from, and as the maps that add or take most.
    """
    tape = probe.tape
    call = call_of(tape, layer, "dense")
    if len(call.info.shape) != 1:
        raise errors.Unmet(
            f"{layer} is run at every place of a map, {call.info.shape}: convolution takes such a layer apart"
        )
    chosen = _unit_of(probe, tape, call) if unit is None else unit
    chosen_unit(chosen, call.info.shape[-1], layer, "dense", "units")
    parts = parts_of(tape, call, chosen)
    name = _name(probe, call, chosen, tape)
    return *_maps(parts, name), _bars(tape, parts, name), _sum(call, parts, chosen, name)


@dataclass(frozen=True)
class Parts:
    """The terms of a dense unit's value: weight × input, as they lie in what feeds it, (units,) or (h, w, c)."""

    values: Reals
    bias: float
    place: int  #: of what feeds it, on the tape


def parts_of(tape: Tape, call: Call, unit: int) -> Parts:
    """The contributions of a dense unit's inputs, brought back through what only moves or averages them."""
    place = call.info.inputs[0]
    bias = float(call.params["bias"][unit]) if "bias" in call.params else 0.0
    weights = call.params["kernel"][:, unit].reshape(tape.calls[place].output[:1].shape)
    while len(tape.calls[place].info.shape) != 3 or tape.calls[place].info.shape[:2] == (1, 1):
        below = tape.calls[place]
        mean = below.info.kind == "pooling" and below.info.function == "mean"
        if not (mean or below.info.kind in _MOVES) or len(below.info.inputs) != 1:
            break
        weights = below.pull(weights)[0]
        place = below.info.inputs[0]
    if len(tape.calls[place].info.shape) != 3:  # moves alone led to no map: the layer's own inputs
        return Parts(
            tape.inputs(call)[0][0].astype(np.float64) * call.params["kernel"][:, unit],
            bias,
            call.info.inputs[0],
        )
    return Parts(tape.calls[place].output[0].astype(np.float64) * weights[0], bias, place)


def _unit_of(probe: Probe, tape: Tape, call: Call) -> int:
    """The unit whose value the target hangs on most."""
    arrived = probe.starts(tape)
    for one in reversed(tape.calls[call.info.index + 1 :]):
        here = arrived.pop(one.info.index, None)
        if here is not None:
            for place, share in zip(one.info.inputs, one.pull(here), strict=True):
                arrived[place] = arrived[place] + share if place in arrived else share
    pulls = arrived.get(call.info.index)
    if pulls is None or not np.any(pulls):
        return int(np.argmax(call.output[0]))
    return int(np.argmax(np.abs(pulls[0])))


def _name(probe: Probe, call: Call, unit: int, tape: Tape) -> str:
    scores = call.info.shape == tape.scores.shape[1:] and probe.model.classes is not None
    return probe.model.class_name(unit) if scores else f"{call.info.name}[{unit}]"


def _maps(parts: Parts, name: str) -> tuple[Heatmap | Tiles, ...]:
    """Where the value comes from, and by which maps."""
    if parts.values.ndim != 3 or parts.values.shape[:2] == (1, 1):
        return ()
    sums = parts.values.sum((0, 1))
    ranks = strongest(sums, _TILES)
    whole = Heatmap(
        parts.values.sum(-1).astype(np.float32),
        True,
        f"Where {name} comes from",
        "score",
        "what the place adds to the value",
    )
    tiles = Tiles(
        np.moveaxis(parts.values, -1, 0)[ranks].astype(np.float32),
        [str(int(i)) for i in ranks],
        True,
        f"The {len(ranks)} maps that add or take most",
        "score",
    )
    return whole, tiles


def _bars(tape: Tape, parts: Parts, name: str) -> Bars:
    """What each map adds, where there are maps, and where it leads; else what each input adds."""
    title, layer = f"What made {name}", name_of(tape, parts.place)
    if parts.values.ndim != 3:
        return bars_of(parts.values, parts.bias, title, "score", "input {}".format, None)

    def link(part: int) -> Link:
        return Link("unit", {"layer": str(layer), "unit": part}, f"{layer}[{part}]")

    sums = parts.values.sum((0, 1))
    return bars_of(sums, parts.bias, title, "score", "map {}".format, None if layer is None else link)


def _sum(call: Call, parts: Parts, unit: int, name: str) -> Table:
    count, own = call.params["kernel"].shape[0], float(call.output[0, unit])
    return table_of(count, float(parts.values.sum()), parts.bias, own, f"The sum of {name}")
