"""Feature maps: what did a layer make of this picture, channel by channel?"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from cnnlens import Array, Cost, Field, Link, MapsLayer, Note, Probe, Tiles, hookimpl, mark_of, visualiser

Scale = Literal["unit", "layer", "global"]


@visualiser(title="Feature maps", family="features", needs={"activations"}, cost=Cost(1), by_target=False)
def feature_maps(
    probe: Probe,
    *,
    layer: Annotated[MapsLayer, Field(description="the layer whose maps are shown")] = "first",
    scale: Annotated[
        Scale, Field(description="what shares one scale: each map alone, the layer, all layers")
    ] = "layer",
    order: Annotated[
        Literal["index", "energy"], Field(description="by number, or the strongest first")
    ] = "index",
) -> tuple[Tiles, ...] | tuple[Tiles, Note]:
    """A layer's output for this picture, one map a channel, with the raw values.

    On the scale of the layer a dead map looks dead. Dead (zero everywhere) and flat maps (one value
    everywhere) are marked and counted. Energy is the mean square of a map.
    """
    maps = np.moveaxis(probe.activations(layer), -1, 0)
    ranks = np.arange(len(maps))
    if order == "energy":
        ranks = np.argsort(-np.square(maps).mean((1, 2)), kind="stable")
    maps = maps[ranks]
    marks = {i: mark for i, one in enumerate(maps) if (mark := mark_of(one))}
    tiles = Tiles(
        maps,
        names=[str(i) for i in ranks],
        signed=bool(np.nanmin(maps) < 0),
        title=layer,
        unit="activation",
        limits=_limits(probe, maps, scale),
        marks=marks,
        opens=Link("unit", {"layer": layer}, "this map", tile="unit"),
    )
    return (tiles, Note(_count(marks, tiles))) if marks else (tiles,)


def _count(marks: dict[int, str], tiles: Tiles) -> str:
    parts = []
    for mark in dict.fromkeys(marks.values()):
        names = [tiles.names[i] for i, m in marks.items() if m == mark]
        shown = ", ".join(names[:12]) + (" …" if len(names) > 12 else "")
        parts.append(f"{len(names)} of {len(tiles.values)} maps are {mark} for this picture: {shown}")
    return "; ".join(parts)


def _limits(probe: Probe, maps: Array, scale: Scale) -> Array | None:
    """The ends of each map's scale, (n, 2); None where all of them share their own."""
    if scale == "layer":
        return None
    if scale == "unit":
        return np.stack([np.nanmin(maps, (1, 2)), np.nanmax(maps, (1, 2))], -1)
    names = [one.name for one in probe.model.layers if one.has_maps and one.kind != "block"]
    seen = probe.model.trace(probe.pixels[None], watch=names).activations.values()
    ends = (min(float(np.nanmin(a)) for a in seen), max(float(np.nanmax(a)) for a in seen))
    return np.tile(np.asarray(ends, np.float32), (len(maps), 1))


@hookimpl
def cnnlens_visualisers() -> list[object]:
    """What this plugin brings."""
    return [feature_maps]
