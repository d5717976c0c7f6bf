"""What stands against a rule on a network, in words, read off the calls alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from cnnlens import Approximate, CallInfo, Impossible

from .structure import is_rectifier, reached, signals

_WORDS = {
    "softmax": "softmax inside the network",
    "attention": "attention",
    "normalisation": "normalisation by the picture's own mean and spread",
    "divide": "a quotient of two values of the picture",
}


def named(infos: Sequence[CallInfo]) -> str:
    """How many, and the first names: "3 layers: a, b, …"."""
    names = list(dict.fromkeys(info.name for info in infos))
    shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f"{len(infos)} layer{'s' if len(infos) > 1 else ''}: {shown}"


def without_rule(method: str, infos: Sequence[CallInfo], kinds: Iterable[str]) -> Iterator[Impossible]:
    """One reason for each kind of call that no rule is known for."""
    for kind in kinds:
        found = [info for info in infos if info.kind == kind]
        if kind == "other":
            for function, some in _by_function(found).items():
                yield Impossible(f"{method} has no rule for {function or 'this call'} ({named(some)})")
        elif found:
            yield Impossible(f"{method} has no rule for {_WORDS[kind]} ({named(found)})")


def lrp_reasons(calls: Sequence[CallInfo]) -> Iterator[Approximate | Impossible]:
    """What LRP has no rule for, and where its rule is a stand-in."""
    walked = reached(calls)
    yield from without_rule("LRP", walked, ("softmax", "attention", "normalisation", "other"))
    bent = [info for info in walked if info.kind == "activation" and not is_rectifier(info)]
    for function, some in _by_function(bent).items():
        yield Approximate(f"LRP passes relevance through {function} ({named(some)}) as if it were a ReLU")
    gated = [
        info for info in walked if info.kind == "multiply" and len(signals(info, calls)) < len(info.inputs)
    ]
    if gated:
        yield Approximate(f"the gate of a product takes no relevance, the signal all ({named(gated)})")
    products = [info for info in walked if info.kind == "multiply" and info not in gated]
    if products:
        yield Approximate(f"the factors of a product take the same relevance each ({named(products)})")
    if quotients := [info for info in walked if info.kind == "divide"]:
        yield Approximate(f"the divisor of a quotient takes no relevance ({named(quotients)})")


def deeplift_reasons(calls: Sequence[CallInfo]) -> Iterator[Impossible]:
    """What DeepLIFT has no multiplier for."""
    kinds = ("softmax", "attention", "normalisation", "divide", "other")
    yield from without_rule("DeepLIFT", calls, kinds)
    if steered := [info for info in calls if info.hyper.get("steered")]:
        yield Impossible(
            f"DeepLIFT has no rule for masks, indices or means that are made from the picture ({named(steered)})"
        )


def clipping_reasons(method: str, calls: Sequence[CallInfo]) -> Iterator[Approximate | Impossible]:
    """Whether there are ReLUs to clip at, and which activations are none."""
    activations = [info for info in calls if info.kind == "activation"]
    others = [info for info in activations if not is_rectifier(info)]
    if len(others) == len(activations):
        has = f"its activations are {', '.join(_by_function(others))}" if others else "it has no activation"
        yield Impossible(f"{method} clips at ReLUs, and there is none: {has}")
        return
    for function, some in _by_function(others).items():
        yield Approximate(f"{method} clips at ReLUs; {function} hands on its plain gradient ({named(some)})")


def blind_reasons(calls: Sequence[CallInfo]) -> Iterator[Approximate]:
    """Whether anything but the target steers a network that is run backwards without its ReLUs."""
    if all(info.affine or info.kind == "input" or is_rectifier(info) for info in calls):
        yield Approximate(
            "DeconvNet finds its way back by the places of maxima, and this network has no max-pooling: "
            "what it draws is the same for every picture"
        )


def _by_function(infos: Sequence[CallInfo]) -> dict[str, list[CallInfo]]:
    found: dict[str, list[CallInfo]] = {}
    for info in infos:
        found.setdefault(info.function, []).append(info)
    return found
