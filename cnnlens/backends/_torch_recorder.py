"""Record a PyTorch pass: every function of torch that the picture runs through, with its own small graph.

A TorchFunctionMode sees each function before it runs and hands it detached inputs, so every call has a
small graph of its own and its derivative is torch's, for any function at all. Nothing is traced or
exported: what was recorded is what ran. In-place calls are run on copies, and whoever holds the array that
was written to is handed the new values; a later call can thus never rewrite what an earlier one saw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..errors import Unmet
from ._torch_arguments import Form, flat, mapped
from ._torch_arguments import tensors_of as tensors_of
from ._torch_calls import Call as Visited
from ._torch_calls import Follower
from ._torch_hooks import Hooks
from ._torch_kinds import plain_name
from ._torch_layers import axis_after

#: What hands values to Python, and what hangs something on a tensor: playing it back would not do the same.
_LEAVES_TORCH = {
    "__bool__", "__int__", "__float__", "__complex__", "__index__", "__contains__", "__array__", "item", "tolist",
    "numpy", "equal", "allclose", "is_nonzero", "register_hook", "register_post_accumulate_grad_hook", "nonzero",
    "unique", "masked_select", "__format__", "__repr__",
}  # fmt: skip
#: What tells something about an array without reading it; the followers of a pass ask for these all the time.
_TELL = {
    "size", "dim", "numel", "nelement", "stride", "storage_offset", "data_ptr", "untyped_storage", "element_size",
    "is_inference", "is_floating_point", "is_complex", "is_contiguous", "is_signed", "get_device", "__len__",
    "_is_view", "ndimension", "__hash__", "is_same_size",
}  # fmt: skip
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
class Record:
    """A function that ran: what it was called with, which of that were values of the tape, what it gave."""

    name: str
    function: Callable[..., Any] | None  # None where no function of torch made the output
    leaves: list[Any]  # its arguments, flat; detached tensors where the picture runs through
    shape: Form | None  # how those are put together
    reads: dict[int, int]  # place among `leaves` → value on the tape
    out: Tensor  # with its own small graph
    slot: int | None  # which of several outputs it is
    written: bool
    told: int | None  # where the output has its channels, as far as that is known
    axes: tuple[int, ...]  # and where each of `given` has them
    owner: str = ""
    steered: bool = False  # whether constants among its arguments were made from the picture
    layers: list[str] = field(default_factory=list)

    @property
    def axis(self) -> int:
        """Where the output has its channels: 1, or -1 for last; maps have them first, if nobody said."""
        unknown = 1 if self.out.ndim == 4 else -1
        axis = unknown if self.told is None else self.told
        return axis if axis < self.out.ndim - 1 else -1

    @cached_property
    def called(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Its arguments as it was called."""
        return self.shape.put(self.leaves) if self.shape is not None else ((), {})

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
        self.records: list[Record] = []
        self.handed_through: set[str] = set()  #: layers that handed on what was made before them
        self._lying: dict[int, list[int]] = {}  # memory → the records whose outputs lie there
        self._stale: set[int] = set()  # records whose array was since written to under another name
        self.decided = ""  #: what of the picture left torch, and where; what follows may hang on it
        #: ids and memory of what was made from the picture and has no derivative
        self._steering: set[int] = set()
        start = Record("input", None, [], None, {}, fed.detach(), None, False, 1, ())
        self.fed = self._keep(start)

    def place_of(self, tensor: Any) -> int | None:
        """The record that made a tensor."""
        if isinstance(tensor, Tensor) and tensor.requires_grad and id(tensor) not in self._places:
            self._adopt(tensor)
        return self._places.get(id(tensor))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(getattr(func, "__name__", func))
        if name == "__get__" or name in _TELL:
            told = func(*args, **(kwargs or {}))
            if not isinstance(told, Tensor):  # `x.T` is one, and computed below like all others
                return told
        leaves, form = flat(args, kwargs or {})
        reads: dict[int, int] = {}
        for i, leaf in enumerate(leaves):
            if isinstance(leaf, Tensor) and (place := self.place_of(leaf)) is not None:
                reads[i] = place
        steered = any(self._is_steered(leaf) for i, leaf in enumerate(leaves) if i not in reads)
        if (reads or steered) and (name in _LEAVES_TORCH or _shapes_by_value(name, leaves)):
            self.decided = f"{name} in {self._owner() or 'its forward'}"
        if reads:
            return self._ran(func, name, leaves, form, reads, steered)
        out = func(*args, **(kwargs or {}))
        if steered:  # and what was written into a constant steers whoever reads that
            self._steer([out, leaves[0]] if _writes(name, kwargs or {}) or name in _WRITERS else out)
        return out

    def _ran(
        self, func: Any, name: str, leaves: list[Any], form: Form, reads: dict[int, int], steered: bool
    ) -> Any:
        first = leaves[0]
        made_by = [self.records[place] for place in reads.values()]
        for place, maker in zip(reads, made_by, strict=True):
            leaves[place] = maker.value.requires_grad_()
        args, kwargs = form.put(leaves)
        writes = _writes(name, kwargs)
        out, target = run_function(func, args, kwargs, writes)
        results = [target] if target is not None else tensors_of(out)
        # `x[:, :2] *= 3` writes to a part under another name and then puts it back in its place
        read_on = [place for i, place in reads.items() if i or name != "__setitem__"]
        if any(t.requires_grad for t in results) and not self._stale.isdisjoint(read_on):
            raise Unmet(
                f"{self._owner() or 'it'} reads on an array that was written to under another name, by view"
            )
        if any(t.is_complex() for t in results):
            raise Unmet(
                f"{name} in {self._owner() or 'the model'} computes complex numbers: no tape can be kept"
            )
        axes = tuple(maker.axis for maker in made_by)
        kept: dict[int, Tensor] = {}
        for slot, tensor in enumerate(results):
            if tensor.requires_grad:  # else nothing hangs on the picture: a mask, a shape, what was detached
                told = axis_after(name, args, kwargs, tensor, made_by[0].told)
                record = Record(
                    name=name,
                    function=func,
                    leaves=leaves,
                    shape=form,
                    reads=reads,
                    out=tensor,
                    slot=None if target is not None or isinstance(out, Tensor) else slot,
                    written=writes,
                    told=told,
                    axes=axes,
                    owner=self._owner(),
                    steered=steered,
                )
                kept[id(tensor)] = self._keep(record)
        if target is not None:
            self._spoil(first)
            return self._repoint(first, target, out)
        handed = mapped(out, lambda t: kept.get(id(t), t.detach()))
        if not name.startswith("new_") and not name.endswith("_like"):
            self._steer(handed)
        return handed

    def _is_steered(self, leaf: Any) -> bool:
        """Whether a constant was made from the picture, or lies in memory that something such was written to."""
        return (
            bool(self._steering)
            and isinstance(leaf, Tensor)
            and (id(leaf) in self._steering or leaf.untyped_storage().data_ptr() in self._steering)
        )

    def _steer(self, made: Any) -> None:
        """Remember what was made from the picture and has no derivative, and where it lies."""
        if isinstance(made, Tensor) and made.requires_grad:
            return
        loose = [t for t in tensors_of(made) if not t.requires_grad]
        self._held += loose
        self._steering.update(map(id, loose))
        self._steering.update(t.untyped_storage().data_ptr() for t in loose if t.numel())

    def _keep(self, record: Record) -> Tensor:
        """Put a record on the list; what the network goes on with. Its flag shows who lost track of it."""
        self._append(record)
        handed = record.value.requires_grad_()
        self._held += [handed, record]
        self._places[id(handed)] = len(self.records) - 1
        return handed

    def _append(self, record: Record) -> None:
        memory = record.out.untyped_storage().data_ptr()
        self._lying.setdefault(memory, []).append(len(self.records))
        self.records.append(record)

    def _spoil(self, written: Tensor) -> None:
        """Whatever else lies in the memory that is written to is not what was recorded of it any more."""
        place = self._places.get(id(written))
        if place is None and written._is_view():
            raise Unmet(
                f"{self._owner() or 'it'} writes into a part of an array of its own: no tape can be kept"
            )
        memory = written.untyped_storage().data_ptr()
        for other in self._lying.get(memory, ()):
            if other != place and _overlap(written, self.records[other].out):
                self._stale.add(other)

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

    def _adopt(self, made: Tensor) -> None:
        """Take in an array that hangs on the picture and was made where nobody sees it.

        A torch.autograd.Function or a scripted module made it: torch's own graph leads back to what it read.
        """
        read, ahead, seen = [], [made.grad_fn], set()
        while ahead:
            node = ahead.pop()
            if node is None or node in seen:
                continue
            seen.add(node)
            ahead += [before for before, _ in node.next_functions]
            if hasattr(node, "variable"):
                read.append(node.variable)
        if not read or not all(id(leaf) in self._places for leaf in read):
            where = self._owner() or "the model"
            raise Unmet(f"{where} reads an array that no function of torch made: no tape can be kept")
        reads = {i: self._places[id(leaf)] for i, leaf in enumerate(read)}
        axes = tuple(self.records[place].axis for place in reads.values())
        told = self.records[reads[0]].told if made.ndim == self.records[reads[0]].out.ndim else None
        name = type(made.grad_fn).__name__.removesuffix("Backward")
        self._append(Record(name, None, read, None, reads, made, None, False, told, axes, self._owner()))
        self._held.append(made)
        self._places[id(made)] = len(self.records) - 1


