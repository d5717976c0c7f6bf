"""keras.Model as a Model, on whichever engine Keras runs. Channels-first arrays are transposed only here."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from ..arrays import Array
from ..errors import BadInput, CnnlensError, Unmet
from ..layer import Layer
from ..model import Model
from ..outputs import PREFIX, Output
from ..passes import Pass, Replay
from ..preprocess import InputSpec
from ..tape import Tape
from ._engines import NAMES, Pull, array, device_of, differentiate, reason_of, unchanged
from ._keras_asked import Asked, Given
from ._keras_input import SIDE, channel_axis, input_shape, read_input
from ._keras_layers import (
    channel_axes,
    channels_last,
    described,
    direct,
    is_of_a_picture,
    precision_of,
    seeds_of,
    weights_of,
)
from ._keras_opaque import Opaque
from ._keras_passes import Passes
from ._keras_precision import why_not_lowered, within_of
from ._keras_tape import Recording
from ._keras_taps import Graph, Taps, graph_of


class KerasModel(Model):
    """Any Keras 3 model that takes one batch of pictures: functional, sequential, nested, or subclassed.

    Its layers are found by one pass over a grey picture. A subclassed model gives scores and input
    gradients; Keras has no graph of it, so nothing inside it can be read.
    """

    def __init__(
        self,
        native: Any,
        *,
        preprocess: object = None,
        classes: Sequence[str] | None = None,
        name: str | None = None,
        output: str | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        engine = keras.config.backend()
        if engine not in NAMES:
            raise Unmet(f"Keras runs on {engine}; cnnlens knows it on {', '.join(NAMES)}: set KERAS_BACKEND")
        self.native, self._asked, graph = native, output, graph_of(native)
        self.even_batches = engine == "jax"  # it compiles each operation anew for each shape
        shape = input_shape(native, graph)
        self._body: Graph | Opaque = Opaque(native, output) if graph is None else Graph(graph, output)
        axis = channel_axis(shape, self._body.operations)
        self._has_channels = len(shape) == 3
        self._axes: dict[str, int] = {"input": axis}
        spec = read_input(native.name, preprocess, shape, axis, self._body.operations)
        spec = _sized(spec, native.name, graph)
        self._layers, tree, scores = self._survey(spec)
        activation, told = _activation(self._body, self._scores(scores))
        super().__init__(
            name=name or native.name,
            framework=f"keras/{engine}",
            input=spec,
            classes=classes,
            activation=activation,
            device=device_of(native),
            cannot=self._body.cannot,
            native=native,
            facts={**told, **(facts or {})},
        )
        self.output_tree, self.precision = tree, precision_of(self._body.operations)
        self.ends = (self._body.last,) if self._body.last else ()
        self._passes = Passes(self._body, native, lambda why: self.facts.update(passes=why))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Layers and operations in call order; a nested model stands before what it holds."""
        return self._layers

    @property
    def parameters(self) -> int:
        """How many weights the model has, each once, whoever shares it."""
        return int(self.native.count_params())

    def weights(self, layer: str) -> dict[str, Array]:
        """A layer's own arrays: `kernel`, `bias`, `scale`, `mean`, `variance`; others by their names."""
        self.layer(layer)
        return weights_of(self._body.operation(layer))

    def forward(
        self, fed: Array, watch: Sequence[str], replace: Mapping[str, Array], differentiable: bool
    ) -> Pass:
        """One pass; with `differentiable`, the graph begins at the lowest of `watch`."""
        inner = tuple(name for name in watch if name != "input")
        asked = Asked(inner, tuple(replace), tuple(watch) if differentiable else ())
        given = Given(
            self._laid(fed, "input"),
            [self._laid(values, name) for name, values in replace.items()],
            [(len(fed), *self._laid_shape(name)) for name in asked.inner],
        )
        with within_of(self)():
            (scores, *outs), pull = self._passes.run(asked, given)
        activations = {name: self._restored(array(out), name) for name, out in zip(inner, outs, strict=True)}
        puller = self._puller(pull, inner, asked.leaves, len(fed), single=len(scores.shape) == 1)
        return Pass(self._scores(scores), activations, puller)

    @property
    def compiling(self) -> float:
        """Seconds that first runs of compiled passes have taken so far; later ones cost a pass."""
        return self._passes.compiling

    def record(self, fed: Array) -> Tape:
        """A tape of one pass, up to the scores."""
        if isinstance(self._body, Opaque):
            raise Unmet(self._body.cannot["activations"])
        x = keras.ops.convert_to_tensor(self._laid(fed, "input"))
        with within_of(self).in_full():
            return Recording(self._body, self.native, x, self._axes["input"]).run()

    def why_not_lowered(self) -> str | None:
        """As everywhere; where Keras runs on PyTorch, torch tries."""
        return why_not_lowered(self)

    def reading(self, spec: InputSpec) -> Model:
        """The same network under another preprocessing: looked over anew."""
        return type(self)(
            self.native,
            preprocess=spec,
            classes=self.classes,
            name=self.name,
            output=self._asked,
            facts=self.facts,
        )

    def replay(self, fed: Array, *, keep: Sequence[str] = (), at: str = "input") -> Replay:
        """One pass over `fed` to be run again: see `Model.replay`. On PyTorch only."""
        if keras.config.backend() != "torch" or isinstance(self._body, Opaque):
            return super().replay(fed, keep=keep, at=at)
        from ._keras_replay import replay_of
        from .replay.replayed import Border

        axis = 2 if self._axes["input"] == 1 and self._has_channels else 1
        border = Border(self._tensor, self._read, self._shape, within_of(self))
        laid = self._tensor(fed, "input")
        return replay_of(self._body, self.native, laid, border, keep, at, (axis, axis + 1))

    def _tensor(self, values: Array, name: str) -> Any:
        """On the engine, as the model has it."""
        if name == "scores":
            return keras.ops.convert_to_tensor(self._laid_scores(values, False))
        return keras.ops.convert_to_tensor(self._laid(values, name))

    def _read(self, values: Any, name: str) -> Array:
        """As NumPy, channels last."""
        return self._scores(values) if name == "scores" else self._restored(array(values), name)

    def _puller(
        self, pull: Pull, inner: Sequence[str], added: Sequence[str], count: int, *, single: bool
    ) -> Any:
        """The function that pulls cotangents back to what was added at each layer: nothing, so far."""

        def pulled(cotangents: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
            asked = [self._laid(cotangents[name], name) if name in cotangents else None for name in inner]
            scores = self._laid_scores(cotangents.get("scores"), single)
            found = dict(zip(added, pull([scores, *asked]), strict=True))
            return {name: self._gradient(name, found[name], count) for name in names}

        return pulled

    def _survey(self, spec: InputSpec) -> tuple[tuple[Layer, ...], tuple[Output, ...], Any]:
        """The layers, the outputs, and the scores of a grey picture; the head is found on the way."""
        taps = Taps((*self._body.names, *(PREFIX + path for path in self._body.outputs)))

        def function(_: Sequence[Any]) -> list[Any]:
            x = keras.ops.convert_to_tensor(self._laid(spec.encode(spec.grey()), "input"))
            scores = self._body.run(x, taps)
            self._body.find_head(x, taps.seen)
            return [scores]

        try:
            with unchanged(self.native):
                before = seeds_of(self.native)
                (scores,), _ = differentiate(function, ())
                self.draws = seeds_of(self.native) != before
        except CnnlensError:
            raise
        except Exception as error:  # each engine has errors of its own
            raise BadInput(
                f"{self.native.name} cannot run a picture of {spec.height} by {spec.width} "
                f"with {spec.channels} channel(s) ({reason_of(error)}); "
                "say what it reads: preprocess={'size': …, 'channels': …}"
            ) from error
        if isinstance(self._body, Opaque):
            layers = direct(self.native)
        else:
            self._axes.update(channel_axes(self._body, taps.seen, self._axes["input"]))
            layers = described(self._body, taps.seen, self._axes)
        return layers, self._described_outputs(taps.seen), scores

    def _described_outputs(self, seen: Mapping[str, Any]) -> tuple[Output, ...]:
        """What the model returns for one picture, by what a pass showed; those that have gradients."""
        found = []
        for path, maker in self._body.outputs.items():
            name, tensor = PREFIX + path, seen[PREFIX + path]
            if not is_of_a_picture(tensor):
                continue
            axis = self._axes[maker or "input"] if maker is not None or isinstance(self._body, Graph) else -1
            self._axes[name] = axis if len(tensor.shape) > 2 else -1
            shape = channels_last(tuple(tensor.shape[1:]), self._axes[name] - 1)
            found.append(Output(path, shape, path == self._body.score_path))
        return tuple(found)

    def _shape(self, name: str) -> tuple[int, ...]:
        if name == "input":
            return self.input.height, self.input.width, self.input.channels
        return self.layer(name).shape

    def _laid_shape(self, name: str) -> tuple[int, ...]:
        """The shape of one picture's values as the model has them."""
        *places, channels = self._shape(name)
        axis = self._axes[name]
        return (*places, channels) if axis < 0 else (*places[: axis - 1], channels, *places[axis - 1 :])

    def _laid(self, values: Array, name: str) -> Array:
        """Channels last → as the model has them."""
        if name == "input" and not self._has_channels:
            return values[..., 0]
        axis = self._axes[name]
        return values if axis < 0 else np.ascontiguousarray(np.moveaxis(values, -1, axis))

    def _restored(self, values: Array, name: str) -> Array:
        """As the model has them → channels last."""
        if name == "input" and not self._has_channels:
            return values[..., None]
        axis = self._axes[name]
        return values if axis < 0 else np.ascontiguousarray(np.moveaxis(values, axis, -1))

    def _scores(self, scores: Any) -> Array:
        """Scores as they are, (n, classes); an output with places, channels last."""
        values, maker = array(scores), self._body.last
        if values.ndim == 1:
            return values[:, None]  # one number a picture is one class
        return values if values.ndim < 3 or maker is None else self._restored(values, maker)

    def _laid_scores(self, values: Array | None, single: bool) -> Array | None:
        """As `_scores`, the other way round."""
        if values is None or values.ndim < 3 or self._body.last is None:
            return values[:, 0] if single and values is not None else values
        return self._laid(values, self._body.last)

    def _gradient(self, name: str, gradient: Array | None, count: int) -> Array:
        """A gradient, channels last; zero where the target does not hang on the layer."""
        if gradient is None:
            return np.zeros((count, *self._shape(name)), np.float32)
        return self._restored(gradient, name)


def _activation(body: Graph | Opaque, scores: Array) -> tuple[str | None, dict[str, str]]:
    """What makes probabilities of scores, and what to say where the model does so itself, out of reach."""
    if body.head is not None:
        return body.head.kind, {}
    if scores.shape[-1] == 1:
        return "sigmoid", {}
    if scores.min() < 0 or scores.max() > 1 or not np.allclose(scores.sum(-1), 1, atol=1e-3):
        return "softmax", {}
    where = "a subclassed model" if isinstance(body, Opaque) else "its last layer"
    return None, {"scores": f"scores are probabilities: the softmax inside {where} cannot be undone"}


def _sized(spec: InputSpec, name: str, graph: Any | None) -> InputSpec:
    """The specification with a size, where neither the model nor the user said one."""
    if (spec.height, spec.width) != (1, 1):
        return spec
    if graph is None:
        raise BadInput(f"{name} does not say what size it reads: give preprocess={{'size': …}}")
    return dataclasses.replace(spec, height=SIDE, width=SIDE)
