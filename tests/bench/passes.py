"""Saliency, and the activations of every layer, against bare passes, hooks that clone, captum and torchlens."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np

import cnnlens

from .bare import Bare
from .measure import Row, cost, faster, same

NETS = ("resnet50", "vgg16", "mobilenet_v2")
SALIENCY = {"resnet50": 1.08, "vgg16": 1.08, "mobilenet_v2": 1.15}
EVERY_LAYER = {"resnet50": 1.25, "mobilenet_v2": 1.4}


def rows(turns: int) -> Iterator[Row]:
    """A net at a time."""
    for name in NETS:
        bare = Bare(name)
        yield _saliency(bare, turns)
        if name in EVERY_LAYER:
            yield from _every_layer(bare, turns)


def _saliency(bare: Bare, turns: int) -> Row:
    def ours(target: Any = None) -> Any:
        return cnnlens.look(bare.model, bare.pixels, "saliency", target=target)

    index = ours().facts["target_index"]
    gradient = cnnlens.Probe(bare.model, bare.pixels, index).gradients() / bare.model.input.scale
    equal = same(gradient, _captums(bare, index), 1e-4, "saliency")
    return cost(
        f"saliency, {bare.name}", "forward and gradient to the picture", lambda: ours(index),
        lambda: bare.to_pixels(index), asked=SALIENCY[bare.name], equal=equal, turns=turns,
    )  # fmt: skip


def _captums(bare: Bare, index: int) -> Any:
    attr = importlib.import_module("captum.attr")
    theirs = attr.Saliency(bare.net).attribute(bare.fed.clone().requires_grad_(), target=index, abs=False)
    return np.moveaxis(theirs[0].detach().numpy(), 0, -1)


def _every_layer(bare: Bare, turns: int) -> Iterator[Row]:
    names = [layer.name for layer in bare.model.layers if layer.shape]
    modules = [name for name, _ in bare.net.named_modules() if name in names]

    def ours() -> Any:
        return bare.model.trace(bare.pixels[None], watch=names).activations

    seen, cloned = ours(), bare.cloning(modules)
    errors = [same(seen[n], _laid(cloned[n]), 0, n) for n in modules if cloned[n].abs().max() > 0]
    what, equal = f"all {len(names)} layers, {bare.name}", f"{max(errors)} of {len(errors)} modules"
    yield cost(what, "forward", ours, bare.forward, asked=EVERY_LAYER[bare.name], equal=equal, turns=turns)
    yield cost(
        what, f"hooks that clone, {len(modules)} modules", ours, lambda: bare.cloning(modules),
        asked=None, equal=equal, turns=turns,
    )  # fmt: skip
    yield cost(
        what, "hooks that hold on to what they see, written over or not", ours, lambda: bare.holding(modules),
        asked=None, equal=equal, turns=turns,
    )  # fmt: skip
    try:
        lens = importlib.import_module("torchlens")
    except ImportError:
        return
    with bare.torch.no_grad():
        yield faster(
            what, "torchlens", ours, lambda: lens.trace(bare.net, bare.fed), asked=10, equal=equal,
            turns=min(turns, 5),
        )  # fmt: skip


def _laid(out: Any) -> Any:
    return np.moveaxis(out.numpy(), 1, -1) if out.ndim == 4 else out.numpy()
