"""torch.nn.Module as a Model. The only transposes of PyTorch arrays are here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from ..arrays import Array
from ..errors import BadInput, Unmet
from ..layer import Layer
from ..model import Model, Pass
from ..preprocess import InputSpec, read_preprocess
from ._torch_calls import Call, Follower
from ._torch_layers import Survey, pick_output, survey
from ._torch_memory import free_on, peak_on
from ._torch_state import frozen_in_eval

Tap = Tensor | GradientEdge

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
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        if isinstance(module, torch.jit.ScriptModule):
            raise Unmet(
                "a TorchScript module shows nothing of its inside; open the nn.Module it was made from"
            )
        self.module = module
        self._follower = Follower(module)
        home = next(module.parameters(), torch.empty(0))
        self._device = home.device
        self._dtype = home.dtype if home.dtype.is_floating_point else torch.float32
        spec, self._survey = self._find_input(preprocess)
        self._axes, self._head = self._survey.axes, self._survey.head
        scores = self._scores_of(self._survey.output)
        single = scores.ndim == 2 and scores.shape[1] == 1
        super().__init__(
            module,
            name=name or type(module).__name__,
            framework="torch",
            input=spec,
            classes=classes,
            activation=self._survey.activation or ("sigmoid" if single else "softmax"),
            device=str(self._device),
            facts=facts,
        )
        self.outputs = _scores(scores).shape[1:]  # known from the survey: no pass needed

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Modules and functions in call order; a block stands before what it holds."""
        return self._survey.layers

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
        inner = {name for name in watch if name != "input"}
        x = self._tensor(np.moveaxis(fed, -1, 1))
        taps: dict[str, Tap] = {}
        activations: dict[str, Array] = {}
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
            with self._follower.following(visit, only) if only else nullcontext():
                output = self.module(x)
        missed = only - activations.keys() - replace.keys() - {self._head}
        if missed:
            raise Unmet(
                f"{self.name} did not call {sorted(missed)} for this picture: its path depends on its input"
            )
        result = self._scores_of(scores[-1] if scores else output)
        if differentiable and taps and not replace and not result.requires_grad:
            raise Unmet(
                f"{self.name} has no gradients: its forward detaches what it computes, or runs under no_grad"
            )
        return Pass(_scores(result), activations, _puller(result, taps, self))

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
        asked = preprocess if preprocess is not None else ("imagenet" if channels == 3 else "unit")
        wanted = [read_preprocess(asked, side, side, channels) for side in _SIZES]
        tried: dict[tuple[int, int], str] = {}
        for spec in wanted:
            if (spec.height, spec.width) in tried:
                continue
            grey = np.full((1, spec.height, spec.width, spec.channels), 0.5, np.float32)
            x = self._tensor(np.moveaxis(spec.encode(grey), -1, 1))
            try:
                with frozen_in_eval(self.module, self._device):
                    found = survey(self._follower, x)
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

    def _scores_of(self, output: Any) -> Tensor:
        scores = pick_output(output)
        if scores is None:
            kind = f"{type(output).__name__}" + (
                f" with {list(output)}" if isinstance(output, Mapping) else ""
            )
            raise Unmet(f"{type(self.module).__name__} returns a {kind}: no tensor of scores was found in it")
        if scores.ndim == 0:
            raise Unmet(
                f"{type(self.module).__name__} returns one number for a whole batch, not one a picture"
            )
        return scores if scores.ndim > 1 else scores[:, None]  # one number a picture is one class

    def _tensor(self, values: Array) -> Tensor:
        return torch.from_numpy(values).to(self._device, self._dtype)

    def _array(self, values: Tensor, name: str) -> Array:
        """A copy as NumPy, channels last."""
        axis = 1 if name == "input" else self._axes[name]
        return _numpy(values if axis < 0 else values.movedim(axis, -1))

    def _gradient(self, name: str, gradient: Tensor | None, count: int) -> Array:
        """A gradient as NumPy, zero where the target does not hang on the layer."""
        if gradient is not None:
            return self._array(gradient, name)
        shape = (self.input.height, self.input.width, self.input.channels)
        return np.zeros((count, *(shape if name == "input" else self.layer(name).shape)), np.float32)


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
                laid = values if name == "scores" else _from_channels_last(values, model._axes[name])
                pairs.append((out, model._tensor(np.ascontiguousarray(laid)).to(scores.dtype)))
        found: Sequence[Tensor | None] = [None] * len(names)
        if pairs:
            outputs, grads = zip(*pairs, strict=True)
            inputs: Any = [
                taps[name] for name in names
            ]  # torch takes both kinds mixed; its types do not say so
            found = torch.autograd.grad(outputs, inputs, grads, allow_unused=True)
        return {name: model._gradient(name, g, len(scores)) for name, g in zip(names, found, strict=True)}

    return pull


def _from_channels_last(values: Array, axis: int) -> Array:
    return np.ascontiguousarray(values if axis < 0 else np.moveaxis(values, -1, axis))


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
