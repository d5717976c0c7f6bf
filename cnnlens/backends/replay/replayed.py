"""A program as the Replay that a Model runs: arrays on the outside, torch's within."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ...arrays import Array
from ...errors import Unmet
from ...passes import Box, Pass
from .._torch_precision import Within
from .hiding import Hiding
from .program import Program, base_of


@dataclass(frozen=True)
class Border:
    """How a backend's arrays become tensors and tensors arrays: by the name of a layer, "input" or "scores"."""

    lay: Callable[[Array, str], Tensor]
    read: Callable[[Tensor, str], Array]
    shape: Callable[[str], tuple[int, ...]]  # of a layer's array, of one picture
    within: Within = field(default_factory=Within)  # what passes run within


class Replayed:
    """A recorded pass over one picture `fed`, to be run over values at layer `at`."""

    def __init__(
        self, program: Program, fed: Tensor, border: Border, at: str, space: tuple[int, int]
    ) -> None:
        self._program, self._fed, self._border, self._space = program, fed, border, space
        self._at = self._place(at)
        self._start = at

    def forward(
        self, values: Array, watch: Sequence[str], differentiable: bool, *, to_end: bool = True
    ) -> Pass:
        """The pass over other values; with `differentiable`, the graph begins at the lowest of `watch`."""
        places = {name: self._place(name) for name in watch}
        leaves = set(places.values()) if differentiable else set()
        laid = self._border.lay(values, self._start)
        with torch.inference_mode(False), torch.set_grad_enabled(differentiable), self._border.within():
            base = None if self._start == "input" else self._base
            goals = {*places.values(), *([self._program.end] if to_end else ())}
            found = self._program.run({self._at: laid}, goals, leaves=leaves, base=base)
        scores = found[self._program.end] if to_end else laid.new_zeros((len(laid), 0))
        seen = {name: self._border.read(found[p], name) for name, p in places.items() if name != "input"}

        def pull(cotangents: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
            taps = {name: found[places[name]] for name in names}
            outs = {name: scores if name == "scores" else found[places[name]] for name in cotangents}
            return self._pulled(outs, cotangents, taps, len(laid))

        return Pass(self._border.read(scores, "scores"), seen, pull)

    def hide(self, cover: Array, boxes: Sequence[Box], pause: Callable[[], object] | None = None) -> Array:
        """The scores (n, classes) of the picture with each box showing `cover` (1, h, w, c)."""
        if self._border.within.is_lower:
            raise Unmet("what a box can change is told apart from what it cannot in full precision only")
        with torch.inference_mode():
            found = self._hiding.scores(self._border.lay(cover, "input"), boxes, pause or (lambda: None))
            return self._border.read(found, "scores")

    def _pulled(
        self,
        outs: Mapping[str, Tensor],
        cotangents: Mapping[str, Array],
        taps: Mapping[str, Tensor],
        count: int,
    ) -> dict[str, Array]:
        pairs = [
            (out, self._border.lay(cotangents[name], name).reshape(out.shape).to(out.dtype))
            for name, out in outs.items()
            if out.requires_grad
        ]
        found: dict[str, Tensor | None] = dict.fromkeys(taps)
        if pairs:
            tensors, grads = zip(*pairs, strict=True)
            wanted = [name for name, tap in taps.items() if tap.requires_grad]
            pulled = torch.autograd.grad(tensors, [taps[n] for n in wanted], grads, allow_unused=True)
            found |= dict(zip(wanted, pulled, strict=True))
        return {name: self._gradient(name, gradient, count) for name, gradient in found.items()}

    def _gradient(self, name: str, gradient: Tensor | None, count: int) -> Array:
        if gradient is None:  # the target does not hang on the layer
            return np.zeros((count, *self._border.shape(name)), np.float32)
        return self._border.read(gradient, name)

    def _place(self, name: str) -> int:
        return 0 if name == "input" else self._program.layers[name]

    @functools.cached_property
    def _base(self) -> dict[int, Tensor]:
        return base_of(self._program, self._fed)

    @functools.cached_property
    def _hiding(self) -> Hiding:
        return Hiding(self._program, self._base, self._space)