def _overlap(one: Tensor, other: Tensor) -> bool:
    """Whether two views of one memory have a number in common; the halves of a chunk have none."""
    touched = torch.zeros(one.untyped_storage().nbytes() // one.element_size(), dtype=torch.bool)
    touched.as_strided(one.size(), one.stride(), one.storage_offset()).fill_(True)
    return bool(touched.as_strided(other.size(), other.stride(), other.storage_offset()).any())


def run_function(func: Any, args: Any, kwargs: dict[str, Any], writes: bool) -> tuple[Any, Tensor | None]:
    """Call a function; one that writes to its first argument gets a copy to write to, which is its output."""
    if kwargs.get("inplace"):  # a flag of torch.nn.functional: the same numbers, in an array of their own
        out = func(*args, **{**kwargs, "inplace": False})
        if out.untyped_storage().data_ptr() == args[0].untyped_storage().data_ptr():
            out = out.clone()  # dropout in eval mode hands on what it was given
        return out, out
    if not writes:
        return func(*args, **kwargs), None
    name = str(getattr(func, "__name__", ""))
    twin = getattr(Tensor, plain_name(name), None) if plain_name(name) != name else None
    if twin is not None:  # relu for relu_: one array less to fill
        out = twin(*args, **kwargs)
        if (out.dtype, out.shape) == (args[0].dtype, args[0].shape):
            return out, out
    target = args[0].clone()
    return func(target, *args[1:], **kwargs), target


def _shapes_by_value(name: str, leaves: list[Any]) -> bool:
    """Whether the shape of what a function makes hangs on values: `x[mask]`, or the places where a mask is true."""
    masks = [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.dtype in (torch.bool, torch.uint8)]
    return bool(masks) and (
        (name == "__getitem__" and len(leaves) > 1) or (name == "where" and len(leaves) == 1)
    )


def _writes(name: str, kwargs: Mapping[str, Any]) -> bool:
    """Whether a function writes to its first argument."""
    if kwargs.get("out") is not None:
        raise Unmet(f"{name}(…, out=…) writes into an array of its caller's: no tape can be kept")
    return (
        bool(kwargs.get("inplace")) or name in _WRITERS or (name.endswith("_") and not name.startswith("__"))
    )


@contextmanager
def recording(follower: Follower, fed: Tensor) -> Iterator[tuple[Recorder, dict[str, Visited]]]:
    """Record the pass that is made within the context over the `fed` that the recorder hands out."""
    stack: list[str] = [""]
    begun: dict[str, int] = {}  # module → how much was recorded when its call began
    visited: dict[str, Visited] = {}
    recorder = Recorder(fed, lambda: stack[-1])

    def visit(call: Visited) -> None:
        visited[call.name] = call
        place = recorder.place_of(call.output)
        if place is not None:
            recorder.records[place].layers.append(call.name)
            if place < begun.get(call.base, 0):
                recorder.handed_through.add(call.name)

    def enter(module: nn.Module, _args: Any, _kwargs: Any) -> None:
        path = follower.paths[module]
        stack.append(path)
        begun[path] = len(recorder.records)

    def leave(module: nn.Module, _args: Any, _kwargs: Any, _out: Any) -> None:
        path = follower.paths[module]
        while stack.pop() != path:  # a call within that failed, and whose error was caught
            pass

    hooks = Hooks()
    try:
        for module in follower.paths:
            hooks.hang(module, enter, leave)
        with torch.enable_grad(), recorder, follower.following(visit):
            yield recorder, visited
    finally:
        hooks.remove()
