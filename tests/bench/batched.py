"""Methods that run many passes, against the peers' defaults: seconds, and the memory both take.

The peers' pictures are compared with ours on the same random numbers where they can be handed in, and by sums
that must agree where they cannot.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import cnnlens
from cnnlens.memory import in_words, peak_of
from cnnlens.runtime import kept

from .bare import SIDE, Bare
from .measure import Row, Run, cost, faster, same

INDEX = 3
SAMPLES = 50
GRADIENTS = {"resnet50": 2.5, "mobilenet_v2": 3.5, "vgg16": 1.4}
SCORE = {"mobilenet_v2": 1.5, "resnet18": 1.2}
ABLATION = {("resnet18", "layer4"): 100, ("resnet18", "layer3"): 5, ("mobilenet_v2", "features.18"): 100}
LIMIT = 11 * 2**30 // 10  #: bytes above the model that are asked for


def rows(turns: int) -> Iterator[Row]:
    """The CAMs that try each map; then gradients on the way and under noise."""
    for (name, layer), asked in ABLATION.items():
        yield ablated(Bare(name), layer, asked, turns)
    for name, asked in SCORE.items():
        yield scored(Bare(name), asked, turns)
    for name, asked in GRADIENTS.items():
        bare = Bare(name)
        yield integrated(bare, asked, turns)
        yield smoothed(bare, asked, turns)
        yield above_bare_passes(bare, turns)


def integrated(bare: Bare, asked: float, turns: int) -> Row:
    """Integrated gradients with 50 steps: Captum's own rule, from black, in one batch of 50 as it does unasked."""
    from captum.attr import IntegratedGradients

    black = laid(bare, np.zeros_like(bare.pixels))
    oracle = IntegratedGradients(bare.peers)

    def peer() -> Any:
        return oracle.attribute(bare.fed, black, target=INDEX, n_steps=SAMPLES, method="gausslegendre")

    def ours() -> Any:
        probe = cnnlens.Probe(bare.model, bare.pixels, target=INDEX)
        return cnnlens.look(bare.model, probe, "integrated-gradients", steps=SAMPLES)

    equal = same(ours().array, peer()[0].sum(0).detach().numpy(), 2e-2, "integrated gradients")
    return held_to(LIMIT, f"integrated gradients, 50 steps, {bare.name}", ours, peer, asked, equal, turns)


def smoothed(bare: Bare, asked: float, turns: int) -> Row:
    """SmoothGrad of 50 samples; each draws its own noise, so both are held to the gradient at no noise at all.

    To that in double precision: where maxima are chosen, as in vgg16, float32 alone is off by some percent.
    """
    from captum.attr import NoiseTunnel, Saliency

    oracle = NoiseTunnel(Saliency(bare.peers))

    def peer(spread: float = 0.15) -> Any:
        return oracle.attribute(
            bare.fed, nt_type="smoothgrad", nt_samples=SAMPLES, stdevs=spread / 0.225, target=INDEX, abs=False
        )

    def ours(spread: float = 0.15) -> Any:
        probe = cnnlens.Probe(bare.model, bare.pixels, target=INDEX)
        return cnnlens.look(
            bare.model, probe, "smoothgrad", samples=SAMPLES, noise=spread, sign="signed", join="sum"
        )

    scale = np.asarray(bare.model.input.std, np.float32)
    theirs = (np.moveaxis(peer(0.0)[0].detach().numpy(), 0, -1) / scale).sum(-1)
    exact = (in_double(bare) / scale).sum(-1)
    off, peers = (
        float(np.abs(found - exact).max() / np.abs(exact).max()) for found in (ours(0.0).array, theirs)
    )
    if not off <= 2 * peers + 1e-5:
        raise ValueError(f"smoothgrad: off by {off:.1e} without noise, Captum by {peers:.1e}")
    equal = f"{off:.0e} without noise, Captum {peers:.0e}, from double precision"
    return held_to(LIMIT, f"SmoothGrad, 50 samples, {bare.name}", ours, peer, asked, equal, turns)


def held_to(
    limit: int,
    what: str,
    ours: Run,
    peer: Run,
    asked: float,
    equal: str,
    turns: int,
    who: str = "Captum unasked",
) -> Row:
    """Faster than the peer by what is asked, and within the limit of bytes."""
    mine, theirs = peak_of(ours), peak_of(peer)
    row = faster(
        f"{what}; takes {told(mine)}", f"{who}, {told(theirs)}", ours, peer,
        asked=asked, equal=equal, turns=turns, warm=True,
    )  # fmt: skip
    return dataclasses.replace(row, takes=mine, may=limit)


