"""One pass of a Keras model as a compiled program, on TensorFlow and on JAX.

Both leave the pass in two steps, for what is pulled on is worked out from the scores in between: a compiled
forward pass hands its intermediate results on to a compiled backward pass. Weights are read anew in each
pass, and no derivative by them is made. Outputs that are not pulled on are cut off from the backward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from ..arrays import Array
from ._engines import Pull, array, cotangent
from ._keras_asked import Asked, Given
from ._keras_opaque import Opaque
from ._keras_taps import Graph

#: What is given, on the engine → outputs and the pull; a pull's None in place of a cotangent means: not pulled on.
Program = Callable[[Given], tuple[Sequence[Any], Pull]]
Body = Graph | Opaque


class Reading(keras.StatelessScope):  # type: ignore[misc]
    """A scope in which variables read as what `of` makes of them; what is assigned stays in the scope."""

    def __init__(self, of: Callable[[Any], Any]) -> None:
        super().__init__()
        self._of = of

    def get_current_value(self, variable: Any) -> Any:
        """What was assigned in the scope, else what `of` says."""
        assigned = super().get_current_value(variable)
        return self._of(variable) if assigned is None else assigned


def tensorflow_program(
    body: Body, asked: Asked, pulled: Sequence[bool], given: Given, exact: bool
) -> Program:
    """A `tf.function` for batches of every size, or with `exact` for batches of this one."""
    import tensorflow as tf

    def constant(variable: Any) -> Any:
        return None if variable._value is None else tf.stop_gradient(variable._value)

    def of(shape: Sequence[int]) -> Any:
        return tf.TensorSpec((shape[0] if exact else None, *shape[1:]), tf.float32)

    def traced(fed: Any, placed: Sequence[Any], zeros: Sequence[Any]) -> list[Any]:
        fed = fed if "input" in asked.leaves else tf.stop_gradient(fed)
        with Reading(constant):
            outputs = asked.run(body, Given(fed, [tf.stop_gradient(p) for p in placed], zeros))
        return [o if p else tf.stop_gradient(o) for o, p in zip(outputs, pulled, strict=True)]

    signature = [of(given.fed.shape), [of(p.shape) for p in given.placed], [*map(of, given.zeros)]]
    compiled = tf.function(traced, input_signature=signature, autograph=False)

    def run(given: Given) -> tuple[Sequence[Any], Pull]:
        tensors = given.fed, list(given.placed), list(given.zeros)
        if not asked.leaves:
            return compiled(*tensors), lambda _: []
        leaves = given.leaves(asked)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(leaves)
            outputs = compiled(*tensors)

        def pull(cotangents: Sequence[Array | None]) -> Sequence[Array | None]:
            pairs = [(o, cotangent(c, o)) for o, c in zip(outputs, cotangents, strict=True) if c is not None]
            found = tape.gradient([o for o, _ in pairs], leaves, [c for _, c in pairs])
            return [None if g is None else array(g) for g in found]

        return outputs, pull

    return run


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
        outs, back = compiled(weights, given.fed, list(given.placed), list(given.zeros))

        def pull(cotangents: Sequence[Array | None]) -> Sequence[Array | None]:
            pairs = zip(outs, cotangents, strict=True)
            return [array(g) for g in backward(back, [cotangent(c, o) for o, c in pairs if c is not None])]

        return outs, pull if asked.leaves else lambda _: []

    return run
