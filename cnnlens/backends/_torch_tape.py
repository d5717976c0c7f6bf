"""Record a PyTorch pass as a tape: every function of torch that the picture runs through is one call.

A TorchFunctionMode sees each function before it runs and hands it detached inputs, so every call has a
small graph of its own and its derivative is torch's, for any function at all. Nothing is traced or
exported: what was recorded is what ran. In-place calls are run on copies, and whoever holds the array that
was written to is handed the new values; a later call can thus never rewrite what an earlier one saw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_unflatten

from ..arrays import Array
from ..errors import Unmet
from ..tape import Call, CallInfo, Tape
from ._torch_calls import Call as Visited
from ._torch_calls import Follower
from ._torch_kinds import described, laid_in, laid_out, weights_of, with_weights
from ._torch_layers import axis_after

#: Methods that write to their first argument and do not say so by a trailing underscore.
_WRITERS = {
    "__setitem__",
    "__iadd__",
    "__isub__",
    "__imul__",
    "__itruediv__",
    "__ipow__",
    "__iand__",
    "__ior__",
}


@dataclass
class _Record:
    """A function that ran: what it was called with, which of that were values of the tape, what it gave."""

    name: str
    function: Callable[..., Any]
    leaves: list[Any]  # its arguments, flat; detached tensors where the picture runs through
    form: Any
    reads: dict[int, int]  # place among `leaves` → value on the tape
    out: Tensor  # with its own small graph
    slot: int | None  # which of several outputs it is
    written: bool
    axis: int  # where the output has its channels
    axes: tuple[int, ...]  # and where each of `given` has them
    owner: str = ""
    layers: list[str] = field(default_factory=list)

    @property
    def given(self) -> list[Tensor]:
        """The detached tensors that it read."""
        return [self.leaves[place] for place in self.reads]

    @property
    def value(self) -> Tensor:
        """The output, out of its graph."""
        return self.out.detach()


class Recorder(TorchFunctionMode):
    """Keeps what the picture runs through. `records[0]` is the picture."""

    def __init__(self, fed: Tensor, owner: Callable[[], str]) -> None:
        super().__init__()
        self._owner = owner
        self._held: list[Any] = []  # every tensor ever named, so that an id stays one tensor's
        self._places: dict[int, int] = {}  # id of a tensor → which record made it
        self.records: list[_Record] = []
        start = _Record("input", _fed, [], None, {}, fed.detach(), None, False, 1, ())
        self.fed = self._keep(start)

    def place_of(self, tensor: Any) -> int | None:
        """The record that made a tensor."""
        return self._places.get(id(tensor))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        leaves, form = tree_flatten((args, dict(kwargs or {})))
        reads = {i: self._places[id(v)] for i, v in enumerate(leaves) if id(v) in self._places}
        self._refuse_unknown(func, leaves)
        return self._ran(func, leaves, form, reads) if reads else func(*args, **(kwargs or {}))

    def _ran(self, func: Any, leaves: list[Any], form: Any, reads: dict[int, int]) -> Any:
        name, first = str(getattr(func, "__name__", func)), leaves[0]
        made_by = [self.records[place] for place in reads.values()]
        for place, maker in zip(reads, made_by, strict=True):
            leaves[place] = maker.value.requires_grad_(maker.out.is_floating_point())
        args, kwargs = tree_unflatten(leaves, form)
        writes = _writes(name, kwargs)
        out, target = _run(func, args, kwargs, writes)
        results = [target] if target is not None else _tensors_of(out)
        axes = tuple(maker.axis for maker in made_by)
        kept: dict[int, Tensor] = {}
        for slot, tensor in enumerate(results):
            if tensor.requires_grad:  # else nothing hangs on the picture: a mask, a shape, what was detached
                axis = axis_after(name, args, kwargs, tensor, axes[0] % made_by[0].out.ndim)
                record = _Record(
                    name=name,
                    function=func,
                    leaves=leaves,
                    form=form,
                    reads=reads,
                    out=tensor,
                    slot=None if target is not None or isinstance(out, Tensor) else slot,
                    written=writes,
                    axis=_usual(tensor) if axis is None or axis >= tensor.ndim - 1 else axis,
                    axes=axes,
                    owner=self._owner(),
                )
                kept[id(tensor)] = self._keep(record)
        if target is not None:
            return self._repoint(first, target, out)
        return _mapped(out, lambda t: kept.get(id(t), t.detach()))

    def _keep(self, record: _Record) -> Tensor:
        """Put a record on the list; what the network goes on with. Its flag shows who lost track of it."""
        self.records.append(record)
        handed = record.value.requires_grad_(record.out.is_floating_point())
        self._held += [handed, record]
        self._places[id(handed)] = len(self.records) - 1
        return handed

    def _repoint(self, written: Tensor, target: Tensor, out: Any) -> Any:
        """After `x.relu_()` whoever holds x goes on with the new values, under x's own identity."""
        written.requires_grad_(False)
        written.data = target.detach()
        self._places.pop(id(written), None)
        if target.requires_grad:
            written.requires_grad_()
            self._held.append(written)
            self._places[id(written)] = len(self.records) - 1
        return written if isinstance(out, Tensor) else out

    def _refuse_unknown(self, func: Any, leaves: Sequence[Any]) -> None:
        """A tensor that hangs on the picture and was made where nobody sees it would be lost silently."""
        for leaf in leaves:
            if id(leaf) not in self._places and isinstance(leaf, Tensor) and leaf.requires_grad:
                name = getattr(func, "__name__", func)
                raise Unmet(
                    f"{name} in {self._owner() or 'the model'} reads an array that was made outside of torch's "
                    "functions (a torch.autograd.Function, a scripted or compiled module): no tape can be kept"
                )


