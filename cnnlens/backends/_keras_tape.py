"""Record a Keras pass as a tape: the graph run call by call, on whichever engine Keras runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from ..arrays import Array
from ..errors import Unmet
from ..tape import Call, CallInfo, Tape, leading_to
from ._engines import array, differentiate, still, unchanged
from ._keras_layers import key_axes
from ._keras_parts import Part, parts_of
from ._keras_taps import Graph, Key, Step, cast


class Recording:
    """The calls of one pass so far, and the tensors that are still to be read."""

    def __init__(self, graph: Graph, native: Any, fed: Any, axis: int) -> None:
        self.graph, self.native = graph, native
        self._axes = key_axes(graph, axis)
        self._values: dict[Key, Any] = {graph.input: cast(fed, graph.symbol)}
        self._places: dict[Key, int] = {graph.input: 0}
        self.calls: list[Call] = [KerasFed(array(fed), axis)]
        self.layers: dict[str, int] = {}

    def run(self) -> Tape:
        """The tape up to the scores: what goes into a softmax or sigmoid that ends the network."""
        head = self.graph.head
        with unchanged(self.native):
            for step in self.graph.leading_to_scores():
                if head is None or step.name != head.name:
                    self._take(step)
                elif head.fused:
                    self._take(step, only_first=True)
                    return self._tape(len(self.calls) - 1)
                else:
                    return self._tape(self._places[step.reads[0]])
        return self._tape(self._places[self.graph.output])

    def _take(self, step: Step, only_first: bool = False) -> None:
        given = [self._values[key] for key in step.reads]
        places = [self._places.get(key) for key in step.reads]
        if not step.is_call:  # a nested model begins or ends: the same arrays under other names
            outs = step.outputs(tuple(given))
            self._places.update((w, p) for w, p in zip(step.writes, places, strict=True) if p is not None)
        elif all(place is None for place in places):
            outs = step.outputs(tuple(given))  # nothing of the picture: a constant
        else:
            axes = [_axis_of(self._axes, key, value) for key, value in zip(step.reads, given, strict=True)]
            made = _axis_of(self._axes, step.writes[0], step.into[0])
            outs = self._called(step, given, places, axes, made, only_first)
        self._values.update(zip(step.writes, map(still, outs), strict=True))
        if step.name and len(step.writes) == 1 and step.writes[0] in self._places and not only_first:
            self.layers[step.name] = self._places[step.writes[0]]

    def _called(
        self,
        step: Step,
        given: list[Any],
        places: list[int | None],
        axes: list[int],
        made: int,
        only_first: bool,
    ) -> list[Any]:
        for part in parts_of(step):
            outs = part.run(given)
            for slot, out in enumerate(outs):
                call = KerasCall(
                    part, step.operation, step.name, len(self.calls), given, places, axes, out, made, slot
                )
                self.calls.append(call)
            first = len(self.calls) - len(outs)
            given, places, axes = (
                [still(out) for out in outs],
                list(range(first, len(self.calls))),
                [made] * len(outs),
            )
            if only_first:
                break
        self._places.update(
            (key, place)
            for key, place, out in zip(step.writes, places, given, strict=True)
            if place is not None and keras.backend.is_float_dtype(keras.backend.standardize_dtype(out.dtype))
        )
        return given

    def _tape(self, last: int) -> Tape:
        """The calls that lead to the last, numbered anew."""
        needed = leading_to([last], lambda place: self.calls[place].info.inputs)
        places = {old: new for new, old in enumerate(needed)}
        if 0 not in places:
            raise Unmet("its scores do not hang on the picture")
        for old, new in places.items():
            call = self.calls[old]
            inputs = tuple(places[place] for place in call.info.inputs)
            call.info = CallInfo(new, *_rest(call.info, inputs))
        layers = {name: places[place] for name, place in self.layers.items() if place in places}
        return Tape([self.calls[old] for old in places], layers)


def _rest(info: CallInfo, inputs: tuple[int, ...]) -> tuple[Any, ...]:
    return info.name, info.kind, info.function, inputs, info.shape, info.hyper


def _axis_of(axes: Mapping[Key, int], key: Key, value: Any) -> int:
    axis = axes[key]
    return axis if 0 < axis < len(value.shape) - 1 else -1


class KerasFed(Call):
    """What was fed, as the first call of a tape."""

    def __init__(self, fed: Array, axis: int) -> None:
        self._fed = fed if axis < 0 else np.moveaxis(fed, axis, -1)
        if self._fed.ndim == 3:
            self._fed = self._fed[..., None]  # a model without an axis for channels
        self.info = CallInfo(0, "input", "input", "", (), self._fed.shape[1:])

    @property
    def output(self) -> Array:
        """The very numbers that the network was fed."""
        return self._fed

    @property
    def params(self) -> dict[str, Array]:
        """It has none."""
        return {}

    def run(self, inputs: Sequence[Array], params: Mapping[str, Array] | None = None) -> Array:
        """What was fed: it reads nothing."""
        return self._fed

    def pull(self, cotangent: Array, inputs: Any = None, params: Any = None) -> tuple[Array, ...]:
        """Nothing: it reads nothing."""
        return ()


class KerasCall(Call):
    """One call of a Keras pass, its arrays as NumPy on the outside and as the engine has them within."""

    def __init__(
        self,
        part: Part,
        owner: Any,
        name: str,
        index: int,
        given: Sequence[Any],
        places: Sequence[int | None],
        axes: Sequence[int],
        out: Any,
        axis: int,
        slot: int,
    ) -> None:
        self._part, self._owner, self._given, self._out = part, owner, tuple(given), still(out)
        self._live = [i for i, place in enumerate(places) if place is not None]
        # a model without an axis for channels is fed pictures that have one all the same
        self._bare = {i for i in self._live if places[i] == 0 and len(given[i].shape) == 3}
        self._axes, self._axis, self._slot = list(axes), axis, slot
        reads = tuple(place for place in places if place is not None)
        self.info = CallInfo(index, name, part.kind, part.function, reads, self.output.shape[1:], part.hyper)

    @property
    def output(self) -> Array:
        """What it handed on, (n, …)."""
        return _restored(array(self._out), self._axis)

    @property
    def params(self) -> Mapping[str, Array]:
        """Its weights, laid out as everywhere in cnnlens."""
        return self._part.arrays()

    def run(self, inputs: Sequence[Array], params: Mapping[str, Array] | None = None) -> Array:
        """What it makes of other inputs and other weights."""
        with unchanged(self._owner, self._placed(params or {})):
            given = [keras.ops.convert_to_tensor(leaf) for leaf in self._leaves(inputs)]
            return _restored(array(self._applied(given, params or {})), self._axis)

    def pull(
        self,
        cotangent: Array,
        inputs: Sequence[Array] | None = None,
        params: Mapping[str, Array] | None = None,
    ) -> tuple[Array, ...]:
        """The vector-Jacobian product; the call is run again for it."""
        leaves = self._leaves(inputs) if inputs is not None else [array(self._given[i]) for i in self._live]
        return self._again(leaves, params or {})[1](cotangent)

    def again(
        self, inputs: Sequence[Array], params: Mapping[str, Array] | None = None
    ) -> tuple[Array, Callable[[Array], tuple[Array, ...]]]:
        """One run that is both read and pulled on."""
        return self._again(self._leaves(inputs), params or {})

    def _again(
        self, leaves: Sequence[Array], params: Mapping[str, Array]
    ) -> tuple[Array, Callable[[Array], tuple[Array, ...]]]:
        with unchanged(self._owner, self._placed(params)):
            outs, pull = differentiate(lambda given: [self._applied(given, params)], leaves)

        def pulled(cotangent: Array) -> tuple[Array, ...]:
            found = pull([_laid(np.asarray(cotangent), self._axis)])
            zeros = (np.zeros(leaf.shape, np.float32) for leaf in leaves)
            shares = [
                _restored(zero if g is None else g, self._axes[i])
                for i, zero, g in zip(self._live, zeros, found, strict=True)
            ]
            return tuple(
                s[..., None] if i in self._bare else s for i, s in zip(self._live, shares, strict=True)
            )

        return _restored(array(outs[0]), self._axis), pulled

    def _leaves(self, inputs: Sequence[Array]) -> list[Array]:
        given = zip(self._live, map(np.asarray, inputs), strict=True)
        return [v[..., 0] if i in self._bare else _laid(v, self._axes[i]) for i, v in given]

    def _applied(self, leaves: Sequence[Any], params: Mapping[str, Array]) -> Any:
        given = list(self._given)
        for i, leaf in zip(self._live, leaves, strict=True):
            given[i] = keras.ops.cast(leaf, given[i].dtype)
        out = self._part.run(given)[self._slot]
        if "bias" in params and "bias" not in self._part.weights:  # as when a batch norm is folded into it
            shape = (-1,) if self._axis < 0 else (1, -1, *(1,) * (len(out.shape) - 2))
            out = out + keras.ops.reshape(keras.ops.convert_to_tensor(params["bias"], out.dtype), shape)
        return out

    def _placed(self, params: Mapping[str, Array]) -> list[tuple[Any, Any]]:
        """Variables and the values that they are to have."""
        weights = self._part.weights
        missing = params.keys() - weights.keys() - {"bias"}
        if missing:
            raise KeyError(f"{self.info.name} has no {', '.join(sorted(missing))}")
        laid = {name: self._part.laid_in(name, params[name]) for name in params if name in weights}
        return [(weights[name], np.ascontiguousarray(values)) for name, values in laid.items()]


def _laid(values: Array, axis: int) -> Array:
    return values if axis < 0 else np.ascontiguousarray(np.moveaxis(values, -1, axis))


def _restored(values: Array, axis: int) -> Array:
    return values if axis < 0 else np.moveaxis(values, axis, -1)
