"""How Keras 1 laid out its kernels, and how Theano turned them: axes and flips, for one array at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from ..errors import CannotOpen


class Relayout(NamedTuple):
    """What is done to a saved array: its axes in a new order, its rows and columns turned round."""

    axes: tuple[int, ...] | None = None
    flipped: bool = False

    def shape(self, saved: tuple[int, ...]) -> tuple[int, ...]:
        """The shape that the array will have."""
        return saved if self.axes is None else tuple(saved[axis] for axis in self.axes)

    def __call__(self, values: Any) -> Any:
        if self.axes is not None:
            values = np.ascontiguousarray(np.transpose(values, self.axes))
        return np.ascontiguousarray(values[::-1, ::-1]) if self.flipped else values


_AS_IT_IS = Relayout()
#: (class, order of channels) → the axes of a kernel of Keras 1 as Keras 3 has them: rows, columns, in, out.
_AXES = {
    ("Conv2D", "channels_first"): (2, 3, 1, 0),
    ("SeparableConv2D", "channels_first"): (2, 3, 1, 0),
    ("Conv2DTranspose", "channels_last"): (0, 1, 3, 2),
    ("Conv2DTranspose", "channels_first"): (2, 3, 0, 1),
}
_KERNELS = ("kernel", "depthwise_kernel", "pointwise_kernel")


def check_theano(layers: Iterable[Any]) -> None:
    """CannotOpen where Theano computed something that the engines of today compute otherwise."""
    for layer in layers:
        kind = type(layer).__name__
        if kind in ("SeparableConv2D", "DepthwiseConv2D"):
            raise CannotOpen(
                f"layer {layer.name!r} is a {kind} trained on Theano, of whose kernels nobody knows for "
                "certain which way round they are: convert the file in Keras 2"
            )
        windows = [getattr(layer, key, ()) or () for key in ("kernel_size", "pool_size")]
        even = any(isinstance(w, tuple) and any(side % 2 == 0 for side in w) for w in windows)
        strided = max(getattr(layer, "strides", None) or (1,)) > 1
        if getattr(layer, "padding", None) == "same" and (even or strided):
            raise CannotOpen(
                f"layer {layer.name!r} is a {kind} trained on Theano with the padding 'same' and strides or "
                "an even window: Theano padded other sides than engines do today, so its output would differ"
            )


def relayout(layer: Any, variable: Any, saved: tuple[int, ...], keras_1: bool, theano: bool) -> Relayout:
    """What to do to an array so that it fits the variable; Theano convolved with kernels turned round."""
    kind = type(layer).__name__
    if variable.name not in _KERNELS or len(saved) != 4:
        return _AS_IT_IS
    axes = _AXES.get((kind, layer.data_format)) if keras_1 else None
    return Relayout(axes, flipped=theano and kind in ("Conv2D", "Conv2DTranspose"))
