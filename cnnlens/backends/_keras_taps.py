"""A Keras model as one flat list of calls that is run step by step, with a tap at every output.

Nested models are unrolled, so that a layer inside one can be watched and replaced like any other. The
graph is read, never called symbolically: that would leave nodes on the user's layers. Everything that is
private to Keras's graph is read in this file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import keras

from ..outputs import PREFIX, is_output
from ._keras_heads import Head, close
from ._keras_outputs import Returned

#: A tensor of the graph: which call of a nested model it belongs to, and its symbolic tensor's id.
Key = tuple[int, int]


@dataclass(frozen=True)
class Step:
    """One call, or where a nested model begins (no name) or ends (its name, no node).

    `into` holds the symbolic tensors that are made.
    """

    name: str
    operation: Any
    node: Any
    reads: tuple[Key, ...]
    writes: tuple[Key, ...]
    into: tuple[Any, ...]

    @property
    def is_call(self) -> bool:
        """Whether an operation is called here."""
        return self.node is not None

    def outputs(self, given: tuple[Any, ...], twin: Any = None) -> list[Any]:
        """What the operation, or its twin, makes of the tensors it reads."""
        if not self.is_call:
            return [cast(value, symbol) for value, symbol in zip(given, self.into, strict=True)]
        symbols = self.node.input_tensors
        args, kwargs = self.node.arguments.fill_in({id(s): v for s, v in zip(symbols, given, strict=True)})
        return list(keras.tree.flatten(_called(twin or self.operation, args, kwargs)))


@dataclass
class Taps:
    """What one pass reads (into `seen`), puts in place and adds: a zero, or what a function makes of it."""

    watch: Collection[str] = ()
    replace: Mapping[str, Any] = field(default_factory=dict)
    leaves: Mapping[str, Any] = field(default_factory=dict)
    seen: dict[str, Any] = field(default_factory=dict)

    def at(self, name: str, out: Any) -> Any:
        """The output of `name` as the rest of the network is to read it."""
        if name in self.leaves:
            leaf = self.leaves[name]
            out = leaf(out) if callable(leaf) else out + keras.ops.cast(leaf, out.dtype)
        if name in self.watch:
            self.seen[name] = out
        return out


class Graph:
    """The calls of a functional model in order; `names` has them as layers, a nested model before its own."""

    cannot: ClassVar[dict[str, str]] = {}

    def __init__(self, graph: Any, asked: str | None = None) -> None:
        self.steps: list[Step] = []
        self.names: list[str] = []
        self.sources: dict[str, tuple[Key, ...]] = {}  # what each layer is given
        self.head: Head | None = None
        self._counts: Counter[str] = Counter()
        self._scopes = 0
        self._unroll(graph, "", 0)
        self.by_name = {step.name: step for step in self.steps if step.name}
        self._makers = {key: step for step in self.steps for key in step.writes}
        returned = Returned(graph.output, asked, graph.name)
        self.symbol, self.score_path = graph.inputs[0], returned.scores
        self.input, self.output = (0, id(self.symbol)), (0, id(returned.tensors[returned.scores]))
        self._ends: dict[str, Key] = {name: (0, id(t)) for name, t in returned.named.items()}

    @property
    def operations(self) -> list[Any]:
        """What is called, in order."""
        return [step.operation for step in self.steps if step.is_call]

    @property
    def last(self) -> str | None:
        """The layer that makes the output."""
        maker = self.maker(self.output)
        return maker.name if maker else None

    @property
    def outputs(self) -> dict[str, str | None]:
        """The layer that makes each of what the model returns, by its path; None for the input itself."""
        makers = {name.removeprefix(PREFIX): self.maker(key) for name, key in self._ends.items()}
        return {path: maker.name if maker else None for path, maker in makers.items()}

    def operation(self, name: str) -> Any | None:
        """The layer or operation of that name; None for a nested model, whose layers have its arrays."""
        step = self.by_name[name]
        return step.operation if step.is_call else None

    def maker(self, key: Key) -> Step | None:
        """The call that makes a tensor, looked up inside nested models; None for the input."""
        step = self._makers.get(key)
        while step is not None and not step.is_call:
            key = step.reads[step.writes.index(key)]
            step = self._makers.get(key)
        return step

    def find_head(self, fed: Any, seen: dict[str, Any]) -> None:
        """Find a softmax or sigmoid that ends the network, by what a pass over `fed` showed."""
        last = self.maker(self.output)
        head = Head.of(last.name, last.operation) if last else None
        if last is None or head is None or len(last.writes) != 1:
            return
        if head.fused:  # a layer of somebody's own may do something else with an attribute of that name
            makers = [self.maker(key) for key in last.reads]
            given = tuple(seen.get(maker.name) if maker else fed for maker in makers)
            if not close(head.finish(last.outputs(given, head.twin())[0]), seen[last.name]):
                return
        self.head = head

    def run(self, fed: Any, taps: Taps) -> Any:
        """The scores of what is fed; only what leads to them or is watched is computed."""
        ends = {name: self._ends[name] for name in taps.watch if is_output(name)}
        inner = (name for name in taps.watch if name != "input" and name not in ends)
        goals = {key for name in inner for key in self.by_name[name].writes}
        goals.update(
            (self.output, *ends.values(), *(self.by_name[self.head.name].writes if self.head else ()))
        )
        steps = self._needed(goals, taps.replace)
        readers = Counter(key for step in steps for key in step.reads)
        values = {self.input: cast(taps.at("input", fed), self.symbol)}
        scores = None
        for step in steps:
            given = tuple(values.get(key) for key in step.reads)
            if self.head is not None and step.name == self.head.name:
                scores = step.outputs(given, self.head.twin())[0] if self.head.fused else given[0]
            outs = self._outputs(step, given, taps, scores)
            values.update(zip(step.writes, outs, strict=True))
            for key in step.reads:  # let go of what nobody reads any more
                readers[key] -= 1
                if not readers[key] and key not in goals:
                    values.pop(key, None)
        for name, key in ends.items():
            taps.at(name, values[key])
        return values[self.output] if scores is None else scores

    def _outputs(self, step: Step, given: tuple[Any, ...], taps: Taps, scores: Any) -> list[Any]:
        if step.name in taps.replace:
            outs = [keras.ops.convert_to_tensor(taps.replace[step.name], step.into[0].dtype)]
        elif scores is not None and self.head is not None and step.name == self.head.name and self.head.fused:
            outs = [self.head.finish(scores)]
        else:
            outs = step.outputs(given)
        return [taps.at(step.name, outs[0])] if len(outs) == 1 and step.name else outs

    def leading_to_scores(self) -> list[Step]:
        """The steps that lead to the scores, in order."""
        goals = {self.output, *(self.by_name[self.head.name].writes if self.head else ())}
        return self._needed(goals, ())

    def _needed(self, goals: Collection[Key], replace: Collection[str]) -> list[Step]:
        """The steps that lead to the goals; what only leads to a replaced output is left out."""
        wanted, chosen = set(goals), []
        for step in reversed(self.steps):
            if wanted.isdisjoint(step.writes):
                continue
            chosen.append(step)
            if step.name not in replace or (self.head is not None and step.name == self.head.name):
                wanted.update(step.reads)
        return chosen[::-1]

    def _unroll(self, graph: Any, path: str, scope: int) -> None:
        order = {id(operation): place for place, operation in enumerate(graph.operations)}
        for depth in sorted(graph._nodes_by_depth, reverse=True):
            for node in sorted(graph._nodes_by_depth[depth], key=lambda n: order[id(n.operation)]):
                if not node.is_input:
                    self._append(node, path, scope)

    def _append(self, node: Any, path: str, scope: int) -> None:
        operation, base = node.operation, path + node.operation.name
        self._counts[base] += 1
        name = base if self._counts[base] == 1 else f"{base}#{self._counts[base]}"
        self.names.append(name)
        into = tuple(node.outputs)
        writes = tuple((scope, id(t)) for t in into)
        inner = graph_of(operation)
        given = _fed_to(inner, node) if inner is not None else None
        reads = tuple((scope, id(t)) for t in (node.input_tensors if given is None else given))
        self.sources[name] = reads
        if inner is None or given is None:
            self.steps.append(Step(name, operation, node, reads, writes, into))
            return
        self._scopes += 1
        within = self._scopes
        begins = tuple((within, id(t)) for t in inner.inputs)
        self.steps.append(Step("", operation, None, reads, begins, tuple(inner.inputs)))
        self._unroll(inner, base + "/", within)
        ends = tuple((within, id(t)) for t in inner.outputs)
        self.steps.append(Step(name, operation, None, ends, writes, into))


def graph_of(operation: Any) -> Any | None:
    """The graph that a model runs; None where there is none, or where its own `call` decides."""
    if not isinstance(operation, keras.Model):
        return None
    owner = next(cls for cls in type(operation).__mro__ if "call" in vars(cls))
    if not owner.__module__.startswith("keras."):
        return None
    if isinstance(operation, keras.Sequential):
        return operation._functional
    return operation if isinstance(operation, keras.Function) else None


def _called(operation: Any, args: Any, kwargs: Any) -> Any:
    """The operation called at inference, also where it was told to train whenever it is called."""
    told = {"training": False} if "training" in getattr(operation, "_call_context_args", ()) else {}
    return operation(*args, **{**kwargs, **told})


def _fed_to(inner: Any, node: Any) -> list[Any] | None:
    """The symbolic tensors given to a nested model, by its inputs; None where they do not fit one to one."""
    given = node.arguments.args[0] if node.arguments.args else node.arguments.kwargs.get("inputs")
    if isinstance(given, dict) and not isinstance(inner.input, dict):
        given = [given.get(symbol.name) for symbol in inner.inputs]
    flat = keras.tree.flatten(given)
    fits = len(flat) == len(inner.inputs) and all(
        isinstance(f, keras.KerasTensor) and len(f.shape) == len(s.shape)
        for f, s in zip(flat, inner.inputs, strict=True)
    )
    return flat if fits else None


def cast(value: Any, symbol: Any) -> Any:
    """A tensor in the dtype that a model declares; whole numbers stay fractions, which have gradients."""
    return keras.ops.cast(value, symbol.dtype) if keras.backend.is_float_dtype(symbol.dtype) else value
