"""Activation: a map before and after its non-linearity, and the function with this picture's values on it."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from cnnlens import Array, Call, Cost, Curve, Field, Heatmap, LayerOf, Probe, Table, Tape, errors, visualiser

from .road import behind, call_of, chosen_unit, link_to, name_of
from .window import Reals

ActivationLayer = Annotated[str, LayerOf("any", kinds=("activation", "convolution", "dense"))]
_POINTS, _BINS = 201, 48

Answer = tuple[Heatmap | Curve | Table, ...]


@visualiser(title="Activation", family="taken apart", needs={"tape"}, cost=Cost(1), by_target=False)
def activation(
    probe: Probe,
    *,
    layer: Annotated[ActivationLayer, Field(description="the activation, or a layer before it")] = "first",
    unit: Annotated[int, Field(ge=0, description="which of its maps, by its number")] = 0,
) -> Answer:
    """A layer before and after its non-linearity: one map of both, the function, and what it does to the values.

    The function is the layer's own, run on numbers from the smallest to the largest that this picture brings to the
    map. Under it stands how many of the map's values lie where.
    """
    tape = probe.tape
    call = _activation_of(tape, layer, unit)
    (before,), after = tape.inputs(call)[:1], call.output
    return (
        *_maps(tape, call, before[0], after[0], unit),
        *_curves(call, before, unit),
        _counts(call, before[0], after[0], unit),
    )


def _activation_of(tape: Tape, layer: str, unit: int) -> Call:
    """The layer's own activation, or the next one behind it. Unmet where there is none."""
    try:
        found = call_of(tape, layer, "activation")
    except errors.Unmet:
        made = call_of(tape, layer, "convolution", "transposed-convolution", "dense")
        later = [one for one in tape.calls[made.info.index + 1 :] if one.info.kind == "activation"]
        if not later:
            raise errors.Unmet(f"no activation comes after {layer}: choose an earlier layer") from None
        found = next(iter(behind(tape, made)[-1:]), later[0])
    chosen_unit(unit, found.info.shape[-1], found.info.name, "activation")
    return found


def _maps(tape: Tape, call: Call, before: Array, after: Array, unit: int) -> tuple[Heatmap, ...]:
    """The map on both sides, on one scale; nothing where the layer has no places."""
    if before.ndim != 3 or before.shape[0] * before.shape[1] < 2:
        return ()
    one, two = before[..., unit], after[..., unit]
    low, high = (float(f(part)) for f, part in ((min, (one.min(), two.min())), (max, (one.max(), two.max()))))
    signed = low < 0
    name = name_of(tape, call.info.index)
    opens = link_to(tape, name, unit) if name else None
    return tuple(
        Heatmap(
            values, signed, f"{side} {call.info.name}[{unit}]", "activation", limits=(low, high), opens=opens
        )
        for side, values in (("before", one), ("after", two))
    )


def _curves(call: Call, before: Array, unit: int) -> tuple[Curve, ...]:
    """The function over the range of the map's values, and how many of them lie where."""
    values = before[0, ..., unit].astype(np.float64).ravel()
    finite = values[np.isfinite(values)]
    if not finite.size:
        return ()
    low, high = float(min(finite.min(), -0.1)), float(max(finite.max(), 0.1))
    xs = np.linspace(low, high, _POINTS)
    ys = _run_on(call, before, unit, xs)
    counts, edges = np.histogram(finite, _BINS, (low, high))
    name, words = call.info.function or "the activation", "Where this picture's values lie"
    middles = ((edges[:-1] + edges[1:]) / 2).astype(np.float32)
    return (
        Curve(xs.astype(np.float32), ys, title=f"The function: {name}", x_unit="before", unit="after"),
        Curve(middles, counts.astype(np.float32), title=words, x_unit="before", unit="values"),
    )


def _run_on(call: Call, before: Array, unit: int, xs: Reals) -> Array:
    """What the call makes of numbers at one map's places; the others stay as they are."""
    made, room = [], before[0, ..., unit].size
    for first in range(0, len(xs), room):
        some = xs[first : first + room]
        given = np.array(before, copy=True)
        flat = given[0, ..., unit].ravel()
        flat[: len(some)] = some
        given[0, ..., unit] = flat.reshape(given[0, ..., unit].shape)
        made.append(call.run((given,))[0, ..., unit].ravel()[: len(some)])
    return np.concatenate(made)


def _counts(call: Call, before: Array, after: Array, unit: int) -> Table:
    def row(words: str, one: Array, two: Array) -> tuple[str, float, float, float]:
        zeroed = float(((two == 0) & (one != 0)).mean())
        return words, float((one < 0).mean()), zeroed, float((two == 0).mean())

    return Table(
        ("of", "below zero before", "put to zero", "zero after"),
        [
            row(f"map {unit}", before[..., unit], after[..., unit]),
            row(f"all {before.shape[-1]} maps", before, after),
        ],
        title=f"What {call.info.name} does to this picture's values, as shares",
    )
