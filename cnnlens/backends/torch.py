"""torch.nn.Module as a Model. The only transposes of PyTorch arrays are here."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from ..arrays import Array
from ..errors import BadInput, Unmet
from ..layer import Layer
from ..model import Model
from ..outputs import is_output
from ..passes import Pass
from ..preprocess import InputSpec, read_preprocess
from ..tape import Share, Tape
from ..targets import Target
from ._torch_altered import altered
from ._torch_calls import Call, Follower
from ._torch_detections import DETECTED, is_detections, prepares_itself, reached
from ._torch_layers import Survey, survey
from ._torch_memory import free_on, peak_on
from ._torch_outputs import Outputs, shares
from ._torch_precision import Within, why_not_lowered
from ._torch_reach import QUANTISED, random_states
from ._torch_recorder import Recorder, recording
from ._torch_state import frozen_in_eval
from ._torch_tape import tape_of
from ._torch_views import Views
from .replay import cannot_replay
from .replay.program import program_of
from .replay.replayed import Border, Replayed

Tap = Tensor | GradientEdge

TRAINED = "handed over in train mode, run in eval mode"
#: Sides tried, in this order, where nobody says what size the model reads.
_SIZES = (224, 32, 28, 64, 96, 128, 256, 299, 384, 512, 48, 227, 331)


class TorchModel(Model):
    """Any `torch.nn.Module` that takes one batch of pictures (n, c, h, w).

    It stays where it is (device, dtype) and as it is. Its layers are found by one pass over a grey picture.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        preprocess: object = None,
        classes: Sequence[str] | None = None,
        name: str | None = None,
        output: str | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        if isinstance(module, torch.jit.ScriptModule):
            raise Unmet(
                "a TorchScript module shows nothing of its inside; open the nn.Module it was made from"
            )
        self.module, self._asked = module, output
        self._follower = Follower(module)
        self._outputs = Outputs(module, output, classes)
        home = next(module.parameters(), torch.empty(0))
        self._device = home.device
        self._dtype = home.dtype if home.dtype.is_floating_point else torch.float32
        trained = module.training
        spec, self._survey = self._find_input(preprocess)
        self._axes, self._head = self._survey.axes, self._survey.head
        returned, self._survey.output = self._survey.output, None  # its graph is let go of
        scores, tree = self._outputs.scores(returned), self._outputs.described(returned)
        self._axes |= {one.name: 1 if len(one.shape) > 1 else -1 for one in tree}
        activation = self._survey.activation or ("sigmoid" if scores.shape[1] == 1 else "softmax")
        self._detects = detected = is_detections(returned)
        told = DETECTED if detected else shares(scores, self._survey.activation)
        super().__init__(
            module,
            name=name or type(module).__name__,
            framework="torch",
            input=spec,
            classes=classes,
            activation=None if told else activation,
            device=str(self._device),
            facts={**told, **({"mode": TRAINED} if trained else {}), **(facts or {})},
        )
        self.precision = str(self._dtype).removeprefix("torch.")
        self._unreached: dict[str, str | None] = {"input": self._survey.dead}
        # known from the survey: no pass needed
        self.outputs, self.output_tree, self.ends = _scores(scores).shape[1:], tree, self._survey.ends

    @functools.cached_property
    def leading(self) -> frozenset[str]:
        """The layers that the scores hang on; of a detector those that a gradient comes back to."""
        return reached(self, super().leading) if self._detects else super().leading

    def why_no(self, ability: str) -> str | None:
        """As everywhere; gradients are missing where they reach neither the picture nor its last maps."""
        dead = self._unreached["input"]
        if dead == QUANTISED and ability == "tape":
            return dead
        if dead and ability == "gradients" and ability not in self.cannot:
            maps = [layer.name for layer in self.layers if len(layer.shape) > 1]
            if not maps or self.unreached(maps[-1]):
                self.cannot[ability] = dead
        return super().why_no(ability)

    def unreached(self, name: str) -> str | None:
        """Why no gradient comes back there; a pass over a grey picture where none comes back to the picture."""
        if self._unreached["input"] is None or is_output(name):
            return None
        if name not in self._unreached:
            grey = self.input.grey()
            try:
                with self.lock:
                    ran = self.forward(self.input.encode(grey), (name,), {}, True)
                    ran.pull({"scores": np.ones_like(ran.scores)}, (name,))
                self._unreached[name] = None
            except Exception as error:  # torch's own, or the user's code
                known = isinstance(error, Unmet) or self._survey.dead == QUANTISED
                self._unreached[name] = self._survey.dead if known else str(error)
        return self._unreached[name]

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Modules and functions in call order; a block stands before what it holds."""
        return self._survey.layers

    def layer(self, name: str) -> Layer:
        """As everywhere, without going through them all."""
        return self._survey.named.get(name) or super().layer(name)

    @property
    def parameters(self) -> int:
        """How many weights the module has, each once, whoever shares it."""
        return sum(one.numel() for one in self.module.parameters())

    def weights(self, layer: str) -> dict[str, Array]:
        """The arrays of a module's own: `kernel`, `bias`, `scale`, `mean`, `variance`, or its own names."""
        self.layer(layer)
        module = self._follower.modules.get(layer.partition("#")[0])
        if module is None:
            return {}
        own = {**dict(module.named_parameters(recurse=False)), **dict(module.named_buffers(recurse=False))}
        if isinstance(module, (nn.modules.conv._ConvNd, nn.Linear)):
            own.pop("weight", None)
            bias = {"bias": module.bias} if module.bias is not None else {}
            with frozen_in_eval(self.module, self._device):  # a parametrised weight is computed when read
                kernel = _kernel(module).detach()
            return {name: _numpy(t) for name, t in {"kernel": kernel, **bias}.items()}
        names = {"running_mean": "mean", "running_var": "variance", "weight": "scale"}
        return {names.get(n, n): _numpy(t) for n, t in own.items() if t.is_floating_point()}

    def forward(
        self, fed: Array, watch: Sequence[str], replace: Mapping[str, Array], differentiable: bool
    ) -> Pass:
        """One pass; with `differentiable`, the graph begins at the lowest of `watch`."""
        ends = [name for name in watch if is_output(name)]
        inner = {name for name in watch if name != "input"}.difference(ends)
        x = self._tensor(_from_channels_last(fed, 1))
        taps: dict[str, Tap] = {}
        activations: dict[str, Array] = {}
        views = Views()
        scores: list[Tensor] = []

        def visit(call: Call) -> Tensor | None:
            if call.name == self._head:
                scores.append(call.inputs[0].clone())
            if call.name not in inner and call.name not in replace:
                return None
            out = call.output
            if call.name in replace:
                out = self._tensor(_from_channels_last(replace[call.name], self._axes[call.name])).to(
                    out.dtype
                )
            if call.name in inner:
                copied, is_written = differentiable or call.name in replace, call.name in self._survey.written
                if copied or not views.keep(call.name, out, is_written):
                    activations[call.name] = self._array(out, call.name)
                if differentiable:
                    if out.requires_grad and call.handed_on == "same":
                        out = out.view_as(out)  # others read this array too: the tap is on this way alone
                    taps[call.name] = tap = _tap(out)
                    out = tap.clone() if isinstance(tap, Tensor) else out
            return None if out is call.output else out

        only = {*inner, *replace, *([self._head] if self._head else [])}
        with frozen_in_eval(self.module, self._device), torch.set_grad_enabled(differentiable):
            if "input" in watch and differentiable:
                taps["input"] = x = x.requires_grad_()
                x = x.clone()
            with Within.of(self)(), self._follower.following(visit, only) if only else nullcontext():
                output = self.module(x)
        if late := views.written():  # they were not on the pass that told which ones are
            self._survey.written |= late
            return self.forward(fed, watch, replace, differentiable)
        activations |= views.arrays(self._array, self._view)
        missed = only - activations.keys() - replace.keys() - {self._head}
        if missed:
            raise Unmet(
                f"{self.name} did not call {sorted(missed)} for this picture: its path depends on its input"
            )
        result = self._outputs.rows(scores[-1]) if scores else self._outputs.scores(output)
        ended = self._outputs.watched(output, ends, len(fed))
        activations |= {name: self._array(end, name) for name, end in ended.items()}
        live = any(end.requires_grad for end in (result, *ended.values()))
        if differentiable and taps and not replace and not live:
            where = f"does not lead from {', '.join(sorted(inner))} to them, " if inner else ""
            raise Unmet(
                f"{self.name} has no gradients: its forward {where}detaches what it computes, or runs under no_grad"
            )
        return Pass(_scores(result), activations, _puller(result, {**taps, **ended}, self))

    def record(self, fed: Array) -> Tape:
        """A tape of one pass, up to the scores."""
        with Within.of(self).in_full():
            recorder, end = self._recorded(fed)
        if recorder.place_of(end) is None and self._survey.dead:
            raise Unmet(self._survey.dead)
        return tape_of(recorder, end, {layer.name for layer in self.layers})

    def why_not_lowered(self) -> str | None:
        """As everywhere: torch tries."""
        return why_not_lowered(self)

    def pull_altered(
        self, x: Array, target: Target, functions: Collection[str], share: Share
    ) -> tuple[Array, Array]:
        """As everywhere; in one pass forwards and backwards where torch's graph holds all that is to be altered."""
        self._require("tape")
        found = None
        if not target.layers:
            x, _ = self._checked(x, (), {})
            fed = self._tensor(_from_channels_last(self.input.encode(x), 1))
            with self.lock, Within.of(self).in_full(), frozen_in_eval(self.module, self._device):
                found = altered(
                    self._ended, fed, lambda ran: target.cotangents(ran, {})["scores"], functions, share
                )
        return super().pull_altered(x, target, functions, share) if found is None else found

    def _ended(self, x: Tensor) -> Tensor:
        """The scores of a pass that is followed no further than to what makes probabilities of them."""
        ends: list[Tensor] = []
        visit = lambda call: ends.append(call.inputs[0].clone())  # noqa: E731 (a softmax may write in place)
        with self._follower.following(visit, {self._head}) if self._head else nullcontext():
            output = self.module(x)
        return self._outputs.rows(ends[-1]) if ends else self._outputs.scores(output)

    def reading(self, spec: InputSpec) -> Model:
        """The same network under another preprocessing: looked over anew."""
        return type(self)(
            self.module,
            preprocess=spec,
            classes=self.classes,
            name=self.name,
            output=self._asked,
            facts=self.facts,
        )

    def replay(self, fed: Array, *, keep: Sequence[str] = (), at: str = "input") -> Replayed:
        """One pass over `fed` to be run again: see `Model.replay`."""
        if reason := cannot_replay(self.module):
            raise Unmet(reason)
        within = Within.of(self)
        with within():  # two pictures: a number that is theirs is no other's by chance
            recorder, end = self._recorded(np.repeat(fed, 2, 0))
        layers = {name: place for place, record in enumerate(recorder.records) for name in record.layers}
        kept = [*keep, at] if at != "input" else keep
        program = program_of(recorder, end, layers, kept, recorder.handed_through)
        del recorder, end  # with all values of the pass
        border = Border(self._laid, self._read, self._shape, within)
        return Replayed(program.folded(), self._laid(fed, "input"), border, at, (2, 3))

    def _recorded(self, fed: Array) -> tuple[Recorder, Tensor]:
        """A pass over `fed`, function by function, and its scores."""
        x = self._tensor(_from_channels_last(fed, 1))
        with frozen_in_eval(self.module, self._device), recording(self._follower, x) as (recorder, visited):
            end = self._outputs.scores(self.module(recorder.fed))
            end = self._outputs.rows(visited[self._head].inputs[0]) if self._head else end
            recorder.place_of(end)  # what no function of torch made is taken in while the pass is on
        return recorder, end

    def _laid(self, values: Array, name: str) -> Tensor:
        """As torch has it, in whatever order it lies in memory: channels last, mostly."""
        axis = (
            (1 if values.ndim > 2 else -1) if name == "scores" else 1 if name == "input" else self._axes[name]
        )
        return self._tensor(values if axis < 0 else np.moveaxis(values, -1, axis))

    def _read(self, values: Tensor, name: str) -> Array:
        """As NumPy, channels last."""
        return _scores(values) if name == "scores" else self._array(values, name)

    def _shape(self, name: str) -> tuple[int, ...]:
        """Of one picture's array, channels last."""
        if name == "input":
            return self.input.height, self.input.width, self.input.channels
        return self.layer(name).shape

    def free_memory(self) -> int:
        """Bytes that are free on the module's device."""
        free = free_on(self._device)
        return super().free_memory() if free is None else free

    def peak_of(self, run: Callable[[], object]) -> int | None:
        """Bytes that `run` takes on the module's device at its height."""
        peak = peak_on(self._device, run)
        return super().peak_of(run) if peak is None else peak

    def _find_input(self, preprocess: object) -> tuple[InputSpec, Survey]:
        """The preprocessing that was asked for, with a size that the module accepts; and its layers."""
        channels = self._input_channels()
        plain = channels != 3 or prepares_itself(self.module)
        asked = preprocess if preprocess is not None else ("unit" if plain else "imagenet")
        wanted = [read_preprocess(asked, side, side, channels) for side in _SIZES]
        tried: dict[tuple[int, int], str] = {}
        for spec in wanted:
            if (spec.height, spec.width) in tried:
                continue
            x = self._tensor(_from_channels_last(spec.encode(spec.grey()), 1))
            try:
                with frozen_in_eval(self.module, self._device):
                    before = random_states(self._device)
                    found = survey(self._follower, x, self._outputs.raw)
                    self.draws = random_states(self._device) != before
            except Exception as error:  # the user's own code may raise anything
                tried[spec.height, spec.width] = str(error).partition("\n")[0] or type(error).__name__
                continue
            source = spec.source if preprocess is not None else f"assumed {asked}"
            return dataclasses.replace(spec, source=source), found
        sides = ", ".join(f"{h}×{w}" for h, w in tried)
        reason = next(iter(tried.values()))
        raise BadInput(
            f"{type(self.module).__name__} accepts no picture of {sides} "
            f"with {wanted[0].channels} channel(s) ({reason}); "
            "say what it reads: preprocess={'size': …, 'channels': …}"
        )

    def _input_channels(self) -> int:
        for module in self.module.modules():
            if isinstance(module, nn.Conv2d):
                return module.in_channels or 3  # a lazy one does not know yet
        return 3

    def _tensor(self, values: Array) -> Tensor:
        return torch.from_numpy(values).to(self._device, self._dtype)

    def _array(self, values: Tensor, name: str) -> Array:
        """A copy as NumPy, channels last."""
        axis = 1 if name == "input" else self._axes[name]
        return _numpy(values if axis < 0 else values.movedim(axis, -1))

    def _view(self, values: Tensor, name: str) -> Array:
        """The memory itself as NumPy, channels last."""
        order, axis = list(range(values.ndim)), self._axes[name]
        return values.numpy().transpose(order if axis < 0 else [n for n in order if n != axis] + [axis])

    def _gradient(self, name: str, gradient: Tensor | None, count: int) -> Array:
        """A gradient as NumPy, zero where the target does not hang on the layer."""
        if gradient is not None:
            return self._array(gradient, name)
        return np.zeros((count, *self._shape(name)), np.float32)


