"""One pass of a Keras model on TensorFlow as two compiled functions: there, and back from what came out.

A `GradientTape` around a `tf.function` makes both by itself, but keeps a record of hundreds of tensors in
Python each time, and makes the derivatives by all weights. Here the gradient is written into the graph of the
forward pass, and its part of the graph is then moved into a function of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from ..arrays import Array
from ._engines import Pull, array, cotangent
from ._keras_asked import Asked, Given
from ._keras_programs import Body, Program


def tensorflow_program(
    body: Body, asked: Asked, pulled: Sequence[bool], given: Given, exact: bool
) -> Program:
    """A program for batches of every size, or with `exact` for batches of this one; it reads weights live."""
    import tensorflow as tf

    tail: list[Backward] = []

    def traced(fed: Any, *placed: Any) -> list[Any]:
        with keras.StatelessScope():
            outputs = asked.run(body, Given(fed, placed, [tf.identity] * len(asked.inner)))
        if not asked.leaves:
            return outputs
        seen = dict(zip(asked.read, outputs[1:], strict=True))
        ends = [output for output, is_pulled in zip(outputs, pulled, strict=True) if is_pulled]
        tail[:] = [Backward(ends, [seen.get(name, fed) for name in asked.leaves])]
        return [*outputs, *tail[0].needs]

    def of(values: Any) -> Any:
        return tf.TensorSpec((len(values) if exact else None, *values.shape[1:]), tf.float32)

    signature = [of(given.fed), *map(of, given.placed)]
    forward = tf.function(traced, input_signature=signature, autograph=False).get_concrete_function()
    backward = tail[0].compiled() if tail else None

    def run(given: Given) -> tuple[Sequence[Any], Pull]:
        made = forward(*map(tf.convert_to_tensor, (given.fed, *given.placed)))
        outputs, between = made[: len(pulled)], made[len(pulled) :]

        def pull(cotangents: Sequence[Array | None]) -> Sequence[Array | None]:
            asks = [cotangent(c, o) for c, o in zip(cotangents, outputs, strict=True) if c is not None]
            found = iter(backward(*asks, *between) if backward else ())
            return [array(next(found)) if reached else None for reached in tail[0].reached]

        return outputs, pull

    return run


class Backward:
    """The gradient of `ends` by `leaves`, tensors of the graph that is being made.

    `needs` are the tensors of the forward pass that it reads; `reached` says which leaves have a gradient.
    """

    def __init__(self, ends: Sequence[Any], leaves: Sequence[Any]) -> None:
        import tensorflow as tf

        graph = ends[0].graph
        before = {operation.name for operation in graph.get_operations()}
        self._pulls = [tf.compat.v1.placeholder(end.dtype, end.shape) for end in ends]
        found = tf.gradients(ends, leaves, grad_ys=self._pulls)
        self.reached = [gradient is not None for gradient in found]
        self._results = [tf.identity(gradient) for gradient in found if gradient is not None]
        self._names: set[str] = set()
        needs: dict[str, Any] = {}
        left, given = [result.op for result in self._results], {pull.op.name for pull in self._pulls}
        while left:
            operation = left.pop()
            if operation.name in self._names:
                continue
            self._names.add(operation.name)
            for tensor in operation.inputs:
                if tensor.op.name in before:
                    needs[tensor.name] = tensor
                elif tensor.op.name not in given:
                    left.append(tensor.op)
        self.needs, self._graph = list(needs.values()), graph

    def compiled(self) -> Any:
        """It as a function of cotangents and of what it needs; None where no leaf is reached."""
        import tensorflow as tf

        if not self._results:
            return None
        whole, own = self._graph.as_graph_def(), tf.compat.v1.GraphDef()
        own.versions.CopyFrom(whole.versions)
        own.library.CopyFrom(whole.library)
        own.node.extend(node for node in whole.node if node.name in self._names)
        for node in own.node:  # neither orders nor neighbours reach into another function
            node.attr.pop("_class", None)
            reads = [name for name in node.input if not name.startswith("^")]
            del node.input[:]
            node.input.extend(reads)
        given = [*self._pulls, *self.needs]
        names, results = [tensor.name for tensor in given], [tensor.name for tensor in self._results]

        def backward(*tensors: Any) -> Any:
            return tf.graph_util.import_graph_def(
                own, dict(zip(names, tensors, strict=True)), results, name=""
            )

        signature = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in given]
        return tf.function(backward, input_signature=signature, autograph=False).get_concrete_function()
