"""The weights within what a training loop saved: found beside optimisers and counters, dense alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import CannotOpen, Refused

#: Averaged copies of the weights; evaluation uses them where there are any, as timm and torchvision do.
_AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "ema", "params_ema", "teacher")
#: Where training loops keep the weights, in the order in which they are looked for.
_WRAPPERS = (
    "state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "weights", "params",
    "student",
)  # fmt: skip
#: What lies beside the weights and holds tensors of its own.
_BESIDE = ("optim", "sched", "scaler", "amp", "callbacks", "loops", "rng", "hparams", "hyper_parameters")
#: Keys under which the architecture is named.
_NAMED = ("arch", "architecture", "model_name", "model")

Place = tuple[str, ...]


@dataclass(frozen=True)
class Unwrapped:
    """A state_dict as it was found, what is said about where, and the architecture that the file names."""

    weights: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    arch: str | None = None


def unwrap(content: Any, file: str) -> Unwrapped:
    """The state_dict within a checkpoint's content; CannotOpen where there is none or no way to choose."""
    import torch

    places = dict(_places(content, (), torch.Tensor)) if isinstance(content, Mapping) else {}
    if not places:
        has = f"keys {list(content)[:8]}" if isinstance(content, Mapping) else f"a {type(content).__name__}"
        raise CannotOpen(f"{file} holds no weights that could be found: it has {has}")
    place = _chosen(places, file)
    held = places[place]
    weights = {name: value for name, value in held.items() if isinstance(value, torch.Tensor)}
    for name, value in weights.items():
        _check_dense(torch, name, value, file)
    notes = _said(place, places)
    dropped = [name for name, value in held.items() if name not in weights and not isinstance(value, Mapping)]
    if dropped and place:  # beside the weights themselves; a loop's own counters need no word
        notes.append(f"{len(dropped)} entries that are no tensors left aside: {', '.join(dropped[:3])}")
    return Unwrapped(weights, notes, _named(content))


def _places(
    value: Mapping[Any, Any], place: Place, tensor: type
) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    """Every mapping from names to tensors, but for those of optimisers and the like."""
    if any(isinstance(v, tensor) for v in value.values()) and all(isinstance(k, str) for k in value):
        yield place, value
    for key, inner in value.items():
        beside = isinstance(key, str) and any(word in key.lower() for word in _BESIDE)
        if isinstance(inner, Mapping) and isinstance(key, str) and not beside and len(place) < 4:
            yield from _places(inner, (*place, key), tensor)


def _chosen(places: Mapping[Place, Mapping[str, Any]], file: str) -> Place:
    """An averaged copy before the plain weights before what lies under no name that is known."""
    largest = max(len(held) for held in places.values())
    ranked: dict[Place, tuple[int, int]] = {}
    for place, held in places.items():
        averaged = [_AVERAGED.index(part) for part in place if part in _AVERAGED]
        plain = [_WRAPPERS.index(part) for part in place if part in _WRAPPERS]
        if averaged and 2 * len(held) >= largest:
            ranked[place] = (0, min(averaged))
        elif plain and not averaged:
            ranked[place] = (1, min(plain))
    if ranked:
        best = min(ranked.values())
        first = [place for place, rank in ranked.items() if rank == best]
    else:
        first = [()] if () in places else list(places)
    if len(first) > 1:
        told = ", ".join(repr(".".join(place)) for place in first)
        raise CannotOpen(f"{file} holds several sets of weights, {told}: save the one you mean by itself")
    return first[0]


def _said(place: Place, places: Mapping[Place, Mapping[str, Any]]) -> list[str]:
    notes = [f"weights found under {key!r}" for key in place]
    averaged = [p for p in places if any(part in _AVERAGED for part in p)]
    plain = [p for p in places if p not in averaged and p and any(part in _WRAPPERS for part in p)]
    if place in averaged and plain:
        notes.append(f"these are the averaged (EMA) weights; the plain ones under {plain[0][0]!r} left aside")
    elif place in averaged:
        notes.append("these are averaged (EMA) weights")
    elif averaged:
        notes.append(f"the plain weights; the averaged (EMA) ones under {averaged[0][0]!r} left aside")
    return notes


def _check_dense(torch: Any, name: str, value: Any, file: str) -> None:
    """Sparse and quantised tensors carry indices and scales that nobody has checked against their data."""
    plain = type(value) in (torch.Tensor, torch.nn.Parameter)
    if value.is_nested:
        kind = "a nested tensor"
    elif value.layout is not torch.strided:
        kind = f"a {str(value.layout).removeprefix('torch.')} tensor"
    elif value.is_quantized:
        kind = f"a quantised tensor ({str(value.dtype).removeprefix('torch.')})"
    elif value.is_meta or not plain:
        kind = f"a {type(value).__name__} without plain numbers"
    else:
        return
    raise Refused(f"{file}: {name} is {kind}; only dense arrays of numbers are taken: save the dense model")


def _named(content: Mapping[str, Any]) -> str | None:
    """The architecture's name where the file says it: timm's `arch`, or an argument of the training."""
    for place in (content, content.get("args"), content.get("hyper_parameters")):
        held = place if isinstance(place, Mapping) else getattr(place, "__dict__", {})
        for key in _NAMED:
            if isinstance(held.get(key), str):
                return str(held[key])
    return None
