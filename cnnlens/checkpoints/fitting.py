"""Put weights into a module: every one of them, or an error that says what does not fit and why."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import Mismatch, MissingPackage
from .matching import find, nearest, spellings
from .prefixes import Peeled
from .signature import Signature, signature_of, words


def fit_weights(module: Any, weights: Mapping[str, Any], name: str) -> list[str]:
    """Load the weights into the module, every one of them; Mismatch says what does not fit."""
    own = module.state_dict()
    wanted = signature_of(own)
    tried: list[Peeled] = []
    for peeled in spellings(weights):
        tried.append(peeled)
        if signature_of(peeled.weights) == wanted:
            return [*peeled.notes, *_load(module, own, peeled.weights)]
    best = max(tried, key=lambda peeled: _overlap(signature_of(peeled.weights), wanted))
    raise Mismatch(f"the weights do not fit {name}: {explain(best.weights, own)}")


def _load(module: Any, own: Mapping[str, Any], weights: Mapping[str, Any]) -> list[str]:
    """The copy itself; the names and shapes are known to be the module's own but for counters of steps."""
    state = OrderedDict((key, weights[key]) for key in own if key in weights)
    # some of torchvision's layers ask which version wrote the file: these names and shapes are today's
    state._metadata = getattr(own, "_metadata", None)  # type: ignore[attr-defined]
    module.load_state_dict(state, strict=False)
    cast = sorted({
        f"{_plain(value.dtype)} to {_plain(own[key].dtype)}"
        for key, value in state.items()
        if value.dtype != own[key].dtype and value.is_floating_point()
    })  # fmt: skip
    return [f"weights cast from {how}" for how in cast]


def _plain(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


def _overlap(found: Signature, wanted: Signature) -> tuple[int, int]:
    """How many names and shapes agree, then how many names."""
    names = found.keys() & wanted.keys()
    return sum(found[name] == wanted[name] for name in names), len(names)


def explain(weights: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """What is missing, unexpected and of another shape, the likeliest cause, and what would fit better."""
    found, wanted = signature_of(weights), signature_of(own)
    missing = [k for k in wanted if k not in found]
    unexpected = [k for k in found if k not in wanted]
    wrong = [k for k in wanted if k in found and found[k] != wanted[k]]
    shapes = [f"{k} is {found[k]}, the architecture wants {wanted[k]}" for k in wrong]
    lists = [("missing", missing), ("unexpected", unexpected), ("of another shape", shapes)]
    told = "; ".join(f"{len(keys)} {what}: {_first(keys)}" for what, keys in lists if keys)
    cause = _classes(found, wanted, wrong) if wrong and not missing and not unexpected else ""
    if not cause:
        cause = _better(weights) or _structure(found, wanted)
    return f"{told}. {cause}"


def _first(keys: Sequence[str]) -> str:
    return ", ".join(keys[:10]) + (" …" if len(keys) > 10 else "")


def _classes(found: Signature, wanted: Signature, wrong: Sequence[str]) -> str:
    """Where only the last layer's length differs: another number of classes."""
    last = [k for k in wanted if k.endswith(("weight", "bias"))][-2:]
    lengths = {found[k][0] for k in wrong if found[k] and found[k][1:] == wanted[k][1:]}
    if set(wrong) <= set(last) and len(lengths) == 1:
        count = lengths.pop()
        return f"It was trained for {count} classes: --arch-arg num_classes={count}"
    return ""


def _better(weights: Mapping[str, Any]) -> str:
    """The architectures by name that fit, or are near enough to be worth a word."""
    try:
        match = find(weights)
    except MissingPackage:  # without a library of architectures there is none to compare with
        return ""
    if match:
        them = " or ".join(f"--arch {name}" for name in match.names[:5])
        return f"They are the weights of another architecture: {them} (or leave --arch out)"
    near = [one for one in nearest(weights, count=1) if one.share >= 0.3]
    return f"The nearest architecture by name is {near[0]}" if near else ""


def _structure(found: Signature, wanted: Signature) -> str:
    """What the names alone say about the cause."""
    shared = found.keys() & wanted.keys()
    if any("ema" in name.lower().split(".")[0] or name == "n_averaged" for name in found.keys() - shared):
        return "An averaged (EMA) copy lies beside the weights: save the one you mean by itself"
    ends, wanted_ends = ({name.partition(".")[2] for name in names} - {""} for names in (found, wanted))
    if not shared and (ends & wanted.keys() or wanted_ends & found.keys() or ends & wanted_ends):
        return "Only what stands before the names differs: a wrapping that only one of the two has"
    if found.keys() == wanted.keys():
        return "The names are the same and the shapes are not: another width of this architecture"
    if words(found) == words(wanted):
        return "The names follow the same pattern: another depth of this architecture"
    return "They look like the weights of another architecture"
