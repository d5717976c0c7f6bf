"""Journey: a picture's way through the network, from layer to layer, until it is a class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np

from cnnlens import Array, Bars, Cost, Field, Layer, Link, Note, Picture, Probe, Tiles, hookimpl, visualiser

#: What a kind of layer is called on the way, and whether it is a station of it.
STATIONS = {
    "convolution": "Convolution", "activation": "Activation", "pooling": "Pooling", "add": "Sum",
    "concat": "Concatenation", "dense": "Fully connected",
}  # fmt: skip
_BARS = 5


@visualiser(title="Journey", family="features", needs={"activations"}, cost=Cost(1), by_target=False)
def journey(
    probe: Probe,
    *,
    strips: Annotated[int, Field(ge=2, le=64, description="how many layers are shown, at most")] = 12,
    maps: Annotated[int, Field(ge=1, le=32, description="how many maps of each, the strongest")] = 8,
) -> tuple[Picture | Tiles | Bars | Note, ...]:
    """The picture's way through the network: a strip for each layer in call order, with its strongest maps.

    Layers are numbered by what they are: Convolution 1, Activation 1, Pooling 1, … Of a network with more of them
    than are shown, the first two are, then the last of each size of map, and of the rest as many as there is room
    for, evenly. A strip has the layer's strongest maps (by their mean square) on one scale, so that detail is seen to
    give way to the general shape, and a map that hardly answers looks so. At the end stands what the network says,
    the likeliest classes.
    """
    named = names_of_stations(probe.model.layers)
    with_maps = [layer for layer in probe.model.layers if layer.has_maps and layer.name in named]
    shown = chosen(with_maps, strips)
    probe.look_at(*(layer.name for layer in shown))
    size = "×".join(map(str, probe.pixels.shape))
    panels: list[Picture | Tiles | Bars | Note] = [
        Picture(probe.colours, f"Input: {size}", opens=Link("pixels", place="place"))
    ]
    panels += [_strip(probe.activations(layer.name), layer, named[layer.name], maps) for layer in shown]
    left = len(with_maps) - len(shown)
    if left:
        panels.append(
            Note(
                f"{left} of {len(with_maps)} layers on the way are not shown: ask for more strips to see them."
            )
        )
    return (*panels, _said(probe))


def names_of_stations(layers: Sequence[Layer]) -> dict[str, str]:
    """Layer → what it is called on the way, numbered by kind: Convolution 1, …"""
    counts = dict.fromkeys(STATIONS, 0)
    found = {}
    for layer in layers:
        if layer.kind in STATIONS:
            counts[layer.kind] += 1
            found[layer.name] = f"{STATIONS[layer.kind]} {counts[layer.kind]}"
    return found


def chosen(layers: Sequence[Layer], most: int) -> list[Layer]:
    """At most so many layers: the first two, the last of each size of map, then of the rest evenly; in call order."""
    if len(layers) <= most:
        return list(layers)
    last = {layer.shape[:2]: place for place, layer in enumerate(layers)}
    wanted = list(dict.fromkeys([0, *sorted(last.values(), reverse=True), 1]))[:most]
    rest = [place for place in range(len(layers)) if place not in wanted]
    room = most - len(wanted)
    if room:
        wanted += [rest[int(at)] for at in np.linspace(0, len(rest) - 1, room + 2)[1:-1]]
    return [layers[place] for place in sorted(set(wanted))]


def _strip(values: Array, layer: Layer, name: str, count: int) -> Tiles:
    energy = np.square(values, dtype=np.float64).mean((0, 1))
    ranks = np.argsort(-np.nan_to_num(energy), kind="stable")[:count]
    return Tiles(
        np.moveaxis(values, -1, 0)[ranks],
        [str(int(rank)) for rank in ranks],
        signed=bool(np.nanmin(values) < 0),
        title=f"{name}: {'×'.join(map(str, layer.shape))} · {layer.name}",
        unit="activation",
        opens=Link("unit", {"layer": layer.name}, "this map", tile="unit"),
    )


def _said(probe: Probe) -> Bars:
    """What the network says in the end; of scores at every place, the mean over the places."""
    shares = probe.probabilities.reshape(-1, probe.probabilities.shape[-1]).mean(0)
    ranks = np.argsort(-shares, kind="stable")[:_BARS]
    names = [probe.model.class_name(int(rank)) for rank in ranks]
    return Bars(shares[ranks], names, "Output", "probability", (0.0, 1.0))


@hookimpl
def cnnlens_visualisers() -> list[object]:
    """What this plugin brings."""
    return [journey]
