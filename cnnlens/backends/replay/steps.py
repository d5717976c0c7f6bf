"""A recorded function as a step that runs again, over any number of pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ...errors import Unmet
from .._torch_arguments import Form
from .._torch_kinds import argument, described, plain_name
from .._torch_recorder import Record, run_function, tensors_of

#: Functions that are told the sizes of what they make, the number of pictures first.
_SIZED = ("view", "reshape", "expand", "broadcast_to")
#: Of fixed state for each picture; they read whatever lies behind a state that is too small.
_STATEFUL = ("lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell")
_IN_PLACE: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu_,
    "relu6": lambda value: functional.relu6(value, inplace=True),
    "silu": lambda value: functional.silu(value, inplace=True),
    "hardswish": lambda value: functional.hardswish(value, inplace=True),
}
#: What only gives the axes another order.
TURNS = ("permute", "transpose", "swapaxes", "movedim")
_JOINS = ("cat", "concat", "concatenate")


@dataclass
class Step:
    """One function of a pass. `reads` says at which of `leaves`, its arguments, which values stand.

    `name` is the function's plain one, `relu` for `relu_`; `kind`, `title` and `hyper` say what it is, as on a tape.
    """

    place: int
    name: str
    function: Callable[..., Any]
    leaves: list[Any]
    form: Form
    reads: dict[int, int]
    kind: str
    title: str
    hyper: Mapping[str, Any] = field(default_factory=dict)
    slot: int | None = None
    written: bool = False
    sized: int | None = None  # which leaf is the number of pictures
    frees: bool = False  # whether nobody reads what it reads afterwards: it may be written to
    idle: bool = False  # whether it hands on what it is given, at most in another order in memory

    def run(self, given: Sequence[Tensor], *, keeping: bool = False) -> Tensor:
        """What it makes of other values, (n, …) each; with `keeping` they stay what they are in any case."""
        if self.frees and not keeping:
            return self._overwritten(given[0])
        leaves, count = list(self.leaves), len(given[0])
        for leaf, tensor in zip(self.reads, given, strict=True):
            leaves[leaf] = tensor
        if self.sized is not None:
            size = leaves[self.sized]
            leaves[self.sized] = torch.Size((count, *size[1:])) if isinstance(size, torch.Size) else count
        if self.name in _JOINS:
            leaves = [
                _for_all(v, count, given[0].ndim) if i not in self.reads else v for i, v in enumerate(leaves)
            ]
        args, kwargs = self.form.put(leaves)
        out, target = run_function(self.function, args, kwargs, self.written)
        if target is not None:
            return target
        return out if self.slot is None else tensors_of(out)[self.slot]

    def _overwritten(self, value: Tensor) -> Tensor:
        """The same in the memory of what it reads: fresh memory costs more than these functions do."""
        if self.name in _IN_PLACE:
            return _IN_PLACE[self.name](value)
        # hardtanh, as nn.ReLU6 calls it
        low, high = self.argument(1, "min_val", -1.0), self.argument(2, "max_val", 1.0)
        return functional.hardtanh(value, low, high, inplace=True)  # clamp_ would keep a copy for gradients

    @property
    def can_overwrite(self) -> bool:
        """Whether `frees` may be set: a function of one value that has a form in place."""
        return self.name in _IN_PLACE or (self.name == "hardtanh" and self.title == "relu6")

    def call(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Its arguments as they were recorded."""
        return self.form.put(self.leaves)

    def order(self, rank: int) -> list[int] | None:
        """The order of axes that it gives an array of that rank; None where it does anything else."""
        if self.name not in TURNS:
            return None
        marks = torch.empty(tuple(range(2, rank + 2)), device="meta")  # sizes that tell the axes apart
        return [size - 2 for size in self.run([marks]).shape]

    def argument(self, place: int, name: str, default: Any = None) -> Any:
        """One of them, by its place or its name."""
        return argument(*self.call(), place, name, default)


def _for_all(value: Any, count: int, rank: int) -> Any:
    """A constant that is one for all pictures, a class token say, for so many of them."""
    if isinstance(value, Tensor) and value.ndim == rank and (len(value) == 1 or value.stride(0) == 0):
        return value[:1].expand(count, *value.shape[1:])
    return value


def step_of(record: Record, place: int) -> Step:
    """The step that a record becomes. Raises Unmet where the function cannot be run again."""
    if record.function is None or record.shape is None:
        raise Unmet(f"{record.name} is no function of torch, so it cannot be run again")
    if record.name in _STATEFUL:
        raise Unmet(f"{record.name} keeps a state for each picture")
    if record.steered:
        raise Unmet(f"{record.name} reads what was made of this very picture")
    leaves = [leaf.detach() if isinstance(leaf, Tensor) else leaf for leaf in record.leaves]
    kind, title, hyper = described(record.name, *record.called, len(record.reads))
    plain = plain_name(record.name)
    function = Tensor.reshape if plain == "view" else record.function  # any order in memory will do
    sized = None
    if plain in _SIZED and len(leaves) > 1 and len(record.out) == len(record.given[0]) == _first(leaves[1]):
        sized = 1
    for leaf in record.reads:
        leaves[leaf] = None  # the recorded values are let go of
    out, first = record.out, record.given[0]
    return Step(
        place=place,
        name=plain,
        function=function,
        leaves=leaves,
        form=record.shape,
        reads=dict(record.reads),
        kind=kind,
        title=title,
        hyper=hyper,
        slot=record.slot,
        written=record.written,
        sized=sized,
        idle=kind == "identity"
        and (out.dtype, out.device, out.shape) == (first.dtype, first.device, first.shape),
    )


def _first(size: Any) -> Any:
    return size[0] if isinstance(size, torch.Size) and size else size
