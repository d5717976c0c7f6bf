"""Score-CAM: each map laid over the picture as a mask; what is left of the score is its weight.  Wang et al., 2020."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import numpy as np

from cnnlens import (
    Approximate,
    Array,
    Candidate,
    Cost,
    Field,
    Model,
    Note,
    Panel,
    PlacesLayers,
    Probe,
    enlarged,
    errors,
    visualiser,
)

from .formulas import weighed
from .gradient_cams import LAYER, POSITIVE
from .places import chosen_of, judge_size, seen
from .showing import panels


def cost(model: Model, settings: Mapping[str, Any]) -> Cost:
    """A forward pass a map, and one for the picture as it is."""
    most = settings["channels"]
    return Cost(1 + sum(min(one.shape[-1], most) for one in chosen_of(settings["layer"], model)))


def judge(model: Model, settings: Mapping[str, Any]) -> Iterator[Approximate]:
    """Too few places; and that a choice of maps is not all of them."""
    for one in chosen_of(settings["layer"], model):
        yield from judge_size(one)
        if settings["channels"] and settings["channels"] < one.shape[-1]:
            yield Approximate(f"{settings['channels']} of the {one.shape[-1]} maps of {one.name} are tried")


@visualiser(
    title="Score-CAM",
    family="class activation maps",
    needs={"activations"},
    paper="Wang et al., 2020",
    link="https://arxiv.org/abs/1910.01279",
    cost=cost,
    judge=judge,
)
def score_cam(
    probe: Probe,
    *,
    layer: Annotated[PlacesLayers, LAYER] = "last",
    positive: Annotated[bool, POSITIVE] = True,
    channels: Annotated[
        int, Field(ge=1, le=65536, description="how many maps, those that vary most; 65536 is as good as all")
    ] = 128,
    baseline: Annotated[
        Literal["black", "mean"],
        Field(description="what stands where a mask hides; mean: what is fed as zero"),
    ] = "black",
    of: Annotated[
        Literal["score", "probability"], Field(description="what is measured; scores go through a softmax")
    ] = "score",
) -> tuple[Panel, ...]:
    """A layer's maps, each weighted by the score that is left when only its places are seen.

    A map is enlarged to the picture's size, stretched to [0, 1] and multiplied with the picture. The weights are
    the softmax, over the maps, of the scores; or, `of=probability`, the probabilities themselves, as in the
    authors' code. Flat maps hide nothing or all, and get no weight. In units of activation.
    The paper tries every map, a pass each; unasked it is the 128 that vary most, and the note tells which share
    of the layer's energy, the sum of its squares, they hold.
    """
    if of == "probability" and probe.target.layers:
        raise errors.Unmet(f"{probe.target.text} is a unit of a layer: it has a value, no probability")
    taken = [(one, a, strongest(a, channels)) for one, a, _ in seen(probe, layer, gradients=False)]
    total, done, maps, notes = sum(len(which) for _, _, which in taken), 0, [], []
    for one, a, which in taken:
        weights = np.zeros(a.shape[-1], np.float32)
        weights[which] = _left(_told_of(probe, done, total), a[..., which], baseline, of)
        done += len(which)
        if of == "score" and len(which):
            powers = np.exp(weights[which] - weights[which].max())
            weights[which] = powers / powers.sum()
        maps.append((one, weighed(a, weights)))
        notes += _told(one, a, which)
    return panels(
        "Score-CAM", maps, probe, positive=positive, unit="activation", notes=notes,
        means="speaks for the class",
    )  # fmt: skip


def strongest(a: Array, most: int) -> Array:
    """The channels that are not flat; at most `most`, those whose ends are furthest apart, in their order."""
    spread = np.ptp(a, axis=(0, 1))
    order = np.argsort(-spread, kind="stable")[: (spread > 0).sum()]
    return np.sort(order[:most])


def masks(a: Array, size: tuple[int, int]) -> Array:
    """Maps (h, w, n), none of them flat → masks (n, *size) from 0 to 1."""
    large = enlarged(np.moveaxis(a, -1, 0), size)
    low, high = (end(large, axis=(1, 2), keepdims=True) for end in (np.min, np.max))
    return np.asarray((large - low) / (high - low))


def _left(probe: Probe, a: Array, baseline: str, of: str) -> Array:
    """The target's value (n,) when the picture is seen through each map (h, w, n) in turn."""
    hidden = np.float32(0) if baseline == "black" else zero_of(probe.model)
    size = probe.pixels.shape[:2]
    through = (masks(a[..., i : i + 1], size)[0, ..., None] for i in range(a.shape[-1]))
    pictures = (mask * probe.pixels + (1 - mask) * hidden for mask in through)
    return probe.score_of(pictures, a.shape[-1], probability=of == "probability")


def _told_of(probe: Probe, before: int, total: int) -> Probe:
    """The probe, whose progress goes on from what was done before."""
    return probe.towards(progress=lambda done, _: probe.tick(before + done, total))


def zero_of(model: Model) -> Array:
    """The pixel (1 or c,) that the model is fed as zero."""
    low, high = model.input.range
    return np.asarray((np.asarray(model.input.mean) - low) / (high - low), np.float32)


def _told(one: Candidate, a: Array, which: Array) -> list[Note]:
    flat = int((np.ptp(a, axis=(0, 1)) == 0).sum())
    energy = np.square(a, dtype=np.float64).sum((0, 1))
    share = f", with {energy[which].sum() / energy.sum():.0%} of their energy" if energy.any() else ""
    used = f"{one.name}: {len(which)} of {a.shape[-1]} maps weighed{share}"
    return [Note(used + (f"; {flat} are flat" if flat else ""))] if len(which) < a.shape[-1] else []
