"""Dead filters: which maps say nothing about this picture, and which say the same as another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt

from cnnlens import (
    Array,
    Bars,
    Cost,
    Field,
    Layer,
    Link,
    Model,
    Note,
    Probe,
    Table,
    Tiles,
    errors,
    hookimpl,
    visualiser,
)

Which = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Census:
    """What is said of each map of one layer, (channels,): never active, one value everywhere, like an earlier one,
    or not finite, of which nothing else can be said."""

    layer: Layer
    dead: Which
    saturated: Which
    doubled: Which
    broken: Which


@visualiser(title="Dead filters", family="features", needs={"activations"}, cost=Cost(1), by_target=False)
def dead_filters(
    probe: Probe,
    *,
    alike: Annotated[
        float, Field(gt=0, le=1, description="two maps are near-duplicates from this correlation on")
    ] = 0.99,
    layers: Annotated[int, Field(ge=0, le=64, description="of how many layers the dead maps are shown")] = 4,
) -> tuple[Table | Bars | Tiles | Note, ...]:
    """The maps of every activation that say nothing of this picture, or nothing that another map does not say.

    Never active: zero at every place. Saturated: one other value at every place, as at the upper bound of a ReLU6.
    Near-duplicate: its values rise and fall with those of an earlier map of the layer (Pearson's correlation over the
    places), so that it adds a factor and no more. A network without activation layers of its own is judged by its
    convolutions. What is silent for one picture may speak for another: only a filter that is dead for all of
    many is dead.
    """
    judged = judged_layers(probe.model)
    probe.look_at(*(layer.name for layer in judged))
    found = [census_of(probe.activations(layer.name), layer, alike) for layer in judged]
    counts = np.asarray([one.dead.sum() for one in found], np.float32)
    every = sum(len(one.dead) for one in found)
    return (
        Note(
            f"{int(counts.sum())} of {every} maps are never active for this picture, "
            f"{sum(int(one.saturated.sum()) for one in found)} are saturated, "
            f"{sum(int(one.doubled.sum()) for one in found)} are near-duplicates."
        ),
        Bars(counts, [one.layer.name for one in found], "Maps that are never active, by layer", "maps"),
        _table(found),
        *_pictures(probe, found, layers),
    )


def judged_layers(model: Model) -> list[Layer]:
    """The activations with maps, or where a network has none of its own, its convolutions. Unmet without either."""
    for kind in ("activation", "convolution"):
        found = [layer for layer in model.layers if layer.kind == kind and layer.has_maps]
        if found:
            return found
    raise errors.Unmet(f"{model.name} has no activation and no convolution with maps")


def census_of(maps: Array, layer: Layer, alike: float) -> Census:
    """Count a layer's maps (h, w, channels)."""
    flat = maps.reshape(-1, maps.shape[-1]).astype(np.float64)
    broken = np.asarray(~np.isfinite(flat).all(0), np.bool_)
    flat[:, broken] = np.arange(len(flat))[:, None]  # anything that is none of what is counted
    one_value = flat.min(0) == flat.max(0)
    dead = one_value & (flat[0] == 0)
    spread = flat - flat.mean(0)
    norms = np.sqrt(np.square(spread).sum(0))
    spread /= np.where(norms > 0, norms, 1)
    likeness = np.triu(spread.T @ spread, 1)  # of each map with those after it
    likeness[broken] = likeness[:, broken] = 0
    return Census(layer, dead, one_value & ~dead, ~one_value & (likeness >= alike).any(0), broken)


def _table(found: list[Census]) -> Table:
    rows = [
        (one.layer.name, len(one.dead), int(one.dead.sum()), int(one.saturated.sum()), int(one.doubled.sum()))
        for one in found
    ]
    return Table(("layer", "maps", "never active", "saturated", "near-duplicates"), rows, title="By layer")


def _pictures(probe: Probe, found: list[Census], layers: int) -> list[Tiles]:
    """The dead maps beside the strongest of their layer, on its scale: black, where the others are not.

    Where maps are not finite, those of the first such layer instead.
    """
    worst = sorted((one for one in found if one.dead.any()), key=lambda one: -float(one.dead.mean()))[:layers]
    lost = next((one for one in found if one.broken.any()), None)
    if lost is not None:  # it is the cause, what follows its effects
        some = np.flatnonzero(lost.broken)[:8].tolist()
        title = f"{lost.layer.name}: {int(lost.broken.sum())} maps that are not finite"
        values = np.moveaxis(probe.activations(lost.layer.name), -1, 0)[some]
        marks = dict.fromkeys(range(len(some)), "not finite")
        return [Tiles(values, [str(one) for one in some], title=title, unit="activation", marks=marks)]
    shown = []
    for one in worst:
        maps = np.moveaxis(probe.activations(one.layer.name), -1, 0)
        strongest = int(np.square(maps, dtype=np.float64).mean((1, 2)).argmax())
        places = [strongest, *np.flatnonzero(one.dead)[:31].tolist()]
        marks = {place: "dead" for place in range(1, len(places))}
        title = f"{one.layer.name}: its strongest map, then {len(places) - 1} of {int(one.dead.sum())} never active"
        opens = Link("unit", {"layer": one.layer.name}, "this map", tile="unit")
        names = [str(place) for place in places]
        shown.append(Tiles(maps[places], names, title=title, unit="activation", marks=marks, opens=opens))
    return shown


@hookimpl
def cnnlens_visualisers() -> list[object]:
    """What this plugin brings."""
    return [dead_filters]