def _fed() -> None:
    """The picture is made by no function."""


def _run(func: Any, args: Any, kwargs: dict[str, Any], writes: bool) -> tuple[Any, Tensor | None]:
    """Call a function; one that writes to its first argument gets a copy to write to, which is its output."""
    if kwargs.get("inplace"):
        kwargs = {
            **kwargs,
            "inplace": False,
        }  # a flag of torch.nn.functional: the same numbers, in an array of their own
    if not writes:
        return func(*args, **kwargs), None
    target = args[0].clone()
    return func(target, *args[1:], **kwargs), target


def _writes(name: str, kwargs: Mapping[str, Any]) -> bool:
    """Whether a function writes to its first argument."""
    if kwargs.get("out") is not None:
        raise Unmet(f"{name}(…, out=…) writes into an array of its caller's: no tape can be kept")
    return name in _WRITERS or (name.endswith("_") and not name.startswith("__"))


def _tensors_of(out: Any) -> list[Tensor]:
    return [t for t in tree_flatten(out)[0] if isinstance(t, Tensor)]


def _mapped(out: Any, change: Callable[[Tensor], Tensor]) -> Any:
    leaves, form = tree_flatten(out)
    return tree_unflatten([change(v) if isinstance(v, Tensor) else v for v in leaves], form)


def _usual(tensor: Tensor) -> int:
    """Where an array has its channels when nobody said: maps have them first, all others last."""
    return 1 if tensor.ndim == 4 else -1


@contextmanager
def recording(follower: Follower, fed: Tensor) -> Iterator[tuple[Recorder, dict[str, Visited]]]:
    """Record the pass that is made within the context over the `fed` that the recorder hands out."""
    stack: list[str] = [""]
    visited: dict[str, Visited] = {}
    recorder = Recorder(fed, lambda: stack[-1])

    def visit(call: Visited) -> None:
        visited[call.name] = call
        place = recorder.place_of(call.output)
        if place is not None:
            recorder.records[place].layers.append(call.name)

    undo = []
    for module, path in follower.paths.items():
        undo.append(module.register_forward_pre_hook(_pusher(stack, path)))
        undo.append(module.register_forward_hook(_popper(stack), always_call=True))
    try:
        with torch.enable_grad(), recorder, follower.following(visit):
            yield recorder, visited
    finally:
        for handle in undo:
            handle.remove()


def _pusher(stack: list[str], path: str) -> Callable[[nn.Module, Any], None]:
    return lambda _module, _args: stack.append(path)


def _popper(stack: list[str]) -> Callable[[nn.Module, Any, Any], None]:
    def pop(_module: nn.Module, _args: Any, _out: Any) -> None:
        stack.pop()

    return pop


def tape_of(recorder: Recorder, end: Tensor) -> Tape:
    """The tape from the picture to `end`; calls that do not lead there are left out."""
    last = recorder.place_of(end)
    if last is None:
        raise Unmet("its scores were made outside of torch's functions: no tape can be kept")
    needed = _leading_to(last, recorder.records)
    places = {old: new for new, old in enumerate(needed)}
    calls = [TorchCall(recorder.records[old], places, new) for old, new in places.items()]
    layers = {
        name: places[old]
        for old, record in enumerate(recorder.records)
        if old in places
        for name in record.layers
    }
    return Tape(calls, layers)


