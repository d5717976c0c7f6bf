"""How much is computed: the multiplications of a call, each with the addition behind it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from .tape import CallInfo

#: Calls whose products are not told by their shapes.
_UNTOLD = ("attention", "other")


def multiply_adds(info: CallInfo, calls: Sequence[CallInfo]) -> int | None:
    """The multiply-adds of a call for one picture, of all `calls` of its pass; None where they are not known.

    Each weight of a kernel counts once a place: of the output, or of what is read where the convolution is
    transposed. A bias, a batch norm, an activation or a pooling counts nothing, as is the custom (a batch norm can
    be folded into the convolution before it). Products of what hangs on the picture, as in attention, are not known.
    """
    if info.kind in _UNTOLD:
        return None
    if info.kind not in ("convolution", "transposed-convolution", "dense"):
        return 0
    read = calls[info.inputs[0]].shape
    if info.kind == "dense":
        return prod(info.shape) * read[-1]
    if "kernel" not in info.hyper:
        return None
    places = read if info.kind == "transposed-convolution" else info.shape
    kernel: int = prod(info.hyper["kernel"])
    pairs = read[-1] * info.shape[-1] // int(info.hyper.get("groups", 1))
    return prod(places[:-1]) * kernel * pairs
