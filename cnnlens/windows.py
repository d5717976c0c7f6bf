"""Windows: how those of a convolution or a pooling lie along one axis of the map that they read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Windows(NamedTuple):
    """Place i reads `size` values, `dilation` apart, from `i * stride - before` on; `before` is padding in front."""

    size: int
    stride: int
    dilation: int
    before: int


def windows_along(hyper: Mapping[str, Any], axis: int, side: int) -> Windows | None:
    """Those along an axis of a map `side` long; None where no kernel is told, as of adaptive and global poolings."""
    kernel = hyper.get("kernel")
    if kernel is None or len(kernel) != 2:
        return None
    size, stride, dilation = (_along(hyper.get(name, 1), axis) for name in ("kernel", "stride", "dilation"))
    told = hyper.get("padding", 0)
    if not isinstance(told, str):
        before = _along(told, axis)
    elif told == "same":  # the smaller half in front, of what it takes to read to the end
        before = max((-(-side // stride) - 1) * stride + (size - 1) * dilation + 1 - side, 0) // 2
    else:
        before = 0
    return Windows(size, stride, dilation, before)


def _along(value: Any, axis: int) -> int:
    return int(value[axis] if isinstance(value, (tuple, list)) else value)
