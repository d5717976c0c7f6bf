"""Passes of one Keras model: compiled where that can be done, step by step where it cannot.

What Keras itself wrote runs compiled as Keras's own `predict` runs it, for batches of every size. Where
somebody else's code runs too, a program is made for each size of a batch, and its first pass is held to one
made step by step; where the two differ, or the code cannot be compiled, the model runs step by step.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ..arrays import Array
from ._engines import Pull, array, differentiate, reason_of, unchanged
from ._keras_asked import Asked, Given
from ._keras_layers import precision_of
from ._keras_programs import Body, Program, jax_program
from ._keras_state import Snapshot, is_foreign, running_parts
from ._keras_tensorflow import tensorflow_program

KEPT = 16  #: how many programs of one model are kept
RESTLESS = 4  #: after so many passes in a row whose layers had been changed, nothing more is compiled
#: How far a first pass may be from one made step by step, as shares of the norm; a kink that rounding crosses
#: moves a gradient further than a score.
NEAR, NEAR_BACK, NEAR_HALF = 1e-3, 2e-2, 1e-1


@dataclass
class Kept:
    """A compiled pass; `fresh` until it has run, and been pulled on where it can be."""

    program: Program
    fresh: bool = True


class Passes:
    """Runs what is asked of a model. `compiling` is the seconds that first runs of programs have taken.

    `tell` is handed a sentence where the model runs step by step although its engine compiles.
    """

    def __init__(self, body: Body, native: Any, tell: Callable[[str], None]) -> None:
        self._body, self._native, self._tell = body, native, tell
        self._engine = keras.config.backend()
        self._kept: OrderedDict[Any, Kept] = OrderedDict()
        self._pulled: dict[Asked, tuple[bool, ...]] = {}
        self._snapshot: Snapshot | None = None
        self._changes = 0
        self._foreign = self._half = False
        self._refused = self._engine == "torch"
        self.compiling = 0.0

    def run(self, asked: Asked, given: Given) -> tuple[Sequence[Any], Pull]:
        """The outputs as the engine's tensors, and what pulls cotangents by them back to the leaves."""
        if not self._refused:
            self._look_over()
        if self._refused:
            return self.step_by_step(asked, given)
        pulled = self._pulled.get(asked, (True, *(False for _ in asked.read)))
        started = time.perf_counter()
        try:
            kept = self._program(asked, given, pulled)
            outputs, back = kept.program(given)
        except Exception as error:  # a layer that cannot be compiled, or one that cannot run at all
            made = self.step_by_step(asked, given)
            self._refuse(f"it cannot be compiled ({reason_of(error)})")
            return made
        proof = None
        if kept.fresh:
            self.compiling += time.perf_counter() - started
            proof = self.step_by_step(asked, given) if self._foreign else None
            if proof and not self._agrees(outputs, proof[0], NEAR):
                return proof
            kept.fresh = bool(asked.leaves)
        return outputs, self._puller(kept, asked, given, pulled, back, proof)

    def step_by_step(self, asked: Asked, given: Given) -> tuple[Sequence[Any], Pull]:
        """The same, not compiled."""

        def function(leaves: Sequence[Any]) -> list[Any]:
            held = made.with_leaves(asked, leaves)
            if self._engine == "torch" and "input" in asked.leaves:  # a wrapped module may work in place
                held = Given(keras.ops.copy(held.fed), held.placed, held.zeros)
            return asked.run(self._body, held)

        with unchanged(self._native):
            made = given.on_engine()
            return differentiate(function, made.leaves(asked))

    def _puller(
        self,
        kept: Kept,
        asked: Asked,
        given: Given,
        pulled: tuple[bool, ...],
        back: Pull,
        proof: tuple[Sequence[Any], Pull] | None,
    ) -> Pull:
        """A pull that makes another pass where it is pulled on other outputs than last time."""

        def pull(cotangents: Sequence[Array | None]) -> Sequence[Array | None]:
            wanted = tuple(c is not None for c in cotangents)
            if not any(wanted) or not asked.leaves:
                return [None] * len(asked.leaves)
            if wanted != pulled:
                self._remember(asked, wanted)
                return self.run(asked, given)[1](cotangents)
            if not kept.fresh:
                return back(cotangents)
            started = time.perf_counter()
            try:
                found = back(cotangents)
            except Exception as error:
                right = (proof or self.step_by_step(asked, given))[1](cotangents)
                self._refuse(f"its gradient cannot be compiled ({reason_of(error)})")
                return right
            self.compiling += time.perf_counter() - started
            if proof:
                right = proof[1](cotangents)
                if not self._agrees(found, right, NEAR_BACK):
                    return right
            kept.fresh = False
            return found

        return pull

    def _program(self, asked: Asked, given: Given, pulled: tuple[bool, ...]) -> Kept:
        """The program for what is asked: one that is kept, or a new one."""
        exact = self._foreign or self._engine == "jax"
        key = asked, pulled, keras.config.floatx(), len(given.fed) if exact else 0
        kept = self._kept.pop(key, None)
        if kept is None:
            if self._engine == "jax":
                program = jax_program(self._body, asked, pulled, self._native.variables)
            else:
                program = tensorflow_program(self._body, asked, pulled, given, exact)
            kept = Kept(program)
        self._kept[key] = kept
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return kept

    def _remember(self, asked: Asked, wanted: tuple[bool, ...]) -> None:
        """What is pulled on, for the next pass that is asked the same."""
        if len(self._pulled) > 4 * KEPT:
            self._pulled.clear()
        self._pulled[asked] = wanted

    def _look_over(self) -> None:
        """Let go of all programs where something of the layers was changed since."""
        if self._snapshot is not None and self._snapshot.holds():
            self._changes = 0
            return
        self._kept.clear()
        self._changes += 1
        if self._changes > RESTLESS:
            self._refuse("its layers change before every pass")
            return
        parts = running_parts(self._body)
        self._foreign = any(map(is_foreign, parts))
        self._half = precision_of(parts) != "float32"
        self._snapshot = Snapshot(parts)

    def _agrees(self, found: Sequence[Any], right: Sequence[Any], share: float) -> bool:
        """Whether a first pass is as the one made step by step, which must not have changed the layers."""
        share = NEAR_HALF if self._half else share
        if self._snapshot is None or not self._snapshot.holds():
            self._refuse("its layers change with every pass")
        elif not all(_near(a, b, share) for a, b in zip(found, right, strict=True)):
            self._refuse("compiled it gives other numbers")
        return not self._refused

    def _refuse(self, reason: str) -> None:
        """Compile nothing more, and say so."""
        self._refused = True
        self._kept.clear()
        self._tell(f"run step by step, not compiled: {reason}")


def _near(found: Any, right: Any, share: float) -> bool:
    """Whether two tensors or arrays are alike, by the norm of their difference; None is zeros."""
    if found is None or right is None:
        rest = found if right is None else right
        return rest is None or not np.any(array(rest))
    one, other = array(found).astype(np.float64), array(right).astype(np.float64)
    if one.shape != other.shape or not np.array_equal(np.isfinite(one), np.isfinite(other)):
        return False
    inside = np.isfinite(other)
    if not np.array_equal(one[~inside], other[~inside], equal_nan=True):
        return False
    return bool(np.linalg.norm(one[inside] - other[inside]) <= share * np.linalg.norm(other[inside]) + 1e-12)
