"""What wrappers of modules put in front of the names of weights, and how it is taken off."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

#: Roots of names that are certainly no part of the network: losses, metrics, averaged copies, their counters.
_ASIDE = re.compile(
    r"(\w*loss\w*|criterion\w*|(\w+_)?ema(_\w+)?|n_averaged|(train|val|valid|test)_\w+|metrics?)"
)


class Peeled(NamedTuple):
    """Weights with part of their names taken off, and what was."""

    weights: dict[str, Any]
    notes: list[str]


def peelings(weights: Mapping[str, Any]) -> Iterator[Peeled]:
    """The weights as they are, then with one wrapping after the other taken off."""
    peeled = Peeled(dict(weights), [])
    yield peeled
    for take in (_compiled, _aside):
        if (taken := take(peeled)) is not None:
            peeled = taken
            yield peeled
    while (taken := _common(peeled)) is not None:
        peeled = taken
        yield peeled
    if (taken := _parallel_parts(peeled)) is not None:
        yield taken


def _compiled(peeled: Peeled) -> Peeled | None:
    """torch.compile names its original anywhere in a path; nobody else says `_orig_mod`."""
    taken = {re.sub(r"(^|\.)_orig_mod(?=\.)", "", name).lstrip("."): v for name, v in peeled.weights.items()}
    if taken.keys() == peeled.weights.keys():
        return None
    return Peeled(taken, [*peeled.notes, "prefix '_orig_mod.' taken off"])


def _aside(peeled: Peeled) -> Peeled | None:
    """Without the weights of losses, metrics and averaged copies that lie beside the network's."""
    rest = {name: v for name, v in peeled.weights.items() if not _ASIDE.fullmatch(name.partition(".")[0])}
    out = [name for name in peeled.weights if name not in rest]
    if not out or not rest:
        return None
    return Peeled(rest, [*peeled.notes, f"{len(out)} left aside, not the network's: {', '.join(out[:3])}"])


def _common(peeled: Peeled) -> Peeled | None:
    """Without the first part of the names, where all share it; a number says that others stand beside it."""
    first = {name.partition(".")[0] for name in peeled.weights}
    if len(first) != 1 or not all("." in name for name in peeled.weights) or min(first).isdecimal():
        return None
    prefix = f"{first.pop()}."
    taken = {name.removeprefix(prefix): v for name, v in peeled.weights.items()}
    return Peeled(taken, [*peeled.notes, f"prefix {prefix!r} taken off"])


def _parallel_parts(peeled: Peeled) -> Peeled | None:
    """DataParallel around a part, as PyTorch's ImageNet example has for the features of AlexNet and VGG."""
    taken = {name.replace(".module.", "."): v for name, v in peeled.weights.items()}
    if taken.keys() == peeled.weights.keys() or len(taken) != len(peeled.weights):
        return None
    return Peeled(taken, [*peeled.notes, "'module.' within names taken off"])
