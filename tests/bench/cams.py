"""Class activation maps: six of one picture, and Grad-CAM alone, against bare passes, pytorch-grad-cam and torchcam."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np

import cnnlens
from cnnlens_plugins.cams import formulas

from .bare import Bare
from .measure import Row, cost, faster, same

#: By network: the module of the layer that is chosen, and what six and one may cost of L.
NETS = {
    "resnet50": ("layer4", 1.15, 1.15),
    "vgg16": ("features.29", 1.15, 1.15),
    "mobilenet_v2": ("features.18.2", 1.25, 1.35),
}
SIX = {
    "grad-cam": "GradCAM",
    "grad-cam++": "GradCAMPlusPlus",
    "layer-cam": "LayerCAM",
    "hires-cam": "HiResCAM",
    "xgrad-cam": "XGradCAM",
    "eigen-cam": "EigenCAM",
}


def rows(turns: int) -> Iterator[Row]:
    """A net at a time."""
    for name, (module, for_six, for_one) in NETS.items():
        yield from _rows(Bare(name), module, for_six, for_one, turns)


def _rows(bare: Bare, module: str, for_six: float, for_one: float, turns: int) -> Iterator[Row]:
    first = cnnlens.look(bare.model, bare.pixels, "grad-cam").facts
    index, layer = first["target_index"], first["settings"]["layer"]
    at = bare.peers.get_submodule(module)

    def one() -> Any:
        return cnnlens.look(bare.model, bare.pixels, "grad-cam", target=index)

    def six() -> Any:
        return cnnlens.sheet(bare.model, bare.pixels, list(SIX), targets=[index])

    def floor() -> Any:
        return bare.to_layer(layer, index)

    library = importlib.import_module("pytorch_grad_cam")
    targets = importlib.import_module("pytorch_grad_cam.utils.model_targets")
    wanted = [targets.ClassifierOutputTarget(index)]

    def theirs() -> None:
        for kind in SIX.values():
            with getattr(library, kind)(bare.peers, [at]) as cam:
                cam(bare.fed, wanted)

    torchcam = importlib.import_module("torchcam.methods").GradCAM

    def torchcams() -> Any:
        with torchcam(bare.peers, module) as cam:
            return cam(index, cam.model(bare.fed), normalized=False)[0][0].detach().numpy()

    errors = [_equal(bare, ours, kind, layer, at, wanted) for ours, kind in SIX.items()]
    equal = max(errors, key=float)
    alone = same(one().array, torchcams(), 1e-4, "grad-cam")
    what = f"six CAMs, {bare.name}"
    yield cost(what, "L", six, floor, asked=for_six, equal=equal, turns=turns)
    yield faster(what, "pytorch-grad-cam", six, theirs, asked=15, equal=equal, turns=min(turns, 5))
    what = f"Grad-CAM, {bare.name}"
    yield cost(what, "L", one, floor, asked=for_one, equal=alone, turns=turns)
    yield faster(what, "torchcam", one, torchcams, asked=1, equal=alone, turns=turns)


def _equal(bare: Bare, name: str, kind: str, layer: str, at: Any, wanted: Any) -> str:
    """How far our map is from theirs, before they cut it, and stretch it twice."""
    with getattr(importlib.import_module("pytorch_grad_cam"), kind)(bare.peers, [at]) as cam:
        cam(bare.fed, wanted)
        kept = cam.activations_and_grads
        a = kept.activations[0].numpy()
        g = kept.gradients[0].numpy() if kept.gradients else None
        raw = cam.get_cam_image(bare.fed, at, wanted, a, g, False)[0]
    settings = {"centred": True} if name == "eigen-cam" else {}
    target = wanted[0].category
    look = cnnlens.look(bare.model, bare.pixels, name, target=target, layer=layer, positive=False, **settings)
    got = look.array
    if name == "grad-cam++":  # 1e-6 stands below its line, where squares of gradients are as small
        assert g is not None
        same(raw, formulas.grad_cam_plus_plus(*(np.moveaxis(v[0], 0, -1) for v in (a, g)), 1e-6), 1e-4, name)
        raw = formulas.grad_cam_plus_plus(*(np.moveaxis(v[0], 0, -1).astype(float) for v in (a, g)))
    if name == "eigen-cam":  # the sign of a singular direction is free, and theirs is left to chance
        raw = raw * np.sign((raw * got).sum())
    return same(got, raw, 1e-3, name)
