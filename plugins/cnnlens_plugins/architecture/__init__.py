"""Architecture: the layers of a network as a drawing and as a table, and what each of them costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Annotated

import numpy as np

from cnnlens import (
    Bars,
    CallInfo,
    Cost,
    Diagram,
    Edge,
    Field,
    Link,
    Model,
    Node,
    Note,
    Table,
    errors,
    hookimpl,
    visualiser,
)

from .figures import Figures, at_once, bytes_of, figures_of
from .folding import Box, boxes_of
from .words import grouped, label_of, short_name, size_of, times

_BARS = 12
#: Which visualiser takes apart what a kind of call makes; the setting is its layer.
APART = {
    "convolution": "convolution", "transposed-convolution": "convolution", "pooling": "pooling", "dense": "dense",
}  # fmt: skip

Answer = tuple[Note | Diagram | Bars | Table, ...]


@visualiser(title="Architecture", family="features", cost=Cost(3))
def architecture(
    model: Model,
    *,
    fold: Annotated[
        bool, Field(description="a convolution with its batch norm and its activation in one box")
    ] = True,
) -> Answer:
    """The network from the picture to the scores: its layers and branches, what each costs, and what it sees.

    Boxes are calls between the picture and the scores, and a line leads from each to those that read it. The length
    at the foot of a box is its part of the multiply-adds. Multiply-adds are those of convolutions and dense layers
    for one picture; published tables often call them FLOPs. Keras counts the mean and the variance of a batch norm
    among its parameters, PyTorch does not. Memory is that of the outputs, and what a box sees its
    theoretical receptive field (Araujo, Norris & Sim, 2019), a whole-picture one behind squeeze-and-excite, global
    pooling and dense layers. A concatenation that begins with all that an earlier one joined is drawn as reading
    that one. A click on a box opens its layer.
    """
    try:
        calls = model.calls
    except errors.Unmet as error:
        return _without_calls(model, str(error))
    boxes = boxes_of(calls, fold)
    found = figures_of(model, boxes, calls)
    labels = [label_of(box, calls) for box in boxes]
    links = [link_of(model, box) for box in boxes]
    return (
        Note(_totals(model, calls, boxes, found)),
        _diagram(model, boxes, labels, found),
        *_largest(
            [one.multiply_adds for one in found], [box.main.name for box in boxes], "multiply-adds", links
        ),
        _table(boxes, labels, found),
    )


def _without_calls(model: Model, why: str) -> Answer:
    """The layers in their order: what reads what is not known."""
    layers = [one for one in model.layers if one.kind != "block"]
    rows = [(one.name, one.kind, times(one.shape), one.parameters) for one in layers]
    return (
        Note(f"Which layer reads which is not known, so there is no drawing and no count: {why}."),
        *_largest([one.parameters for one in layers], [one.name for one in layers], "parameters"),
        Table(
            ("layer", "kind", "shape", "parameters"),
            rows,
            title="Layers, in the order in which they are called",
        ),
    )


def _totals(model: Model, calls: Sequence[CallInfo], boxes: Sequence[Box], found: Sequence[Figures]) -> str:
    every = model.parameters
    told, each = sum(one.parameters for one in found), bytes_of(model)
    adds, untold = sum(one.multiply_adds for one in found), sum(one.untold for one in found)
    parts = [
        f"{size_of(every)} parameters ({grouped(every)}), {size_of(adds)} multiply-adds for one picture."
    ]
    if told < every:
        parts.append(
            f"{size_of(every - told)} of the parameters stand in no box: the scores do not hang on them, or they are a "
            "block's own."
        )
    if untold:
        parts.append(f"{untold} calls (attention, or of a kind that is not known) are not counted.")
    parts.append(
        f"Its outputs take {size_of(sum(one.memory for one in found))}B together, as a backward pass keeps them, and "
        f"{size_of(at_once(calls) * each)}B at once in a forward pass."
    )
    return " ".join([*parts, *_sight(model, boxes, found)])


def _sight(model: Model, boxes: Sequence[Box], found: Sequence[Figures]) -> Iterator[str]:
    """The largest receptive field beside the picture, and from where on there is none."""
    sizes = [one.field.size for one in found if one.field is not None]
    if sizes:
        size, picture = max(sizes, key=prod), (model.input.height, model.input.width)
        larger = [a > b for a, b in zip(size, picture, strict=True)]
        compared = "as large as" if size == picture else "more than" if all(larger) else "of"
        yield f"The largest receptive field is {times(size)} pixels, {compared} the {times(picture)} of the picture."
    first = next((box.main.name for box, one in zip(boxes, found, strict=True) if one.why), None)
    if first is not None:
        yield f"From {first} on, places see all of it."


def _diagram(model: Model, boxes: Sequence[Box], labels: Sequence[str], found: Sequence[Figures]) -> Diagram:
    every = sum(one.multiply_adds for one in found)
    most = max((one.multiply_adds for one in found), default=0)
    nodes = []
    for box, label, one in zip(boxes, labels, found, strict=True):
        name = "" if box.main.kind == "input" else short_name(box.main.name)
        detail = " · ".join(filter(None, (times(one.shape), name)))
        words = f"{box.main.name}: {label}, {times(one.shape)}"
        if one.parameters or one.multiply_adds:
            words += f", {size_of(one.parameters)} parameters, {size_of(one.multiply_adds)} multiply-adds"
        part = one.multiply_adds / most if one.multiply_adds else None
        nodes.append(Node(label, detail, box.main.kind, words, part, link_of(model, box)))
    edges = [Edge(start, end) for end, box in enumerate(boxes) for start in box.inputs]
    longest = f": the longest is {100 * most / every:.3g} % of all" if every else ""
    told = f"{size_of(sum(one.parameters for one in found))} parameters, {size_of(every)} multiply-adds"
    return Diagram(
        nodes, edges, f"From the picture to the scores: {told}", f"part of the multiply-adds{longest}"
    )


def link_of(model: Model, box: Box) -> Link | None:
    """What a click on a box opens: the layer taken apart, or its maps."""
    named = {layer.name: layer for layer in model.layers}
    layer = named.get(box.main.name)
    apart = APART.get(box.main.kind)
    if layer is not None and apart is not None and layer.kind == apart:
        return Link(apart, {"layer": layer.name}, f"{layer.name}, taken apart")
    maps = next((named[one.name] for one in reversed(box.calls) if one.name in named), None)
    if maps is None or not maps.has_maps:
        return None
    return Link("feature-maps", {"layer": maps.name}, f"the maps of {maps.name}")


def _largest(
    counts: Sequence[int], names: Sequence[str], what: str, opens: Sequence[Link | None] = ()
) -> tuple[Bars, ...]:
    """Those that have most of something, in percent of all; nothing where nobody has any."""
    ranks = [i for i in sorted(range(len(counts)), key=lambda i: -counts[i])[:_BARS] if counts[i]]
    if not ranks:
        return ()
    shares = np.asarray([100 * counts[i] / sum(counts) for i in ranks], np.float32)
    title = f"Where the {what} are" + (f": the {len(ranks)} largest" if len(ranks) == _BARS else "")
    links = [opens[i] for i in ranks] if opens else ()
    return (Bars(shares, [names[i] for i in ranks], title, "% of all", opens=links),)


def _table(boxes: Sequence[Box], labels: Sequence[str], found: Sequence[Figures]) -> Table:
    every = sum(one.multiply_adds for one in found) or 1
    rows = [
        (
            box.main.name,
            label,
            times(one.shape),
            one.parameters,
            one.multiply_adds / 1e6,
            100 * one.multiply_adds / every,
            one.memory / 1e6,
            times(one.field.size) if one.field is not None else "all" if one.why else "",
        )
        for box, label, one in zip(boxes, labels, found, strict=True)
        if box.main.kind != "input"
    ]
    columns = (
        "layer",
        "what",
        "shape",
        "parameters",
        "multiply-adds (M)",
        "of all (%)",
        "memory (MB)",
        "sees",
    )
    return Table(columns, rows, title="What each costs")


@hookimpl
def cnnlens_visualisers() -> list[object]:
    """What this plugin brings."""
    return [architecture]