def above_bare_passes(bare: Bare, turns: int) -> Row:
    """What SmoothGrad adds to as many folded passes, there and back, of pictures that are at hand."""
    model = bare.model
    size = model.batch_for(gradients=True)
    replay = model.replay(model.input.encode(bare.pixels[None]))
    fed = np.repeat(model.input.encode(bare.pixels[None]), size, 0)

    def passes() -> None:
        with kept():
            for done in range(0, SAMPLES, size):
                some = fed[: SAMPLES - done]
                ran = replay.forward(some, ("input",), True)
                ran.pull(
                    {"scores": np.eye(model.outputs[-1], dtype=np.float32)[[INDEX] * len(some)]}, ["input"]
                )

    def ours() -> Any:
        probe = cnnlens.Probe(model, bare.pixels, target=INDEX)
        return cnnlens.look(model, probe, "smoothgrad", samples=SAMPLES)

    what, against = f"SmoothGrad, 50 samples, {bare.name}", f"as many bare passes, folded, {size} at once"
    return cost(what, against, ours, passes, asked=None, equal="", turns=turns)


def in_double(bare: Bare) -> Any:
    """The gradient by what is fed, (h, w, 3), of the network in double precision."""
    fed = bare.fed.double().requires_grad_()
    score = copy.deepcopy(bare.net).double()(fed)[0, INDEX]
    return np.moveaxis(bare.torch.autograd.grad(score, fed)[0][0].numpy(), 0, -1)


def ablated(bare: Bare, layer: str, asked: float, turns: int) -> Row:
    """Ablation-CAM: every map of a layer, one after another."""
    from pytorch_grad_cam import AblationCAM

    part = bare.peers.get_submodule(layer)
    blocks = [one.name for one in bare.model.layers if one.name.startswith(layer) and len(one.shape) == 3]
    name = blocks[-1] if blocks[-1] != layer else layer
    found: dict[str, Any] = {}

    def peer() -> Any:
        with AblationCAM(bare.peers, [part], batch_size=32) as cam:
            found["theirs"] = cam(bare.fed, targets())
            return found["theirs"]

    def ours() -> Any:
        probe = cnnlens.Probe(bare.model, bare.pixels, target=INDEX)
        return cnnlens.look(bare.model, probe, "ablation-cam", layer=name)

    peer()
    equal = agreement(ours().array, found["theirs"])
    what = f"Ablation-CAM, {bare.name}, {name}"
    return faster(
        what, "pytorch-grad-cam, batches of 32", ours, peer, asked=asked, equal=equal, turns=turns, warm=True
    )


def scored(bare: Bare, asked: float, turns: int) -> Row:
    """Score-CAM with every map of the last layer."""
    from pytorch_grad_cam import ScoreCAM

    name = last(bare)
    part = bare.peers.layer4 if bare.name == "resnet18" else bare.peers.features[-1]

    def peer() -> Any:
        with ScoreCAM(bare.peers, [part]) as cam:
            cam.batch_size = 16
            return cam(bare.fed, targets())

    def ours() -> Any:
        probe = cnnlens.Probe(bare.model, bare.pixels, target=INDEX)
        return cnnlens.look(bare.model, probe, "score-cam", layer=name, channels=65536, baseline="mean")

    equal = agreement(ours().array, peer())
    quarter = (peak_of(peer) or 0) // 4
    who = "pytorch-grad-cam, batches of 16"
    return held_to(quarter, f"Score-CAM, all maps, {bare.name}", ours, peer, asked, equal, turns, who)


def last(bare: Bare) -> str:
    """The layer that cnnlens takes unasked."""
    return next(
        iter(
            cnnlens.look(bare.model, bare.pixels, "grad-cam", target=INDEX)
            .facts["settings"]["layer"]
            .split(",")
        )
    )


def targets() -> list[Callable[[Any], Any]]:
    """The class, as pytorch-grad-cam wants it."""
    return [lambda scores: scores[INDEX]]


def laid(bare: Bare, pixels: np.ndarray) -> Any:
    """A picture as the bare network is fed it."""
    fed = np.moveaxis(bare.model.input.encode(pixels[None]), -1, 1)
    return bare.torch.from_numpy(np.ascontiguousarray(fed))


def agreement(ours: np.ndarray, theirs: np.ndarray) -> str:
    """Of two maps, theirs cut off at zero, enlarged and scaled to 1: the correlation of what is above zero."""
    cut = np.maximum(cnnlens.enlarged(ours[None], (SIDE, SIDE))[0], 0)
    value = float(np.corrcoef(cut.ravel(), theirs[0].ravel())[0, 1])
    if not value > 0.99:
        raise ValueError(f"the maps correlate by {value:.3f} only")
    return f"correlation {value:.4f}"


def told(peak: int | None) -> str:
    """The bytes that a run took at its height."""
    return in_words(peak) if peak else "memory untold"
