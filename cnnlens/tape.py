"""Tape: a forward pass as the list of calls that it was, each with its own derivative.

Guided backpropagation, LRP and DeepLIFT are rules over a tape: they walk it backwards and choose, call by
call, how what stands at the output is shared among the inputs. A backend records one; everything that reads
it is NumPy and knows no framework.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .arrays import Array
from .errors import Unmet
from .windows import Windows, windows_along

if TYPE_CHECKING:
    from .targets import Target

#: What a call can be. `reshape` only moves values about (or adds zeros), `scale` multiplies by constants.
CALLS = (
    "input", "convolution", "transposed-convolution", "dense", "batch-norm", "normalisation", "activation",
    "pooling", "add", "subtract", "multiply", "divide", "scale", "concat", "reshape", "resize", "identity",
    "softmax", "attention", "other",
)  # fmt: skip

#: Calls that are affine in all their inputs together: linear, but for a bias.
AFFINE = frozenset(
    ("convolution", "transposed-convolution", "dense", "batch-norm", "add", "subtract", "scale", "concat",
     "reshape", "resize", "identity")
)  # fmt: skip


@dataclass(frozen=True)
class CallInfo:
    """What a call is, without its numbers.

    `index` is its place on the tape and `inputs` the places of the calls that it reads; constants and weights
    are no inputs. `kind` is one of `CALLS`; `function` says which: "relu", "silu", … of an activation, "max"
    or "mean" of a pooling. `name` is the layer's, `shape` one picture's output, channels last. `hyper` holds
    kernel, stride, padding, dilation and groups where they are known, and `steered` where constants that it
    reads (a mask, an index) were made from the picture.
    """

    index: int
    name: str
    kind: str
    function: str
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    hyper: Mapping[str, Any] = field(default_factory=dict)

    @property
    def affine(self) -> bool:
        """Whether it is linear in all its inputs together, but for a bias."""
        return self.kind in AFFINE or (self.kind == "pooling" and self.function == "mean")

    def windows(self, axis: int, side: int) -> Windows | None:
        """How its windows lie along an axis, 0 or 1, of a map `side` long; None where it has no kernel of its own."""
        return windows_along(self.hyper, axis, side)


class Call(ABC):
    """One call of a pass that is over. Arrays are channels last, batch first, in the model's own precision."""

    info: CallInfo

    @property
    @abstractmethod
    def output(self) -> Array:
        """What it handed on, (n, …)."""

    @property
    @abstractmethod
    def params(self) -> Mapping[str, Array]:
        """Its weights: `kernel` (kh, kw, in, out) or (in, out), `bias`; a batch norm's also `scale`, `mean`,
        `variance`."""

    @abstractmethod
    def run(self, inputs: Sequence[Array], params: Mapping[str, Array] | None = None) -> Array:
        """What it makes of other inputs, and with other weights in the place of those named."""

    @abstractmethod
    def pull(
        self,
        cotangent: Array,
        inputs: Sequence[Array] | None = None,
        params: Mapping[str, Array] | None = None,
    ) -> tuple[Array, ...]:
        """Its vector-Jacobian product, one array for each input: at what it read, or at other inputs."""

    def again(
        self, inputs: Sequence[Array], params: Mapping[str, Array] | None = None
    ) -> tuple[Array, Callable[[Array], tuple[Array, ...]]]:
        """`run`, and the `pull` that belongs to it, to be called once; a backend that can shares one run."""
        return self.run(inputs, params), lambda cotangent: self.pull(cotangent, inputs, params)


def leading_to(goals: Iterable[int], reads: Callable[[int], Iterable[int]]) -> list[int]:
    """The places that lead to the goals, themselves among them, in their order; `reads` says what each one reads."""
    wanted = set(goals)
    for place in range(max(wanted), -1, -1):
        if place in wanted:
            wanted.update(reads(place))
    return sorted(wanted)


class Tape:
    """The calls of one pass, those before that hand on to those after; the first is what was fed.

    Only calls that lie between the picture and the scores are on it, and the last is the scores.
    `layers` says at which place a layer of the model handed on its output.
    """

    def __init__(self, calls: Sequence[Call], layers: Mapping[str, int]) -> None:
        self.calls = tuple(calls)
        self.layers = dict(layers)

    @property
    def scores(self) -> Array:
        """What the pass ended with, (n, classes)."""
        return self.calls[-1].output

    def activations(self, layers: Iterable[str]) -> dict[str, Array]:
        """What layers of the model handed on, (n, …) each; Unmet where the tape does not hold one."""
        asked = tuple(layers)
        for layer in asked:
            if layer not in self.layers:
                raise Unmet(
                    f"layer {layer!r} does not lie between the picture and the scores, and no tape holds it"
                )
        return {layer: self.calls[self.layers[layer]].output for layer in asked}

    def starts(self, target: Target) -> dict[int, Array]:
        """The target's derivative by the output of each call that it reads, by its place: where a walk begins.

        Unmet where it reads a layer that the tape does not hold.
        """
        pulls = target.cotangents(self.scores, self.activations(target.layers))
        places = self.layers | {"scores": len(self.calls) - 1}
        return {places[name]: values for name, values in pulls.items()}

    def inputs(self, call: Call) -> tuple[Array, ...]:
        """What a call read."""
        return tuple(self.calls[place].output for place in call.info.inputs)

    def walk(self, start: Mapping[int, Array], rule: Rule | None = None) -> Array:
        """Walk backwards and return what arrives at what was fed, (n, h, w, c).

        `start` says what stands at the outputs of some calls, by their places. `rule(call, arrived)` shares what
        arrived at a call's output among its inputs; a value that several calls read gets the sum of its shares.
        Without a rule each call pulls, and what arrives is the gradient.
        """
        arrived = dict(start)
        for call in reversed(self.calls[1:]):
            here = arrived.pop(call.info.index, None)
            if here is None:
                continue
            shares = call.pull(here) if rule is None else rule(call, here)
            for place, share in zip(call.info.inputs, shares, strict=True):
                arrived[place] = arrived[place] + share if place in arrived else share
        return arrived.get(0, np.zeros_like(self.calls[0].output))


#: How what arrived at a call's output is shared among its inputs: one array each, of their shapes.
Rule = Callable[[Call, Array], Sequence[Array]]

#: What goes on at an activation, of what arrived and what its derivative makes of that. Number by number: arrays
#: may have their axes in any order. The second may be written into where it is writeable, the first may not.
Share = Callable[[Array, Array], Array]


def is_one_of(functions: Collection[str], kind: str, function: str) -> bool:
    """Whether a call of that kind and function is one of these activations, named without underscores."""
    return kind == "activation" and function.replace("_", "") in functions


def altering(functions: Collection[str], share: Share) -> Rule:
    """The rule of a gradient through activations that hand back `share(arrived, pulled)`."""

    def rule(call: Call, arrived: Array) -> Sequence[Array]:
        pulled = call.pull(arrived)
        if is_one_of(functions, call.info.kind, call.info.function):
            return [share(arrived, one) for one in pulled]
        return pulled

    return rule
