"""DeepLIFT's rescale rule as a walk over the tape of two pictures: Shrikumar et al., 2017.

Row 0 of every array is the picture's, row 1 the baseline's. What is walked back is a multiplier: how much of a
difference at the target each unit of difference at an input makes, the same in both rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cnnlens import Array, Call, Tape, errors

#: Differences below this share of the values that differ are rounding: the derivative stands in for the quotient.
_TINY = 1e-6


class Multipliers:
    """The rule of each call; call it with a call and what arrived there."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape

    def __call__(self, call: Call, arrived: Array) -> Sequence[Array]:
        """The multiplier of each input; their products with the differences add up to the output's."""
        info = call.info
        if info.affine or info.function == "sum":
            return call.pull(arrived)
        if info.kind == "activation":
            return [self._quotient(call, arrived)]
        if info.kind == "pooling" and info.function == "max":
            return [self._largest(call, arrived)]
        if info.kind == "multiply" and len(info.inputs) == 2:
            # x·y − x₀·y₀ = (y + y₀)/2·(x − x₀) + (x + x₀)/2·(y − y₀): the derivative half-way between the two
            return call.pull(arrived, [_half_way(x) for x in self._tape.inputs(call)])
        raise errors.Unmet(f"DeepLIFT has no rule for {info.name} ({info.kind} {info.function})".rstrip())

    def _quotient(self, call: Call, arrived: Array) -> Array:
        """Δout / Δin of an activation, value by value."""
        x, y = self._tape.inputs(call)[0], call.output
        change, small = _change(x)
        gradient = call.pull(arrived)[0][:1]
        return _twice(_chosen(small, gradient, (y[:1] - y[1:]) * arrived[:1], change))

    def _largest(self, call: Call, arrived: Array) -> Array:
        """A maximum that grew owes it to the place where it now is, one that fell to where it was.

        Windows may overlap: what their maxima owe a place adds up. The quotients never exceed one.
        """
        x, y = self._tape.inputs(call)[0], call.output
        change, small = _change(x)
        higher = np.maximum(*y)[None]
        owed = call.pull(arrived * np.concatenate([higher - y[1:], y[:1] - higher]))[0]
        gradient = call.pull(arrived)[0][:1]
        return _twice(_chosen(small, gradient, owed[:1] + owed[1:], change))


def _chosen(small: npt.NDArray[np.bool_], gradient: Array, difference: Array, change: Array) -> Array:
    """The gradient where the change is small, else the quotient; by products, since masks cost a branch a value."""
    quotient = difference / (change + small)
    quotient *= ~small
    quotient += gradient * small
    return quotient


def _change(x: Array) -> tuple[Array, npt.NDArray[np.bool_]]:
    """The difference between picture and baseline, (1, …), and where it is no more than rounding."""
    change = x[:1] - x[1:]
    tiny = _TINY if x.dtype == np.float32 else 1e-12
    return change, np.abs(change) <= tiny * np.maximum(*np.abs(x))[None]


def _half_way(x: Array) -> Array:
    return _twice((x[:1] + x[1:]) * x.dtype.type(0.5))


def _twice(values: Array) -> Array:
    return np.concatenate([values, values])
