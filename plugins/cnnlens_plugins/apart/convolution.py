"""Convolution: one value of one map taken apart, down to every multiplication."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from cnnlens import (
    Array,
    Bars,
    Call,
    Cost,
    Field,
    Heatmap,
    LayerOf,
    Link,
    Note,
    Picture,
    Probe,
    Table,
    Tape,
    Tiles,
    visualiser,
)

from .road import behind, call_of, chosen_place, chosen_unit, link_into, maker_of
from .seen import channels_of, map_of, photograph
from .sums import bars_of, strongest, table_of
from .window import Place, Reals, Window, window_of

ConvolutionLayer = Annotated[str, LayerOf("any", kinds=("convolution",))]
_TILES = 16

Answer = tuple[Heatmap | Picture | Tiles | Bars | Table | Note, ...]


@dataclass(frozen=True)
class Products:
    """What one value of a convolution is the sum of: window and kernel, (kh, kw, in) each, in double precision.

    `first` is the number of the first map that is read; with groups it is not always 0.
    """

    window: Window
    read: Reals
    kernel: Reals
    bias: float
    first: int

    @property
    def terms(self) -> Reals:
        """Every multiplication, (kh, kw, in)."""
        return self.read * self.kernel

    @property
    def total(self) -> float:
        """The value: all products and the bias."""
        return float(self.terms.sum() + self.bias)


def products_of(tape: Tape, call: Call, unit: int, place: Place) -> Products:
    """What the value of a convolution's unit at a place is the sum of.

    A transposed convolution's window is found by its own derivative: the inputs that reach the place.
    """
    (maps,), info = (array[0] for array in tape.inputs(call)[:1]), call.info
    bias = float(call.params["bias"][unit]) if "bias" in call.params else 0.0
    if info.kind == "transposed-convolution":
        return _reaching(call, maps, unit, place, bias)
    kernel = call.params["kernel"][..., unit]
    first = unit // (info.shape[-1] // int(info.hyper.get("groups", 1))) * kernel.shape[-1]
    window = window_of(info, maps.shape, place)
    read = window.read(maps[..., first : first + kernel.shape[-1]])
    return Products(window, read, kernel.astype(np.float64), bias, first)


def _reaching(call: Call, maps: Array, unit: int, place: Place, bias: float) -> Products:
    at = np.zeros_like(call.output[:1])
    at[(0, *place, unit)] = 1
    weights = call.pull(at)[0][0]
    rows, columns, channels = (np.flatnonzero(weights.any(axis)) for axis in ((1, 2), (0, 2), (0, 1)))
    if not len(rows):
        rows = columns = channels = np.zeros(1, int)
    sizes = (int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1)
    window = Window((int(rows[0]), int(columns[0])), (1, 1), sizes, (maps.shape[0], maps.shape[1]))
    some = slice(int(channels[0]), int(channels[-1]) + 1)
    return Products(window, window.read(maps[..., some]), window.read(weights[..., some]), bias, some.start)


@visualiser(title="Convolution", family="taken apart", needs={"tape"}, cost=Cost(2), by_target=False)
def convolution(
    probe: Probe,
    *,
    layer: Annotated[ConvolutionLayer, Field(description="the convolution")] = "first",
    unit: Annotated[int, Field(ge=0, description="which of its maps, by its number")] = 0,
    place: Annotated[
        str, Field(description="which value of the map: strongest, or ROW,COLUMN")
    ] = "strongest",
) -> Answer:
    """One value of a map as what it is: the window it read, the kernel, their products, the bias, the sum.

    The window is shown for each map that the kernel reads, zeros where it lies on padding; of many the 16 that add
    or take most, in the order of their numbers. Where the kernel is dilated, what it leaves out is left out. The sum
    is made here in double precision and stands beside the network's own value. Behind it stands what a batch norm
    and the activation make of it. A click on a value of the window takes that value apart.
    """
    chosen_unit(unit, probe.layer(layer).shape[-1], layer, "convolution")
    tape = probe.tape
    call = call_of(tape, layer, "convolution", "transposed-convolution")
    one = call.output[0, ..., unit]
    at = chosen_place(place, one, "convolution")
    found = products_of(tape, call, unit, at)
    into = link_into(tape, call.info.inputs[0], found.window)
    fed = maker_of(tape, call.info.inputs[0]).info.kind == "input"
    names = channels_of(probe) if fed else tuple(map(str, range(found.first + found.read.shape[-1])))
    return (
        map_of(one, layer, unit, at, "convolution"),
        *photograph(probe, tape, layer, at),
        *_windows(found, into, names),
        *_by_map(found, into, names),
        _sum(tape, call, found, unit, at),
    )


def _windows(found: Products, into: Link | None, named: Sequence[str]) -> tuple[Tiles, ...]:
    """Window, kernel and products, a tile for each map; none where a kernel has one weight a map."""
    if found.window.size == (1, 1):
        return ()
    ranks = np.sort(strongest(found.terms.sum((0, 1)), _TILES))
    names = [named[found.first + int(i)] for i in ranks]
    many = (
        ""
        if len(ranks) == found.read.shape[-1]
        else f", the {len(ranks)} maps of {found.read.shape[-1]} that add or take most"
    )
    padded = int(np.logical_not(found.window.within).sum())
    note = f", {padded} of {found.window.within.size} places padding" if padded else ""
    told = (
        ("Window: what it read" + note + many, found.read, "activation", bool((found.read < 0).any()), into),
        ("Kernel", found.kernel, "weight", True, None),
        ("Products: window × kernel", found.terms, "activation × weight", True, None),
    )
    return tuple(
        Tiles(np.moveaxis(values, -1, 0)[ranks].astype(np.float32), names, signed, title, unit, opens=opens)
        for title, values, unit, signed, opens in told
    )


def _by_map(found: Products, into: Link | None, named: Sequence[str]) -> tuple[Bars, ...]:
    """What each map adds, the bias among them; of a 1×1 kernel each bar leads to the value that it read."""
    sums = found.terms.sum((0, 1))
    if len(sums) == 1 and not found.bias:
        return ()
    link = None
    if into is not None and found.window.size == (1, 1) and into.tile:
        place = {into.place: f"{found.window.start[0]},{found.window.start[1]}"} if into.place else {}
        settings, tile = {**into.settings, **place}, into.tile

        def link(part: int) -> Link:
            return Link(into.visualiser, {**settings, tile: found.first + part}, into.words)

    def name(part: int) -> str:
        one = named[found.first + part]
        return f"map {one}" if one.isdigit() else one

    return (bars_of(sums, found.bias, "What each map adds", "activation", name, link),)


def _sum(tape: Tape, call: Call, found: Products, unit: int, at: Place) -> Table:
    after = [
        (f"after {one.info.name} ({one.info.function or one.info.kind})", float(one.output[(0, *at, unit)]))
        for one in behind(tape, call)
        if one.info.kind != "identity"
    ]
    title, own = f"The sum at row {at[0]}, column {at[1]}", float(call.output[(0, *at, unit)])
    return table_of(found.terms.size, float(found.terms.sum()), found.bias, own, title, *after)
