"""Filter weights: what patterns do a layer's kernels look for?"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt

from cnnlens import Array, Bars, Cost, Field, KernelsLayer, Model, Note, Tiles, hookimpl, visualiser

Ranks = npt.NDArray[np.intp]
Answer = tuple[Tiles | Bars | Note, ...]


@visualiser(title="Filter weights", family="features", needs={"weights"}, cost=Cost(0))
def filter_weights(
    model: Model,
    *,
    layer: Annotated[KernelsLayer, Field(description="the convolution or dense layer")] = "first",
    order: Annotated[
        Literal["index", "norm"], Field(description="by number, or the largest first")
    ] = "index",
    filters: Annotated[int, Field(ge=1, le=4096, description="how many filters are drawn")] = 64,
    slices: Annotated[
        int, Field(ge=1, le=4096, description="input channels drawn a filter, the largest")
    ] = 8,
) -> Answer:
    """The kernels of a layer as pictures, and the norm of each.

    Kernels that read three channels are drawn in colour, zero as mid-grey; others as signed slices, one an
    input channel, named `filter←input`. Dense layers and 1×1 kernels are a matrix, filters × inputs. The
    norms (L2) are of all filters.
    """
    kernel = model.weights(layer)["kernel"]
    if kernel.ndim == 5:
        return _norms(kernel, layer), Note("three-dimensional kernels have no picture; these are their norms")
    if kernel.ndim == 3:  # a kernel along one axis
        kernel = kernel[None]
    bars = _norms(kernel, layer)
    ranks = np.argsort(-bars.values, kind="stable") if order == "norm" else np.arange(kernel.shape[-1])
    ranks = ranks[:filters]
    if kernel.ndim == 2 or kernel.shape[:2] == (1, 1):
        return _matrix(kernel.reshape(kernel.shape[-2:]), ranks, layer), bars
    if kernel.shape[2] == 3 and model.input.channels == 3:
        tiles = Tiles(
            np.moveaxis(kernel, -1, 0)[ranks],
            [str(i) for i in ranks],
            signed=True,
            title=layer,
            unit="weight",
        )
        return tiles, bars
    groups = int(model.layer(layer).hyper.get("groups", 1))
    return _slices(kernel, ranks, slices, layer, groups), bars


def _norms(kernel: Array, layer: str) -> Bars:
    norms = np.sqrt(np.square(kernel, dtype=np.float64).sum(tuple(range(kernel.ndim - 1))))
    return Bars(
        norms, [str(i) for i in range(len(norms))], title=f"{layer}: norm of each filter", unit="L2 norm"
    )


def _matrix(kernel: Array, ranks: Ranks, layer: str) -> Tiles:
    rows = kernel.T[ranks]
    inputs = np.sort(np.argsort(-np.abs(rows).max(0), kind="stable")[:1024])
    left = f", the {len(inputs)} largest of {kernel.shape[0]}" if len(inputs) < kernel.shape[0] else ""
    title = f"{layer}: {len(rows)} filters (down) × {len(inputs)} inputs (across{left})"
    return Tiles(rows[None, :, inputs], ["filters × inputs"], signed=True, title=title, unit="weight")


def _slices(kernel: Array, ranks: Ranks, slices: int, layer: str, groups: int) -> Tiles:
    values, names = [], []
    inputs, per_group = kernel.shape[2], kernel.shape[3] // groups
    for i in ranks:
        own = np.moveaxis(kernel[..., i], -1, 0)
        largest = np.sort(np.argsort(-np.square(own).sum((1, 2)), kind="stable")[:slices])
        values += list(own[largest])
        names += [f"{i}←{i // per_group * inputs + j}" for j in largest]
    return Tiles(np.stack(values), names, signed=True, title=layer, unit="weight")


@hookimpl
def cnnlens_visualisers() -> list[object]:
    """What this plugin brings."""
    return [filter_weights]
