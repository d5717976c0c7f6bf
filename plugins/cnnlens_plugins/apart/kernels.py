"""The kernel that makes a unit: its own layer's, or that of the convolution whose channel the layer hands on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnnlens import Array, Bars, Call, Model, Tape, Tiles

from .road import BORDERS, KEEPING

#: Calls that hand on a channel under its number; of the moves those that only add or take a border.
_KEEPING = (*KEEPING, "pooling", "resize")
_TILES, _BARS = 64, 32


@dataclass(frozen=True)
class Kernel:
    """A unit's kernel (kh, kw, in), the number of the first map that it reads, and whose it is, in words."""

    values: Array
    first: int
    owner: str


def kernel_of(model: Model, layer: str, unit: int, tape: Tape | None) -> Kernel | None:
    """The kernel that makes a unit; None where it is no one kernel's, as behind a sum."""
    if tape is not None and layer in tape.layers:
        call = _convolution(tape, tape.calls[tape.layers[layer]])
        if call is None:
            return None
        kernel, name, groups = call.params.get("kernel"), call.info.name, call.info.hyper.get("groups", 1)
        channels, transposed = call.info.shape[-1], call.info.kind == "transposed-convolution"
    elif model.layer(layer).has_kernels and not model.why_no("weights"):
        one = model.layer(layer)
        kernel, name, groups = model.weights(layer).get("kernel"), layer, one.hyper.get("groups", 1)
        channels, transposed = one.shape[-1], "transpose" in one.type.lower()
    else:
        return None
    if kernel is None or kernel.ndim != 4 or (transposed and groups > 1) or kernel.shape[-1] != channels:
        return None
    owner = f"{name}[{unit}]" + ("" if name == layer else ", which this layer hands on")
    return Kernel(kernel[..., unit], unit // (channels // int(groups)) * kernel.shape[2], owner)


def _convolution(tape: Tape, call: Call) -> Call | None:
    """The convolution that a call's channels come from, one by one; None where something mixes them on the way."""
    while call.info.kind not in ("convolution", "transposed-convolution"):
        info = call.info
        keeps = info.kind in _KEEPING or (info.kind == "reshape" and info.function in BORDERS)
        if not keeps or len(info.inputs) != 1:
            return None
        call = tape.calls[info.inputs[0]]
        if call.info.shape[-1:] != info.shape[-1:] or len(call.info.shape) != 3:
            return None
    return call


def kernel_panel(kernel: Kernel) -> Tiles | Bars:
    """A tile for each map that the kernel reads, or a bar where it has one weight for each."""
    count = kernel.values.shape[-1]
    if kernel.values.shape[:2] == (1, 1):
        weights = kernel.values[0, 0]
        ranks = np.argsort(-np.abs(weights), kind="stable")[:_BARS]
        return Bars(
            weights[ranks],
            [str(kernel.first + int(i)) for i in ranks],
            title=f"Kernel of {kernel.owner}: {_of(len(ranks), count)}",
            unit="weight",
        )
    norms = np.square(kernel.values, dtype=np.float64).sum((0, 1))
    ranks = np.sort(np.argsort(-norms, kind="stable")[:_TILES])
    return Tiles(
        np.moveaxis(kernel.values, -1, 0)[ranks],
        [str(kernel.first + int(i)) for i in ranks],
        signed=True,
        title=f"Kernel of {kernel.owner}: {_of(len(ranks), count)}",
        unit="weight",
    )


def _of(shown: int, count: int) -> str:
    maps = "input" if count == 1 else "inputs"
    return f"{shown} of {count} {maps}, the strongest" if shown < count else f"{count} {maps}"
