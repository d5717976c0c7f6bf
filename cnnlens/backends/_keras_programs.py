"""What a compiled pass of a Keras model is, and how JAX makes one.

A pass stays in two steps, for what is pulled on is worked out from the scores in between: a compiled forward
pass hands its intermediate results on to a compiled backward pass. Weights are read anew in each pass, and no
derivative by them is made. Outputs that are not pulled on have no part in the backward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..arrays import Array
from ._engines import Pull, Reading, array, cotangent
from ._keras_asked import Asked, Given
from ._keras_opaque import Opaque
from ._keras_taps import Graph

#: What is given → outputs and the pull, which is handed cotangents of what the program was made to pull on.
Program = Callable[[Given], tuple[Sequence[Any], Pull]]
Body = Graph | Opaque


def jax_program(body: Body, asked: Asked, pulled: Sequence[bool], variables: Sequence[Any]) -> Program:
    """A jitted pass; weights are arguments of it. Raises where it reads a variable that the model has not."""
    import jax

    known = {id(variable) for variable in variables}

    def outputs(weights: Sequence[Any], given: Given) -> list[Any]:
        mapping = dict(zip(map(id, variables), weights, strict=True))

        def argument(variable: Any) -> Any:
            if id(variable) not in known:
                raise LookupError(f"{variable.path} is read, which is no variable of the model")
            return mapping[id(variable)]

        with Reading(argument):
            return asked.run(body, given)

    def forward(weights: Sequence[Any], fed: Any, placed: Sequence[Any], zeros: Sequence[Any]) -> Any:
        given = Given(fed, placed, zeros)
        if not asked.leaves:
            return outputs(weights, given), None

        def of(*leaves: Any) -> tuple[list[Any], list[Any]]:
            found = list(zip(outputs(weights, given.with_leaves(asked, leaves)), pulled, strict=True))
            return [o for o, p in found if p], [o for o, p in found if not p]

        ends, back, others = jax.vjp(of, *given.leaves(asked), has_aux=True)
        kinds = (iter(others), iter(ends))
        return [next(kinds[p]) for p in pulled], back

    compiled, backward = jax.jit(forward), jax.jit(lambda back, cotangents: back(cotangents))

    def run(given: Given) -> tuple[Sequence[Any], Pull]:
        weights = [variable._value for variable in variables]
        given = given.on_engine()
        outs, back = compiled(weights, given.fed, list(given.placed), list(given.zeros))

        def pull(cotangents: Sequence[Array | None]) -> Sequence[Array | None]:
            pairs = zip(outs, cotangents, strict=True)
            return [array(g) for g in backward(back, [cotangent(c, o) for o, c in pairs if c is not None])]

        return outs, pull if asked.leaves else lambda _: []

    return run