def _tap(out: Tensor) -> Tap:
    """What the gradient at `out` is asked from.

    Where a graph leads here, its edge: it stays this very value's, whatever is done to `out` in place
    later. Where none does, a new leaf, and the graph begins here: nothing below is walked back.
    """
    return get_gradient_edge(out) if out.requires_grad else out.detach().clone().requires_grad_()


def _puller(scores: Tensor, taps: Mapping[str, Tap], model: TorchModel) -> Any:
    """The function that pulls cotangents back to the taps; it never touches `.grad`."""

    def pull(cotangents: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
        pairs = []
        for name, values in cotangents.items():
            out = scores if name == "scores" else taps[name]
            if not isinstance(out, Tensor) or out.requires_grad:
                axis = model._axes[name] if name != "scores" else 1 if values.ndim > 2 else -1
                laid = _from_channels_last(values, axis)
                pairs.append((out, model._tensor(laid).to(scores.dtype)))
        found: dict[str, Tensor | None] = {}
        if pairs:
            outputs, grads = zip(*pairs, strict=True)
            # an output that hangs on nothing has no gradient; torch takes both kinds of tap mixed
            inputs: Any = {n: taps[n] for n in names if getattr(taps[n], "requires_grad", True)}
            pulled = torch.autograd.grad(outputs, tuple(inputs.values()), grads, allow_unused=True)
            found = dict(zip(inputs, pulled, strict=True))
        return {name: model._gradient(name, found.get(name), len(scores)) for name in names}

    return pull


def _from_channels_last(values: Array, axis: int) -> Array:
    """A copy, since a network may write into what it is handed, and in one piece, since one may flatten by `view`."""
    return np.array(values if axis < 0 else np.moveaxis(values, -1, axis), order="C")


def _scores(values: Tensor) -> Array:
    """Scores as they are, (n, classes); an output with places, channels last."""
    return _numpy(values if values.ndim < 3 else values.movedim(1, -1))


def _numpy(values: Tensor) -> Array:
    still = values.detach().to("cpu", torch.float32)
    return still.clone(memory_format=torch.contiguous_format).numpy()


def _kernel(module: nn.Module) -> Tensor:
    """A kernel as (kh, kw, in, out) or (in, out); in is the input channels of one group."""
    weight = module.weight
    assert isinstance(weight, Tensor)
    if isinstance(module, nn.modules.conv._ConvTransposeNd):
        return weight.movedim((0, 1), (-2, -1))
    return weight.movedim((1, 0), (-2, -1))