def _leading_to(last: int, records: Sequence[_Record]) -> list[int]:
    wanted = {last}
    for place in range(last, -1, -1):
        if place in wanted:
            wanted.update(records[place].reads.values())
    return sorted(wanted)


class TorchCall(Call):
    """One recorded function, its arrays as NumPy on the outside and as torch has them within."""

    def __init__(self, record: _Record, places: Mapping[int, int], index: int) -> None:
        self._record = record
        self._axes = record.axes
        # a value read twice, as in x * x, is two inputs
        reads = tuple(places[place] for place in record.reads.values())
        kind, function, hyper = described(record.name, *self._called(), reads=len(reads))
        shape = tuple(self.output.shape[1:])
        name = record.layers[0] if record.layers else ".".join(filter(None, (record.owner, record.name)))
        self.info = CallInfo(index, name, kind, function, reads, shape, hyper)

    @property
    def output(self) -> Array:
        """What it handed on, (n, …)."""
        return _numpy(self._record.out, self._record.axis)

    @property
    def params(self) -> dict[str, Array]:
        """Its weights, laid out as everywhere in cnnlens."""
        found = weights_of(self._record.name, *self._called(), {id(t) for t in self._record.given})
        kind, function = self.info.kind, self.info.function
        return {name: _numpy(laid_out(name, t, kind, function), -1) for name, t in found.items()}

    def run(self, inputs: Sequence[Array], params: Mapping[str, Array] | None = None) -> Array:
        """What it makes of other inputs and other weights."""
        with torch.no_grad():
            return _numpy(self._run(self._given(inputs), params or {}), self._record.axis)

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
        back = _tensor(cotangent, self._record.axis, out)
        asked: list[Tensor | None] = [None] * len(given)
        if out.requires_grad:
            wanted = [t for t in given if t.requires_grad]
            found = iter(torch.autograd.grad(out, wanted, back, retain_graph=True, allow_unused=True))
            asked = [next(found) if t.requires_grad else None for t in given]
        return tuple(
            _numpy(torch.zeros_like(t) if g is None else g, axis)
            for t, g, axis in zip(given, asked, self._axes, strict=True)
        )

    def _called(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        args, kwargs = (
            tree_unflatten(self._record.leaves, self._record.form) if self._record.form else ((), {})
        )
        return args, kwargs

    def _given(self, inputs: Sequence[Array]) -> list[Tensor]:
        return [
            _tensor(values, axis, like)
            for values, axis, like in zip(inputs, self._axes, self._record.given, strict=True)
        ]

    def _run(self, given: Sequence[Tensor], params: Mapping[str, Array]) -> Tensor:
        record, leaves = self._record, list(self._record.leaves)
        for place, tensor in zip(record.reads, given, strict=True):
            leaves[place] = tensor
        args, kwargs = tree_unflatten(leaves, record.form)
        if params:
            args, kwargs = with_weights(record.name, args, kwargs, self._laid(params, given[0]))
        out, target = _run(record.function, args, kwargs, record.written)
        if target is not None:
            return target
        return out if record.slot is None else _tensors_of(out)[record.slot]

    def _laid(self, params: Mapping[str, Array], like: Tensor) -> dict[str, Tensor]:
        kind, function = self.info.kind, self.info.function
        return {name: laid_in(name, _tensor(v, -1, like), kind, function) for name, v in params.items()}


def _numpy(values: Tensor, axis: int) -> Array:
    """As NumPy, channels last; no copy where torch's memory will do."""
    still = values.detach().to("cpu")
    still = still if still.dtype in (torch.float32, torch.float64) else still.float()
    laid: Array = (still if axis < 0 else still.movedim(axis, -1)).numpy()
    return laid


def _tensor(values: Array, axis: int, like: Tensor) -> Tensor:
    """As torch has it: strides in the order that `like` has, for a call that flattens by `view`."""
    laid = np.asarray(values) if axis < 0 else np.moveaxis(np.asarray(values), -1, axis)
    if like.is_contiguous() or not laid.flags.writeable:
        laid = np.require(laid, requirements=("C", "W"))
    return torch.from_numpy(laid).to(like.device, like.dtype)
