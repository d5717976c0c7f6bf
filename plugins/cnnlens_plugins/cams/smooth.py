"""Smooth Grad-CAM++: Grad-CAM++ by gradients averaged over noisy copies of the picture.  Omeiza et al., 2019."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np

from cnnlens import Array, Cost, Field, Model, Note, Panel, PlacesLayers, Probe, names_of, visualiser

from .formulas import alphas, weighed
from .gradient_cams import LAYER, POSITIVE
from .places import by_place, chosen_of, judge_sums
from .showing import panels

GROUPS = 10  # parts of the sample, each of which is left out once to see how far the map moves
Sums = list[Array]  # of the gradient and its second and third powers, (3, h, w, c) a layer


def cost(model: Model, settings: Mapping[str, Any]) -> Cost:
    """A forward and a backward pass a copy, and one for the picture as it is."""
    return Cost(1 + settings["n"], settings["n"])


@visualiser(
    title="Smooth Grad-CAM++",
    family="class activation maps",
    needs={"activations", "gradients"},
    paper="Omeiza et al., 2019",
    link="https://arxiv.org/abs/1908.01224",
    cost=cost,
    judge=judge_sums,
    name="smooth-grad-cam++",
)
def smooth_grad_cam_plus_plus(
    probe: Probe,
    *,
    layer: Annotated[PlacesLayers, LAYER] = "last",
    positive: Annotated[bool, POSITIVE] = True,
    n: Annotated[int, Field(ge=2, le=1000, description="how many noisy copies")] = 20,
    sigma: Annotated[
        float, Field(ge=0, le=2, description="spread of the noise, in intensity of [0, 1]")
    ] = 0.15,
    seed: Annotated[int, Field(ge=0, le=2**31 - 1, description="of the noise")] = 0,
) -> tuple[Panel, ...]:
    """Grad-CAM++ whose gradients, and their powers, are means over copies of the picture with noise.

    The activations are those of the picture itself. The numerator of α is the second power, as in Grad-CAM++ and in
    other implementations; the paper prints the first. How far the map would move with other noise is told as a
    standard error, by leaving out each tenth of the copies in turn.
    """
    probe.look_at(*names_of(layer, probe.model))
    layers = chosen_of(layer, probe.model)
    activations = [by_place(probe.activations(one.name), one) for one in layers]
    counts, groups = _sampled(probe, names_of(layer, probe.model), n, sigma, seed)
    maps, notes = [], []
    for place, (one, a) in enumerate(zip(layers, activations, strict=True)):
        parts = [np.stack([by_place(power, one) for power in group[place]]) for group in groups]
        total = np.sum(parts, 0)
        maps.append((one, _map(a, total / n)))
        error = standard_error([_map(a, (total - p) / (n - k)) for p, k in zip(parts, counts, strict=True)])
        notes.append(_spread(one.name, n, error, maps[-1][1]))
    return panels("Smooth Grad-CAM++", maps, probe, positive=positive, notes=notes)


def standard_error(without: list[Array]) -> Array:
    """The jackknife's standard error of a map, from the maps that leave out one group each."""
    maps = np.asarray(without, np.float64)
    return np.asarray(np.sqrt((len(maps) - 1) / len(maps) * np.square(maps - maps.mean(0)).sum(0)))


def _spread(layer: str, n: int, error: Array, values: Array) -> Note:
    """How far the map would move with other noise."""
    largest, most = float(np.abs(values).max()), float(error.max())
    if not most:
        return Note(
            f"{layer}: the gradient there is the same for all {n} copies, so smoothing changes nothing"
        )
    told = f"{most / largest:.2g} of its largest value" if largest else f"{most:.2g}, and the map is zero"
    return Note(f"{layer}: over {n} copies the map's standard error is at most {told}")


def _map(a: Array, powers: Array) -> Array:
    mean, squares, cubes = powers
    return np.asarray(weighed(a, (alphas(a, squares, cubes) * np.maximum(mean, 0)).sum((0, 1))), np.float32)


def _sampled(
    probe: Probe, layers: tuple[str, ...], n: int, sigma: float, seed: int
) -> tuple[list[int], list[Sums]]:
    """The powers of the gradients at each layer, summed over each group of noisy copies; and the groups' sizes."""
    rng = np.random.default_rng(seed)
    counts = [len(part) for part in np.array_split(range(n), min(n, GROUPS))]
    group_of = np.repeat(np.arange(len(counts)), counts)
    groups: list[Sums] = [[] for _ in counts]
    shape, spread = probe.pixels.shape, np.float32(sigma)
    copies = (probe.pixels + rng.standard_normal(shape, np.float32) * spread for _ in range(n))
    start = 0
    for ran in probe.model.in_batches(copies, watch=layers, target=probe.target):
        which = group_of[start : start + len(ran.scores)]
        for group in np.unique(which):
            sums = [
                np.stack([(g.astype(np.float64) ** power).sum(0) for power in (1, 2, 3)])
                for g in (ran.gradients[name][which == group] for name in layers)
            ]
            groups[group] = (
                [a + b for a, b in zip(groups[group], sums, strict=True)] if groups[group] else sums
            )
        start += len(which)
        probe.tick(start, n)
    return counts, groups
