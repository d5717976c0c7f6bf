"""Receptive field: which part of the picture a unit can see, and which part it looks at."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from cnnlens import (
    Cost,
    Field,
    Heatmap,
    Link,
    MapsLayer,
    Note,
    Outline,
    Picture,
    Probe,
    Table,
    receptive_fields,
    visualiser,
)

from .road import chosen_place, chosen_unit
from .seen import map_of
from .window import Place, Reals

Box = tuple[int, int, int, int]
Answer = tuple[Heatmap | Picture | Table | Note, ...]
_MOST = 0.95  #: of the gradient lies in the effective field


@visualiser(
    title="Receptive field", family="taken apart", needs={"gradients"}, cost=Cost(2, 1), by_target=False,
    paper="Luo et al., 2016; Araujo et al., 2019", link="https://arxiv.org/abs/1701.04128",
)  # fmt: skip
def receptive_field(
    probe: Probe,
    *,
    layer: Annotated[MapsLayer, Field(description="the layer that the unit is one of")] = "last",
    unit: Annotated[int, Field(ge=0, description="which of the layer's maps, by its number")] = 0,
    place: Annotated[
        str, Field(description="which value of the map: strongest, centre, or ROW,COLUMN")
    ] = "strongest",
) -> Answer:
    """What one value of a map can see of the picture, and what it looks at in this one.

    The theoretical field is all pixels that can reach the value, whatever the weights (outlined). The effective one
    is where its gradient is: the map shows the gradient's size at each pixel, and the smaller box holds 95 % of it.
    Most networks look at far less than they can see, and at the middle of that most.
    """
    chosen_unit(unit, probe.layer(layer).shape[-1], layer, "receptive-field")
    one = probe.activations(layer)[..., unit]
    middle = f"{one.shape[0] // 2},{one.shape[1] // 2}"
    at = chosen_place(middle if place == "centre" else place, one, "receptive-field")
    pulled = probe.towards(f"{layer}[{unit},{at[0]},{at[1]}]").gradients()
    effective = np.sqrt(np.square(pulled, dtype=np.float64).sum(-1))
    seen, why = _theoretical(probe, layer, at)
    used = smallest_box(effective, _MOST)
    boxes = [Outline(seen, "theoretical")] if seen is not None else []
    boxes += [Outline(used, "effective: 95 % of the gradient")] if used is not None else []
    opens = Link("pixels", {}, "these pixels", place="place")
    return (
        map_of(one, layer, unit, at, "receptive-field"),
        Picture(probe.colours, "The picture, with what the value can see and what it looks at", boxes, opens),
        Heatmap(
            effective, title="What it looks at: the effective field", unit="activation per pixel",
            means="a change of the pixel would change the value more", outlines=boxes,
        ),
        *([Note(f"No theoretical field: {why}.")] if seen is None else []),
        _told(seen, used, at),
    )  # fmt: skip


def _theoretical(probe: Probe, layer: str, at: Place) -> tuple[Box | None, str]:
    """The box of all pixels that can reach a place, also beyond the border, or why there is none."""
    if why := probe.model.why_no("tape"):
        return None, why
    fields = receptive_fields(probe.model, probe.tape)
    field = fields.get(layer)
    if field is None:
        return None, fields.why.get(layer, "it is not known")
    return field.box(*at, clip=False), ""


def smallest_box(weights: Reals, share: float) -> Box | None:
    """The box that holds at least that share of the weights, as much left out on each of its sides; None of none."""
    total = float(weights.sum())
    if not np.isfinite(total) or total <= 0:
        return None
    sides = [weights.sum(1), weights.sum(0)]
    ends = []
    for side in sides:
        below = np.cumsum(side) / total
        tail = (1 - share) / 4
        first = int(np.searchsorted(below, tail, side="right"))
        last = int(np.searchsorted(below, 1 - tail))
        ends.append((first, min(last, len(side) - 1) + 1))
    (y0, y1), (x0, x1) = ends
    return y0, x0, y1, x1


def _told(seen: Box | None, used: Box | None, at: Place) -> Table:
    rows: list[tuple[str, str | float]] = []
    if seen is not None:
        rows.append(("can see", f"{seen[2] - seen[0]} × {seen[3] - seen[1]} pixels"))
    if used is not None:
        rows.append(("looks at (95 % of the gradient)", f"{used[2] - used[0]} × {used[3] - used[1]} pixels"))
    if seen is not None and used is not None:
        ratio = (used[2] - used[0]) * (used[3] - used[1]) / ((seen[2] - seen[0]) * (seen[3] - seen[1]))
        rows.append(("which is of that", float(ratio)))
    if used is None:
        rows.append(
            (
                "looks at",
                "nothing: the gradient is zero everywhere, as of a value that an activation put to zero",
            )
        )
    return Table(("the value", "pixels"), rows, title=f"In numbers, at row {at[0]}, column {at[1]}")
