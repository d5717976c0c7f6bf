"""What was recorded of a PyTorch pass, as a tape: torch's arrays within, NumPy's on the outside."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..arrays import Array
from ..errors import Unmet
from ..tape import Call, CallInfo, Tape, leading_to
from ._torch_arguments import tensors_of
from ._torch_kinds import described, laid_in, laid_out, weights_of, with_weights
from ._torch_recorder import Record, Recorder, run_function


def tape_of(recorder: Recorder, end: Tensor, known: Collection[str]) -> Tape:
    """The tape from the picture to `end`, with the layers that are `known`; what does not lead there is left out."""
    last = recorder.place_of(end)
    if last is None:
        raise Unmet("its scores were made outside of torch's functions: no tape can be kept")
    needed = leading_to([last], lambda place: recorder.records[place].reads.values())
    places = {old: new for new, old in enumerate(needed)}
    calls = [TorchCall(recorder.records[old], places, new) for old, new in places.items()]
    layers = {
        name: places[old]
        for old, record in enumerate(recorder.records)
        if old in places
        for name in record.layers
        if name in known
    }
    return Tape(calls, layers)


class TorchCall(Call):
    """One recorded function, its arrays as NumPy on the outside and as torch has them within."""

    def __init__(self, record: Record, places: Mapping[int, int], index: int) -> None:
        self._record = record
        self._axes = record.axes
        # a value read twice, as in x * x, is two inputs
        reads = tuple(places[place] for place in record.reads.values())
        kind, function, hyper = described(record.name, *self._record.called, reads=len(reads))
        if record.steered:
            hyper = {**hyper, "steered": True}
        shape = list(record.out.shape)
        if record.axis >= 0:
            shape.append(shape.pop(record.axis))
        name = record.layers[0] if record.layers else ".".join(filter(None, (record.owner, record.name)))
        self.info = CallInfo(index, name, kind, function, reads, tuple(shape[1:]), hyper)

    @cached_property
    def output(self) -> Array:
        """What it handed on, (n, …)."""
        return as_numpy(self._record.out, self._record.axis)

    @cached_property
    def params(self) -> dict[str, Array]:
        """Its weights, laid out as everywhere in cnnlens."""
        kind, function = self.info.kind, self.info.function
        return {name: as_numpy(laid_out(name, t, kind, function), -1) for name, t in self._weights.items()}

    def run(self, inputs: Sequence[Array], params: Mapping[str, Array] | None = None) -> Array:
        """What it makes of other inputs and other weights."""
        with torch.no_grad():
            return as_numpy(self._run(self._given(inputs), params or {}), self._record.axis)

    def pull(
        self,
        cotangent: Array,
        inputs: Sequence[Array] | None = None,
        params: Mapping[str, Array] | None = None,
    ) -> tuple[Array, ...]:
        """The vector-Jacobian product; with neither inputs nor params nothing is run again."""
        given, out = self._record.given, self._record.out
        if inputs is not None or params:
            given = self._given(inputs) if inputs is not None else [t.detach() for t in given]
            with torch.enable_grad():
                out = self._run([t.requires_grad_() for t in given], params or {})
        return self._pulled(cotangent, given, out)

    def again(
        self, inputs: Sequence[Array], params: Mapping[str, Array] | None = None
    ) -> tuple[Array, Callable[[Array], tuple[Array, ...]]]:
        """One run that is both read and pulled on."""
        given = self._given(inputs)
        with torch.enable_grad():
            out = self._run([t.requires_grad_() for t in given], params or {})
        return as_numpy(out, self._record.axis), lambda cotangent: self._pulled(cotangent, given, out)

    def _pulled(self, cotangent: Array, given: Sequence[Tensor], out: Tensor) -> tuple[Array, ...]:
        back = as_tensor(cotangent, self._record.axis, out)
        asked: list[Tensor | None] = [None] * len(given)
        if out.requires_grad:
            wanted = [t for t in given if t.requires_grad]
            found = iter(torch.autograd.grad(out, wanted, back, retain_graph=True, allow_unused=True))
            asked = [next(found) if t.requires_grad else None for t in given]
        return tuple(
            as_numpy(torch.zeros_like(t) if g is None else g, axis)
            for t, g, axis in zip(given, asked, self._axes, strict=True)
        )

    @cached_property
    def _weights(self) -> dict[str, Tensor]:
        return weights_of(self._record.name, *self._record.called, {id(t) for t in self._record.given})

    def _given(self, inputs: Sequence[Array]) -> list[Tensor]:
        return [
            as_tensor(values, axis, like)
            for values, axis, like in zip(inputs, self._axes, self._record.given, strict=True)
        ]

    def _run(self, given: Sequence[Tensor], params: Mapping[str, Array]) -> Tensor:
        record, leaves = self._record, list(self._record.leaves)
        if record.function is None:
            raise Unmet(f"{self.info.name} is no function of torch ({record.name}): it cannot be run again")
        for place, tensor in zip(record.reads, given, strict=True):
            leaves[place] = tensor
        args: Any
        assert record.shape is not None
        args, kwargs = record.shape.put(leaves)
        if params:
            args, kwargs = with_weights(record.name, args, kwargs, self._laid(params, given[0]))
        out, target = run_function(record.function, args, kwargs, record.written)
        if target is not None:
            return target
        return out if record.slot is None else tensors_of(out)[record.slot]

    def _laid(self, params: Mapping[str, Array], like: Tensor) -> dict[str, Tensor]:
        kind, function = self.info.kind, self.info.function
        return {
            name: laid_in(name, _shared(values), kind, function).contiguous().to(like.device, like.dtype)
            for name, values in params.items()
        }


#: What NumPy reads as it is; all else is made single precision.
FLOATS = (torch.float32, torch.float64)


def as_numpy(values: Tensor, axis: int) -> Array:
    """As NumPy, channels last; no copy where torch's memory will do."""
    still = values.detach()
    if still.device.type != "cpu":
        still = still.cpu()
    laid: Array = (still if still.dtype in FLOATS else still.float()).numpy()
    return laid if axis < 0 else laid.transpose(*range(axis), *range(axis + 1, laid.ndim), axis)


def _shared(values: Array) -> Tensor:
    """As torch has it, strides as they are: what was computed from a kernel lies as torch's kernels do."""
    laid = np.asarray(values)
    return torch.from_numpy(
        laid if laid.flags.writeable and min(laid.strides, default=0) >= 0 else laid.copy("K")
    )


def as_tensor(values: Array, axis: int, like: Tensor) -> Tensor:
    """As torch has it: strides in the order that `like` has, for a call that flattens by `view`."""
    laid = np.asarray(values)
    if axis >= 0:
        laid = laid.transpose(*range(axis), laid.ndim - 1, *range(axis, laid.ndim - 1))
    if like.is_contiguous() or not laid.flags.writeable:
        laid = np.require(laid, requirements=("C", "W"))
    made = torch.from_numpy(laid)
    return (
        made if (made.device, made.dtype) == (like.device, like.dtype) else made.to(like.device, like.dtype)
    )
