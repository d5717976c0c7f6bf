"""Unit: one map of one layer taken apart: what it answers, by which kernel, and to which parts of the picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from cnnlens import (
    Array,
    Bars,
    Cost,
    Field,
    Heatmap,
    MapsLayer,
    Note,
    Probe,
    ReceptiveField,
    Table,
    Tape,
    Tiles,
    errors,
    mark_of,
    receptive_fields,
    visualiser,
)

from .kernels import kernel_of, kernel_panel
from .places import crops, margin_of, strongest
from .road import chosen_unit, link_to
from .statistics import statistics

Answer = tuple[Heatmap | Tiles | Bars | Table | Note, ...]


@visualiser(title="Unit", family="features", needs={"activations"}, cost=Cost(2), by_target=False)
def unit(
    probe: Probe,
    *,
    layer: Annotated[MapsLayer, Field(description="the layer that the unit is one of")] = "first",
    unit: Annotated[int, Field(ge=0, description="which of the layer's maps, by its number")] = 0,
    places: Annotated[
        int, Field(ge=1, le=64, description="how many of its strongest places are shown, at most")
    ] = 6,
) -> Answer:
    """One map of one layer taken apart: where it answers, by which kernel, and to what.

    The map has the layer's raw values. The kernel is the unit's own, a tile for each map that it reads, the
    strongest 64 (by L2 norm) in the order of their numbers; where the layer has none, it is that of the nearest
    convolution before it whose channel it hands on. 1×1 kernels are bars, the largest weights first.

    The crops are what the strongest places see: the picture as the model is shown it, cut by the receptive field
    (all pixels that can reach a place, whatever the weights), grey where that lies beyond the border. No two of
    them share more than half of their pixels, so there may be fewer than were asked for. Small fields are shown a
    second time with what lies around them, which the unit did not see. Of a large field mostly the middle counts;
    one as large as the picture is not cut out.
    """
    maps = probe.activations(layer)
    chosen_unit(unit, maps.shape[-1], layer, "unit")
    one, (tape, field, why) = maps[..., unit], _field_of(probe, layer)
    opens = link_to(tape, layer, unit) if tape is not None else None
    shown = Heatmap(
        one,
        signed=bool((maps < 0).any()),
        title=f"{layer}[{unit}]",
        unit="activation",
        means="how strongly the unit answers at each place",
        opens=opens,
    )
    found = kernel_of(probe.model, layer, unit, tape)
    kernel = (kernel_panel(found),) if found is not None else ()
    return shown, *kernel, *_seen(probe, one, field, why, places), statistics(one, field)


def _field_of(probe: Probe, layer: str) -> tuple[Tape | None, ReceptiveField | None, str]:
    """The tape of this picture and the layer's receptive field, or why there is none."""
    try:
        tape = probe.tape
    except errors.Unmet as error:
        return None, None, str(error)
    fields = receptive_fields(probe.model, tape)
    return tape, fields[layer], fields.why.get(layer, "")


def _seen(
    probe: Probe, one: Array, field: ReceptiveField | None, why: str, count: int
) -> Iterator[Tiles | Note]:
    """What the strongest places see, or a note that says why it is not shown."""
    if mark := mark_of(one):
        yield Note(
            f"The map is {mark} for this picture"
            + ("." if mark == "not finite" else ": no place stands out.")
        )
    if field is None:
        yield Note(
            f"No part of the picture is cut out: a place may see all of it, or it is not known which part ({why})."
        )
        return
    height, width = probe.pixels.shape[:2]
    if field.size[0] >= height and field.size[1] >= width:
        yield Note(
            f"No part of the picture is cut out: what a place can see, {field.size[0]} × {field.size[1]} pixels, is as "
            f"large as the picture, {height} × {width}."
        )
    elif places := strongest(one, field, count):
        yield crops(probe.pixels, one, field, places)
        if margin := margin_of(probe.pixels, field):
            yield crops(probe.pixels, one, field, places, margin)
