"""Calls folded into boxes: a convolution with its batch norm and its activation is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from cnnlens import CallInfo

#: Calls that go with the one before them, or else with the one behind them.
LIGHT = ("batch-norm", "normalisation", "activation", "softmax", "scale", "identity", "reshape")


@dataclass(frozen=True)
class Box:
    """Calls one behind the other, each of which is read by the next alone, and the boxes that the first reads."""

    calls: tuple[CallInfo, ...]
    inputs: tuple[int, ...]

    @property
    def main(self) -> CallInfo:
        """The call that it is named after: the one that is not light, or the first that does anything."""
        does = [one for one in self.calls if one.kind not in ("identity", "reshape")]
        return next((one for one in self.calls if not is_light(one)), (does or self.calls)[0])

    @property
    def last(self) -> CallInfo:
        """The call whose output it hands on."""
        return self.calls[-1]


def is_light(call: CallInfo) -> bool:
    """Whether a call goes with its neighbour: it reads one value, and its work is none worth a box."""
    return len(call.inputs) == 1 and call.kind in (*LIGHT, "concat")


def is_border(call: CallInfo, calls: Sequence[CallInfo]) -> bool:
    """Whether a call adds values, as padding does, or leaves some out: it belongs to what reads them."""
    return call.kind == "reshape" and prod(call.shape) != prod(calls[call.inputs[0]].shape)


def boxes_of(calls: Sequence[CallInfo], fold: bool = True) -> list[Box]:
    """All calls in boxes, each call in one; without `fold` each in its own. A box stands behind those it reads."""
    calls = nested(calls)
    readers: list[list[int]] = [[] for _ in calls]
    for call in calls:
        for place in call.inputs:
            readers[place].append(call.index)
    chains: list[list[CallInfo]] = []
    chain_of: list[int] = []
    for call in calls:
        before = chain_of[call.inputs[0]] if len(set(call.inputs)) == 1 else None
        if (
            fold
            and before is not None
            and readers[call.inputs[0]] == [call.index]
            and _takes(chains[before], call, calls)
        ):
            chain_of.append(before)
            chains[before].append(call)
        else:
            chain_of.append(len(chains))
            chains.append([call])
    return [
        Box(tuple(chain), tuple(dict.fromkeys(chain_of[place] for place in chain[0].inputs)))
        for chain in chains
    ]


def _takes(chain: Sequence[CallInfo], call: CallInfo, calls: Sequence[CallInfo]) -> bool:
    if chain[0].kind == "input":
        return False
    return all(map(is_light, chain)) or (is_light(call) and not is_border(call, calls))


def nested(calls: Sequence[CallInfo]) -> list[CallInfo]:
    """The calls, where a concatenation that begins with all that an earlier one joined reads that one instead.

    Both are the same values. A dense block (Huang et al., 2017) joins all maps so far again and again, and would be
    drawn as a net of edges.
    """
    found: list[CallInfo] = []
    joined: list[CallInfo] = []
    for call in calls:
        known = None
        if call.kind == "concat":
            known = max(
                (one for one in joined if _begins(call, one)), key=lambda one: len(one.inputs), default=None
            )
            joined.append(call)
        rest = call.inputs[len(known.inputs) :] if known else ()
        found.append(replace(call, inputs=(known.index, *rest)) if known else call)
    return found


def _begins(call: CallInfo, earlier: CallInfo) -> bool:
    """Whether a concatenation of maps begins with all that an earlier one joined, along the same axis."""
    count = len(earlier.inputs)
    return (
        1 < count < len(call.inputs)
        and call.inputs[:count] == earlier.inputs
        and call.shape[:-1] == earlier.shape[:-1]
        and call.shape[-1:] > earlier.shape[-1:]
    )
