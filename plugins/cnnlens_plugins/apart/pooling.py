"""Pooling: one value of a smaller map, the window it was taken from, and what was kept of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np

from cnnlens import Call, Cost, Field, Heatmap, LayerOf, Outline, Picture, Probe, Table, Tiles, visualiser

from .road import call_of, chosen_place, chosen_unit, link_into
from .seen import map_of, photograph
from .window import Place, Reals, Window, window_of

PoolingLayer = Annotated[str, LayerOf("any", kinds=("pooling",))]
Answer = tuple[Heatmap | Tiles | Picture | Table, ...]


@visualiser(title="Pooling", family="taken apart", needs={"tape"}, cost=Cost(2), by_target=False)
def pooling(
    probe: Probe,
    *,
    layer: Annotated[PoolingLayer, Field(description="the pooling layer")] = "first",
    unit: Annotated[int, Field(ge=0, description="which of its maps, by its number")] = 0,
    place: Annotated[
        str, Field(description="which value of the map: strongest, or ROW,COLUMN")
    ] = "strongest",
) -> Answer:
    """One value of a pooled map: the window that it was taken from, its values, and the one that was kept.

    Of max pooling it is the largest value of the window, outlined; of average pooling the mean of all. Padding is
    below everything for the largest; whether it counts for the mean is the layer's own rule, and told. A click on the
    map below takes what made it apart.
    """
    chosen_unit(unit, probe.layer(layer).shape[-1], layer, "pooling")
    tape = probe.tape
    call = call_of(tape, layer, "pooling")
    below = tape.inputs(call)[0][0][..., unit]
    one = np.reshape(call.output[0, ..., unit], call.info.shape[:-1] or (1, 1))
    at = chosen_place(place, one, "pooling")
    window = window_of(call.info, below.shape, at)
    into = link_into(tape, call.info.inputs[0], replace(window, start=(0, 0), step=(1, 1)))
    values = window.read(below[..., None], np.nan)[..., 0]
    kept, words = _kept(call, values, window, float(one[at]))
    if into is not None:
        into = replace(into, settings=into.settings | ({into.tile: unit} if into.tile else {}), tile="")  # type: ignore[operator]
    under = Heatmap(
        below,
        signed=bool((below < 0).any()),
        title="The map below, and the window",
        unit="activation",
        outlines=[window.outline("the window")],
        opens=into,
    )
    marks = [Outline((kept[0], kept[1], kept[0] + 1, kept[1] + 1), "kept")] if kept is not None else []
    inside = Tiles(  # no map of the picture: nothing to be laid over it
        np.where(window.within, values, 0)[None],
        [""],
        signed=bool((values < 0).any()),
        title=f"The window of {window.size[0]} × {window.size[1]} values",
        unit="activation",
        outlines=marks,
    )
    shown = (map_of(one, layer, unit, at, "pooling"),) if one.size > 1 else ()
    return (
        *shown,
        under,
        inside,
        *photograph(probe, tape, layer, at),
        _told(words, values, window, kept, float(one[at]), at),
    )


def _kept(call: Call, values: Reals, window: Window, own: float) -> tuple[Place | None, str]:
    """Where in the window the value comes from, and what was done to get it, in words."""
    finite = values[np.isfinite(values)]
    if call.info.function == "max" and finite.size:
        row, column = np.unravel_index(
            int(np.nanargmax(np.where(np.isfinite(values), values, -np.inf))), values.shape
        )
        return (int(row), int(column)), "the largest"
    if call.info.function == "mean" and finite.size:
        whole, there = finite.sum() / values.size, finite.mean()
        padded = finite.size < values.size and abs(whole - own) < abs(there - own)
        return None, "the mean, padding counted as zeros" if padded else "the mean"
    return None, call.info.function


def _told(words: str, values: Reals, window: Window, kept: Place | None, own: float, at: Place) -> Table:
    finite = values[np.isfinite(values)]
    made = float(values[kept]) if kept is not None else None
    if words.startswith("the mean"):
        made = float(finite.sum() / (values.size if "counted" in words else finite.size))
    rows: list[tuple[str, str | float]] = [("values in the window", str(finite.size))]
    if finite.size < values.size:
        rows.append(("places of padding", str(values.size - finite.size)))
    if made is not None:
        rows.append((words, made))
    if kept is not None:
        place = [s + k * d for s, k, d in zip(window.start, kept, window.step, strict=True)]
        rows.append(("which stood below at", f"row {place[0]}, column {place[1]}"))
    rows.append(("the network's own value", own))
    return Table(("what", "value"), rows, title=f"What was kept, at row {at[0]}, column {at[1]}")
