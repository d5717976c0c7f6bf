"""Model: the verbs that a backend must have, and the nouns they speak in.

Arrays are NumPy float32, channels last, batch first. A picture is (height, width, channels) in [0, 1];
scores are before softmax or sigmoid. A backend writes four things: `layers`, `weights`, `forward`, and the
facts it is constructed with. Everything else stands here once, for all frameworks.
"""

from __future__ import annotations

import dataclasses
import functools
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from . import batches
from .arrays import Array
from .budget import Budget
from .errors import BadInput, UnknownName, Unmet
from .layer import Layer
from .memory import free_memory, peak_of
from .outputs import Output, is_output
from .passes import Box, Fill, Pass, Replay, Trace
from .precision import computing_in, read_precision
from .preprocess import InputSpec
from .slopes import Slopes
from .tape import CallInfo, Share, Tape, altering
from .targets import Target, probabilities, read_target


class Model(ABC):
    """A trained network as cnnlens sees it: layers, weights, one pass; whatever the framework.

    `cannot` maps what this model cannot do (of `abilities`) to the reason.
    `activation` is what turns scores into probabilities: "softmax", "sigmoid" or None.
    """

    abilities = ("activations", "gradients", "weights", "replace", "classes", "tape")
    even_batches = False  #: whether a batch of another size costs more than its pictures: compiling, say
    precision = "float32"  #: the floating type that it computes in, as NumPy and frameworks call it
    #: The floating type of its weights, of a model that `computing_in` made; None where nobody asked for a precision.
    weights_in: str | None = None
    #: Whether random numbers were drawn when its layers were found; None where nobody looked.
    draws: bool | None = None

    def __init__(
        self,
        native: Any = None,
        *,
        name: str,
        framework: str,
        input: InputSpec,
        classes: Sequence[str] | None = None,
        activation: str | None = "softmax",
        device: str = "cpu",
        cannot: Mapping[str, str] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.native = native  #: the framework's own model, for plugins that wrap a library of its framework
        self.name, self.framework, self.input, self.device = name, framework, input, device
        self.classes = tuple(classes) if classes is not None else None
        self.activation = activation
        self.cannot: dict[str, str] = dict(cannot or {})
        self.facts: dict[str, Any] = dict(facts or {})
        self._budget = Budget(self)
        self.lock = threading.RLock()  # hooks and taps are shared state: one thread at a time runs a model

    # -- what a backend writes ------------------------------------------------------------------

    @property
    @abstractmethod
    def layers(self) -> tuple[Layer, ...]:
        """Every layer in call order; a repeated call is `name#2`."""

    @abstractmethod
    def weights(self, layer: str) -> dict[str, Array]:
        """The arrays of a layer: `kernel` (kh, kw, in, out) or (in, out), `bias`, `scale`, …"""

    @abstractmethod
    def forward(
        self, fed: Array, watch: Sequence[str], replace: Mapping[str, Array], differentiable: bool
    ) -> Pass:
        """One pass over `fed` (n, h, w, c), already preprocessed; the model is left as it was.

        `watch` may name outputs of `output_tree` too: their activations are what the model returned.
        """

    # -- what everybody gets --------------------------------------------------------------------

    @property
    def can(self) -> frozenset[str]:
        """What this model is able to do, of `Model.abilities`."""
        return frozenset(ability for ability in self.abilities if not self.why_no(ability))

    @property
    def compiling(self) -> float:
        """Seconds that compiling passes has taken so far; a backend that compiles overrides this."""
        return 0.0

    def why_no(self, ability: str) -> str | None:
        """Why this model lacks an ability, in words; None if it has it. A tape is tried, once."""
        if ability == "tape" and ability not in self.cannot:
            return self._no_tape
        return self.cannot.get(ability)

    @functools.cached_property
    def _no_tape(self) -> str | None:
        try:
            _ = self.calls
        except Unmet as error:
            return str(error)
        return None

    def unreached(self, name: str) -> str | None:
        """Why no gradient comes back from the scores to a layer, or to "input"; None where one does.

        A backend that can tell overrides this; it costs nothing where gradients come back to the picture.
        """
        return None

    def layer(self, name: str) -> Layer:
        """The layer of that name, or the output `output:path` as one; UnknownName offers the nearest."""
        if is_output(name):
            return self._output(name)
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise UnknownName("layer", name, (layer.name for layer in self.layers), f" in {self.name}")

    def _output(self, name: str) -> Layer:
        """An output in the form of a layer, to be read as one."""
        for output in self.output_tree:
            if output.name == name:
                return Layer(name, "other", "output", output.shape)
        raise UnknownName("output", name, (output.name for output in self.output_tree), f" of {self.name}")

    def trace(
        self,
        x: Array,
        *,
        watch: Sequence[str] = (),
        target: Target | int | None = None,
        replace: Mapping[str, Array] | None = None,
        replay: Replay | None = None,
    ) -> Trace:
        """Run pictures (n, h, w, c) in [0, 1] once and return what was asked for.

        `watch` names layers whose activations are wanted ("input" is the pictures themselves, "output:aux"
        what the model returns as `aux`); with a
        `target` their gradients come too, per pixel of [0, 1] for "input". `replace` puts activations
        (n, …) in the place of a layer's own and the rest of the network runs on from there. A `replay` runs
        in the model's stead; what it was recorded to start from are then the pictures, or the one replacement.
        """
        target = Target.of_class(target) if isinstance(target, int) else target
        replace = dict(replace or {})
        watch = tuple(dict.fromkeys(watch))
        x, inner = self._checked(x, watch, replace)
        read = target.layers if target else ()
        for name in read:
            self.layer(name)
        if target:
            self._require("gradients")
            for name in watch:
                if reason := self.unreached(name):
                    raise Unmet(f"{self.name} has no gradients at {name}: {reason}")
        if not all(map(is_output, read)):
            self._require("activations")
        with self.lock:
            names = tuple(dict.fromkeys((*(watch if target else inner), *read)))
            if replay is None:
                ran = self.forward(self.input.encode(x), names, replace, target is not None)
            else:
                started = next(iter(replace.values())) if replace else self.input.encode(x)
                ran = replay.forward(started, names, target is not None)
            gradients: dict[str, Array] = {}
            if target is not None and watch:
                pulled = ran.pull(target.cotangents(ran.scores, ran.activations), watch)
                gradients = {name: np.asarray(pulled[name], np.float32) for name in watch}
        if "input" in gradients:
            gradients["input"] = self.input.per_pixel(gradients["input"])
        activations = {name: x if name == "input" else ran.activations[name] for name in watch}
        return Trace(ran.scores, activations, gradients)

    def in_batches(
        self,
        values: Iterable[Array],
        *,
        watch: Sequence[str] = (),
        target: Target | None = None,
        at: str = "input",
        image: Array | None = None,
    ) -> Iterator[Trace]:
        """Traces of pictures (h, w, c), made as they are asked for, as many at once as memory allows.

        With a layer `at`, `values` are its activations instead, (…) each, in a pass over `image` (h, w, c), and
        only what lies behind the layer is run, where the backend can. The model must stay as it is until the
        last trace was taken. Who stops before that should close it: until then what passes free stays with the process.
        """
        if (at == "input") != (image is None):
            raise BadInput(
                "say both `at`, the layer, and `image`, the picture whose pass its values stand in"
            )
        return batches.in_batches(self, values, watch=watch, target=target, at=at, image=image)

    def target(self, asked: str | int | Target) -> Target:
        """What is asked by a text (`281`, `tabby`, `layer3[17]`, `a - b`, …) or a number; it opens no file."""
        return read_target(asked, self)

    def slopes(self, targets: Sequence[Target]) -> Slopes:
        """The targets' values and gradients by the pixels of pictures, one target a picture, to be asked for again
        and again: made ready once, and run no further than the targets read, where the backend can.

        The model must stay as it is for as long as they are asked.
        """
        return Slopes(self, targets)

    def sized(self, height: int, width: int) -> Model:
        """The same network reading pictures of another size; itself where it reads that. They share one lock.

        Raises BadInput or Unmet where it takes no picture of that size.
        """
        if (height, width) == (self.input.height, self.input.width):
            return self
        with self.lock:
            other = self.reading(dataclasses.replace(self.input, height=height, width=width))
            other.lock = self.lock
            other._budget = Budget(other, self._budget)
            return other if self.weights_in is None else other.computing_in(self.precision)

    def reading(self, spec: InputSpec) -> Model:
        """The same network under another preprocessing. A backend that can overrides this."""
        raise Unmet(f"the {self.framework} backend reads {self.name} at its own size alone")

    def replay(self, fed: Array, *, keep: Sequence[str] = (), at: str = "input") -> Replay:
        """Record one pass over `fed` (1, h, w, c), already preprocessed, to run it again over other values.

        Those stand at layer `at`; the layers to `keep` can be watched. Raises Unmet where nothing can be
        replayed. A backend that can overrides this; whoever uses a replay holds it to the model first.
        """
        raise Unmet(f"the {self.framework} backend replays no pass")

    def checked(self, x: Array) -> Array:
        """Pictures (n, h, w, c) as float32; BadInput for another size than the model reads."""
        return self._checked(x, (), {})[0]

    def _checked(
        self, x: Array, watch: Sequence[str], replace: Mapping[str, Array]
    ) -> tuple[Array, tuple[str, ...]]:
        x = np.asarray(x, np.float32)
        expected = (self.input.height, self.input.width, self.input.channels)
        if x.ndim != 4 or x.shape[1:] != expected:
            raise BadInput(
                f"{self.name} reads pictures (n, {', '.join(map(str, expected))}), got {x.shape}; "
                "open them with cnnlens.images.open_image and fit them with model.input.fit"
            )
        inner = tuple(name for name in watch if name != "input")
        if not all(map(is_output, inner)):
            self._require("activations")
        if replace:
            self._require("replace")
        if any(map(is_output, replace)):
            raise BadInput("an output is read, not replaced: name a layer")
        for name in (*inner, *replace):
            if not self.layer(name).shape:
                raise Unmet(f"layer {name!r} of {self.name} does not hand on one array that could be read")
        for name, values in replace.items():
            if values.shape[1:] != self.layer(name).shape:
                raise BadInput(f"layer {name!r} hands on (n, {self.layer(name).shape}), got {values.shape}")
            if len(values) != len(x):
                x = np.repeat(x, len(values), 0) if len(x) == 1 else x
            if len(values) != len(x):
                raise BadInput(f"{len(values)} replacements for {name!r} and {len(x)} pictures")
        return x, inner

    def _require(self, ability: str) -> None:
        reason = self.why_no(ability)
        if reason:
            raise Unmet(f"{self.name} has no {ability}: {reason}")

    def computing_in(self, precision: str) -> Model:
        """This model with its passes in `fp32`, `bf16` or `fp16`, or the long names; itself where they are already.

        The weights, the tape and all that is read off the network stay as they are. Raises UsageError for what
        is no precision, Unmet where passes cannot be run in it.
        """
        return computing_in(self, read_precision(precision))

    @property
    def is_lowered(self) -> bool:
        """Whether its passes are in another precision than its weights, because somebody asked for it."""
        return self.weights_in not in (None, self.precision)

    @property
    def in_full(self) -> Model:
        """The model computing in what its weights are; itself where it does."""
        return self if self.weights_in is None else computing_in(self, self.weights_in)

    def why_not_lowered(self) -> str | None:
        """Why passes cannot run in `precision` where the weights have another; None where they can."""
        return f"the {self.framework} backend computes in what the weights are: leave the precision out"

    def tape(self, x: Array) -> Tape:
        """One pass over pictures (n, h, w, c) in [0, 1] as a list of calls, each with its own derivative.

        It ends at the scores, and is in full precision whatever was asked for. Raises Unmet where the network does
        what no tape can hold.
        """
        x, _ = self._checked(x, (), {})
        if reason := self.cannot.get("tape"):
            raise Unmet(f"{self.name} has no tape: {reason}")
        with self.lock:
            return self.record(self.input.encode(x))

    def record(self, fed: Array) -> Tape:
        """A tape of one pass over `fed`, already preprocessed. A backend that can overrides this."""
        raise Unmet(f"the {self.framework} backend records no tape")

    def pull_altered(
        self, x: Array, target: Target, functions: Collection[str], share: Share
    ) -> tuple[Array, Array]:
        """The scores (n, classes) of pictures, and the target's gradient by what is fed, (n, h, w, c), altered.

        Activations named in `functions` (as on the tape, without underscores) hand back `share(arrived, pulled)`:
        arrived at their output, pulled by their own derivative. Here the tape is walked, which a backend that has
        a shorter way to the same numbers overrides. Raises Unmet where there is no tape.
        """
        tape = self.tape(x)
        return tape.scores, tape.walk(tape.starts(target), altering(functions, share))

    def run_grey(self, count: int, back: bool) -> None:
        """A pass over grey pictures, `back` to the input if asked, to see whether it can and what it takes."""
        with self.lock:
            ran = self.forward(
                self.input.encode(self.input.grey(count)), ("input",) if back else (), {}, back
            )
            if back:
                ran.pull({"scores": np.ones_like(ran.scores)}, ("input",))

    @functools.cached_property
    def calls(self) -> tuple[CallInfo, ...]:
        """The calls of a pass over a grey picture: what they are and what they read, without numbers.

        The tape is held to the network's own scores here, once.
        """
        grey = self.input.grey()
        tape, scores = self.tape(grey), self.in_full.trace(grey).scores
        largest = float(np.abs(scores[np.isfinite(scores)]).max(initial=0))
        if not np.allclose(tape.scores, scores, rtol=1e-3, atol=1e-4 * largest, equal_nan=True):
            raise Unmet(
                "played back call by call it gives other scores: it writes into arrays it still reads"
            )
        return tuple(call.info for call in tape.calls)

    @property
    def memory(self) -> int:
        """Bytes that passes may take; by default half of what was free when it was first asked."""
        return self._budget.bytes

    @memory.setter
    def memory(self, asked: str | int) -> None:
        self._budget.bytes = asked

    @property
    def parameters(self) -> int:
        """How many weights it has; those that several layers share count once, where the backend knows."""
        return sum(layer.parameters for layer in self.layers if layer.kind != "block")

    @property
    def batch(self) -> int:
        """Pictures per forward pass of batched work, as `batch_for`."""
        return self.batch_for()

    def batch_for(self, *, gradients: bool = False, most: int | None = None, at: str = "input") -> int:
        """How many pictures at once, 1 to `most`, stay within `memory`; Unmet where one does not.

        Unless `most` is said it is what runs fastest: 8 on a processor, and up to 32 of passes that begin at a
        layer `at` of smaller maps; elsewhere what a short probe finds.
        Passes over grey pictures are run for it, once, and where shapes do not settle what a pass takes.
        """
        return self._budget.batch(gradients, most, at)

    @property
    def has_room_to_record(self) -> bool:
        """Whether all that a pass computes, kept beside a pass that runs, stays within `memory`."""
        return self._budget.keeps_a_pass

    def has_room_to_keep(self, pictures: int, *, gradients: bool = False) -> bool:
        """Whether what passes over so many pictures free may stay with the process, for the next ones."""
        return self._budget.leaves_room(pictures, gradients)

    def free_memory(self) -> int:
        """Bytes that are free where the model runs. A backend on a device of its own overrides this."""
        return free_memory()

    def peak_of(self, run: Callable[[], object]) -> int | None:
        """Bytes that `run` takes at its height where the model runs; None where nobody tells."""
        return peak_of(run) if self.device == "cpu" else None

    def hide(
        self, image: Array, boxes: Sequence[Box], fill: Fill, tick: Callable[[int], None] | None = None
    ) -> Array:
        """Scores (n, classes) of the picture (h, w, c) with each box (y0, x0, y1, x1) hidden in turn.

        `fill` is what hides: a number, one per channel, or a whole picture, in [0, 1]. `tick(done)` is
        called after each batch. Cost: one forward pass a box, or what of it a box can change.
        """
        if not boxes:
            raise BadInput("no box to hide")
        return batches.hide(self, np.asarray(image, np.float32), boxes, fill, tick or (lambda done: None))

    def probabilities(self, scores: Array) -> Array:
        """Scores (…, classes) → what the model's own last activation makes of them."""
        return np.asarray(probabilities(scores, self.activation), np.float32)

    @functools.cached_property
    def outputs(self) -> tuple[int, ...]:
        """The shape of the scores of one picture: (classes,), or (h, w, classes) for one at each place."""
        grey = self.input.grey()
        return self.trace(grey).scores.shape[1:]

    #: All that the model returns, array by array; one is taken as the scores. Empty where a backend tells none.
    output_tree: tuple[Output, ...] = ()
    #: The layers that hand the scores on; empty where that is not known.
    ends: tuple[str, ...] = ()

    @functools.cached_property
    def leading(self) -> frozenset[str]:
        """The layers that the scores hang on, as far as the graph is known; an auxiliary head's are none."""
        known = {layer.name: layer.inputs for layer in self.layers}
        found: set[str] = set()
        left = [name for name in self.ends if name in known]
        while left:
            name = left.pop()
            if name not in found:
                found.add(name)
                left += [before for before in known[name] if before in known]
        return frozenset(found or known)

    def class_name(self, index: int) -> str:
        """The class's name, or its number where there are no names."""
        return self.classes[index] if self.classes else str(index)

    def __repr__(self) -> str:
        size = f"{self.input.height}×{self.input.width}×{self.input.channels}"
        return f"<{self.framework} model {self.name!r}: input {size}, {len(self.layers)} layers>"
