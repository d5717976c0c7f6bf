"""Layer-wise relevance propagation as a walk over a tape, its rules chosen by a composite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from cnnlens import Array, Call, CallInfo, Tape, errors

from .linear import (
    Linear,
    LinearRule,
    Stabiliser,
    alpha2_beta1,
    box_rule,
    epsilon,
    flat,
    gain_of,
    gamma_rule,
    plus,
    square,
)
from .structure import LINEAR, first, folds, signals


@dataclass(frozen=True)
class Composite:
    """Which rule stands at which calls: those that read the picture, convolutions, dense ones."""

    first: str
    convolution: str
    dense: str


#: By the names of zennit's composites; "zero" and "epsilon" are one rule throughout.
COMPOSITES: dict[str, Composite] = {
    "epsilon-plus-flat": Composite("flat", "plus", "epsilon"),
    "epsilon-plus": Composite("", "plus", "epsilon"),
    "epsilon-plus-square": Composite("square", "plus", "epsilon"),
    "epsilon-gamma-box": Composite("box", "gamma", "epsilon"),
    "epsilon-alpha2-beta1": Composite("", "alpha2-beta1", "epsilon"),
    "epsilon-alpha2-beta1-flat": Composite("flat", "alpha2-beta1", "epsilon"),
    "epsilon": Composite("", "epsilon", "epsilon"),
    "zero": Composite("", "zero", "zero"),
}
_RULES: dict[str, LinearRule] = {
    "zero": epsilon,
    "epsilon": epsilon,
    "plus": plus,
    "alpha2-beta1": alpha2_beta1,
    "flat": flat,
    "square": square,
}
_STABLE = Stabiliser()  # of all rules but ε, as zennit has it


@dataclass
class Ledger:
    """Where relevance went that did not arrive at the picture, by call: what biases took, and the rest."""

    biases: dict[str, float] = field(default_factory=dict)
    others: dict[str, float] = field(default_factory=dict)
    _last: tuple[Array, float] | None = None  # what was added up last: most often it is what arrives next

    def enter(self, name: str, arrived: Array, shares: Sequence[Array], bias: float) -> None:
        """Note what a call did not hand on."""
        if len(shares) == 1 and shares[0] is arrived:
            return
        lost = self._sum(arrived) - sum(map(self._sum, shares))
        if bias:
            self.biases[name] = self.biases.get(name, 0.0) + bias
        self.others[name] = self.others.get(name, 0.0) + lost - bias

    def _sum(self, values: Array) -> float:
        if self._last is None or self._last[0] is not values:
            self._last = values, float(values.sum(dtype=np.float64))
        return self._last[1]


class Relevance:
    """The rules of one composite over one tape; call it with a call and what arrived there.

    `ends` are the least and the greatest number (c,) that the network can be fed, for the box rule; `apart`
    are the places of linear calls that stay without their batch norm, because the walk begins there.
    """

    def __init__(
        self,
        tape: Tape,
        composite: Composite,
        by: Stabiliser = _STABLE,
        gamma: float = 0.25,
        ends: tuple[Array, Array] | None = None,
        apart: Sequence[int] = (),
    ) -> None:
        self._tape, self._composite, self._by = tape, composite, by
        self._infos = tuple(call.info for call in tape.calls)
        self._rules = {**_RULES, "gamma": gamma_rule(gamma)}
        self._ends = ends
        self._first = first(self._infos)
        self._plain = {info.index for way in self._first.values() for info in way}
        self._linear: dict[int, Linear] = {}
        self._merged: set[int] = set()
        self._merge({norm: at for norm, at in folds(self._infos).items() if at not in apart})
        self.ledger = Ledger()

    def __call__(self, call: Call, arrived: Array) -> Sequence[Array]:
        """The share of each input."""
        shares, bias = self._shares(call, arrived)
        self.ledger.enter(call.info.name, arrived, shares, bias)
        return shares

    def _merge(self, norms: Mapping[int, int]) -> None:
        """Hold each linear call, with its batch norm where it can be merged."""
        after = {at: norm for norm, at in norms.items()}
        for call in self._tape.calls:
            place = call.info.index
            if call.info.kind not in LINEAR:
                continue
            x = self._tape.inputs(call)[0]
            norm = self._tape.calls[after[place]] if place in after else None
            both = Linear.of(call, x, norm)
            if both is not None and norm is not None:
                self._merged.add(norm.info.index)
            alone = both or Linear.of(call, x)
            assert alone is not None
            self._linear[place] = alone

    def _shares(self, call: Call, arrived: Array) -> tuple[Sequence[Array], float]:
        info = call.info
        if info.index in self._linear:
            share, bias = self._at_linear(info, arrived)
            return (share,), bias
        if info.index in self._merged or info.index in self._plain:
            return self._passed(call, arrived), 0.0
        if info.kind == "batch-norm":
            return self._at_norm(call, arrived)
        if info.kind in ("multiply", "divide"):
            return self._gated(call, arrived), 0.0
        if info.kind in ("activation", "scale") or _shifts(info):
            return self._passed(call, arrived), 0.0
        if info.kind in ("reshape", "identity", "concat") or info.function == "max":
            return call.pull(arrived), 0.0
        if info.affine or info.kind == "pooling":
            return self._proportional(call, arrived), 0.0
        raise errors.Unmet(f"LRP has no rule for {info.name} ({info.kind} {info.function})".rstrip())

    def _at_linear(self, info: CallInfo, arrived: Array) -> tuple[Array, float]:
        composite, at = self._composite, self._linear[info.index]
        chosen = composite.dense if info.kind == "dense" else composite.convolution
        if info.index in self._first and composite.first and (composite.first, info.kind) != ("box", "dense"):
            chosen, at = composite.first, replace(at, ones=self._seen(info, 1.0, moved=True))
        if chosen == "box":
            if self._ends is None:
                raise errors.Unmet("the box rule wants to know between which ends the picture lies")
            ends = [
                self._seen(info, end) for end in self._ends
            ]  # a negative factor on the way turns them round
            return box_rule(np.minimum(*ends), np.maximum(*ends))(at, arrived, _STABLE)
        return self._rules[chosen](at, arrived, self._by if chosen in ("epsilon", "zero") else _STABLE)

    def _seen(self, info: CallInfo, values: Array | float, moved: bool = False) -> Array:
        """What a call that reads the picture would read of another; if only `moved`, neither scaled nor shifted."""
        fed = self._tape.calls[0].output
        seen = np.broadcast_to(values, fed.shape).astype(fed.dtype)
        for step in self._first[info.index]:
            if not moved or step.kind == "reshape":
                seen = self._tape.calls[step.index].run((seen,))
        return seen

    def _at_norm(self, call: Call, arrived: Array) -> tuple[Sequence[Array], float]:
        """A batch norm that follows no linear call: the ε rule, its own shift being the bias."""
        gain, shift = gain_of(call)
        s = self._stable.divide(arrived, call.output)
        taken = float((s.reshape(-1, s.shape[-1]).sum(0, dtype=np.float64) * shift).sum())
        return (self._tape.inputs(call)[0] * s * gain,), taken

    def _proportional(self, call: Call, arrived: Array) -> Sequence[Array]:
        """To each input by its part of the output: sums, means, enlargements."""
        pulled = call.pull(self._stable.divide(arrived, call.output))
        return [x * part for x, part in zip(self._tape.inputs(call), pulled, strict=True)]

    def _gated(self, call: Call, arrived: Array) -> Sequence[Array]:
        """The signal takes all, the gate nothing (Arras et al., 2017); several signals take the same each."""
        chosen = signals(call.info, self._infos)
        part = arrived * arrived.dtype.type(1 / len(chosen))
        return [
            _reduced(part, x.shape) if position in chosen else np.zeros_like(x)
            for position, x in enumerate(self._tape.inputs(call))
        ]

    def _passed(self, call: Call, arrived: Array) -> Sequence[Array]:
        """What arrived, as it is; back in the input's own shape where the call moved it."""
        shape = self._tape.inputs(call)[0].shape
        if call.info.kind in ("reshape", "identity"):
            return call.pull(arrived)
        return [_reduced(arrived, shape)]

    @property
    def _stable(self) -> Stabiliser:
        uniform = self._composite.convolution in ("epsilon", "zero")
        return self._by if uniform else _STABLE


def _reduced(values: Array, shape: tuple[int, ...]) -> Array:
    """Summed over the axes along which an input of that shape was repeated."""
    if values.shape == shape:
        return values
    values = values.sum(tuple(range(values.ndim - len(shape))))
    axes = tuple(axis for axis, side in enumerate(shape) if side == 1 != values.shape[axis])
    reduced: Array = values.sum(axes, keepdims=True)
    return reduced


def _shifts(info: CallInfo) -> bool:
    """Whether it adds a constant to what it reads."""
    return info.kind in ("add", "subtract") and len(info.inputs) == 1
