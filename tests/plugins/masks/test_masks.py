"""The visualisers that hide parts: their numbers against slow, obvious twins."""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

import nets
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from needs import need

import cnnlens
from cnnlens import Model, Note, Probe, look
from cnnlens.errors import Cancelled, MissingPackage, Unmet
from cnnlens.testing import assert_untouched, check_visualiser, picture, snapshot, tiny_model
from cnnlens_plugins.masks.coalitions import values_of
from cnnlens_plugins.masks.covers import cover_of
from cnnlens_plugins.masks.descent import area_slope
from cnnlens_plugins.masks.extremal import extremal
from cnnlens_plugins.masks.grids import RandomMasks
from cnnlens_plugins.masks.kernel_shap import kernel_shap
from cnnlens_plugins.masks.lime import lime
from cnnlens_plugins.masks.occlusion import occlusion
from cnnlens_plugins.masks.regions import means, regions_of
from cnnlens_plugins.masks.rise import expectation, rise

FAMILY = {
    "occlusion": occlusion,
    "rise": rise,
    "lime": lime,
    "kernel-shap": kernel_shap,
    "extremal": extremal,
}
RANDOM = {
    "rise": {"masks": 12},
    "lime": {"samples": 12, "regions": 6},
    "kernel-shap": {"samples": 12, "regions": 9},
    "extremal": {"steps": 4},
}


@pytest.fixture(params=["plain", "residual", "depthwise"])
def net(request: pytest.FixtureRequest) -> Model:
    return cnnlens.wrap(getattr(nets, request.param)(), preprocess=nets.SPEC, labels=nets.NAMES)


def noted(result: cnnlens.Result) -> str:
    return next(panel.text for panel in result.panels if isinstance(panel, Note))


@pytest.mark.parametrize("name", FAMILY)
def test_they_keep_the_rules(name: str) -> None:
    need("torch")
    need("skimage")
    need("sklearn")
    assert FAMILY[name].name == name
    check_visualiser(FAMILY[name], **RANDOM.get(name, {}))


@pytest.mark.parametrize("name", FAMILY)
def test_the_model_is_as_it_was_where_a_pass_fails(tiny_in_torch: Model, name: str) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("in the middle")

    handle = tiny_in_torch.native.train().pool.register_forward_hook(fail)
    before = snapshot(tiny_in_torch)
    with pytest.raises(cnnlens.errors.PluginFailed, match="in the middle"):
        look(tiny_in_torch, picture(tiny_in_torch), FAMILY[name], target=1)
    assert_untouched(before, snapshot(tiny_in_torch), name)
    handle.remove()


@pytest.mark.parametrize("name", RANDOM)
def test_another_seed_another_answer(tiny: Model, name: str) -> None:
    image = picture(tiny)
    first, other, again = (look(tiny, image, FAMILY[name], seed=s, **RANDOM[name]) for s in (0, 1, 0))
    assert np.array_equal(first.array, again.array) and noted(first) == noted(again)
    assert noted(first) != noted(other)


@pytest.mark.parametrize("name", RANDOM)
def test_cost_is_what_is_run(tiny: Model, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {"forwards": 0, "backwards": 0}
    trace, chosen = tiny.trace, FAMILY[name]
    chosen.verdict(tiny)  # its one pass is not the picture's

    def counted(x: Any, **given: Any) -> Any:
        seen["forwards"] += len(x)
        seen["backwards"] += len(x) if given.get("target") else 0
        return trace(x, **given)

    monkeypatch.setattr(tiny, "trace", counted)
    told = chosen.cost_of(tiny, chosen.settings.parse(RANDOM[name]))
    look(tiny, picture(tiny), chosen, target="top1", **RANDOM[name])
    assert seen["backwards"] == told.backwards
    assert seen["forwards"] <= told.forwards <= seen["forwards"] + 3  # equal rows share a pass


@pytest.mark.parametrize("name", RANDOM)
def test_it_ticks_and_stops(tiny: Model, name: str) -> None:
    def stop(done: int, total: int) -> None:
        if total > 1:
            raise Cancelled(f"{done} of {total}")

    with pytest.raises(Cancelled):
        look(tiny, picture(tiny), FAMILY[name], progress=stop)


@pytest.mark.parametrize("name", RANDOM)
def test_a_unit_of_a_layer_can_be_asked_about(tiny: Model, name: str) -> None:
    result = look(tiny, picture(tiny), FAMILY[name], target="conv[0]", **RANDOM[name])
    assert np.ptp(result.array) > 0
    if name != "extremal":
        with pytest.raises(Unmet, match="no probability"):
            look(tiny, picture(tiny), FAMILY[name], target="conv[0]", of="probability", **RANDOM[name])


@settings(max_examples=8, deadline=None)
@given(
    channels=st.integers(1, 3), inner=st.integers(1, 4), side=st.integers(4, 6), stride=st.integers(1, 2),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_occlusion_by_pixels_on_any_small_net(
    channels: int, inner: int, side: int, stride: int, seed: int
) -> None:
    torch = need("torch")
    torch.manual_seed(seed)
    nn = torch.nn
    module = nn.Sequential(
        nn.Conv2d(channels, inner, 3, stride, 1), nn.Tanh(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Linear(4 * inner, 2),
    )  # fmt: skip
    model = cnnlens.wrap(module, preprocess={"size": side, "channels": channels})
    image = picture(model, seed)
    base = model.trace(image[None]).scores[0, 1]
    slow = np.zeros((side, side))
    for y, x in itertools.product(range(side), repeat=2):
        hidden = image.copy()
        hidden[y, x] = 0.5
        slow[y, x] = base - model.trace(hidden[None]).scores[0, 1]
    got = look(model, image, occlusion, target=1, window=1, stride=1, fill="grey").array
    np.testing.assert_allclose(got, slow, atol=1e-5)


@pytest.mark.parametrize("fill", ["black", "mean", "blur"])
def test_rise_against_a_loop_over_masks(net: Model, fill: Any) -> None:
    image, masks = picture(net, 3), 23
    drawn = RandomMasks.drawn(masks, 5, 0.4, image.shape[:2], 7)
    total, weight = np.zeros((2, 32, 32))
    scores = []
    for place in range(masks):
        mask = drawn.one(place)
        covered = image * mask[..., None] + cover_of(image, fill) * (1 - mask[..., None])
        scores.append(float(net.trace(covered[None].astype(np.float32)).scores[0, 2]))
        total += scores[-1] * mask
        weight += mask
    given_ = {"masks": masks, "cells": 5, "p": 0.4, "fill": fill, "seed": 7}
    plain = look(net, image, rise, target=2, centred=False, **given_).array
    centred = look(net, image, rise, target=2, **given_).array
    np.testing.assert_allclose(plain, total / weight, atol=1e-4 * np.abs(total / weight).max())
    np.testing.assert_allclose(centred, total / weight - np.mean(scores), atol=1e-4 * np.abs(scores).max())


def test_rises_masks_are_the_papers() -> None:
    transform = need("skimage.transform")
    drawn = RandomMasks.drawn(4, 7, 0.5, (60, 90), 3)
    for place in range(4):
        top, left = drawn.shifts[place]
        large = transform.resize(drawn.grids[place].astype(float), (8 * 9, 8 * 13), order=1, mode="edge")
        np.testing.assert_allclose(drawn.one(place), large[top : top + 60, left : left + 90], atol=1e-6)
    many = np.stack([RandomMasks.drawn(400, 7, 0.3, (28, 28), 0).one(i) for i in range(400)])
    assert abs(many.mean() - 0.3) < 0.01 and many.min() >= 0 and many.max() <= 1


def test_rises_error_is_the_spread_of_its_runs() -> None:
    """Over many seeds, maps of noise alone scatter as far as each of them says of itself."""
    maps, errors = [], []
    for seed in range(60):
        drawn = RandomMasks.drawn(200, 4, 0.5, (12, 12), seed)
        values = np.random.default_rng(1000 + seed).standard_normal(200)
        found, error = expectation(drawn, values)
        maps.append(found)
        errors.append(error)
    assert 0.85 < np.std(maps, 0).mean() / np.mean(errors) < 1.15


@pytest.mark.parametrize("cut", ["slic", "quickshift", "grid"])
@pytest.mark.parametrize("shape", [(32, 32, 3), (20, 33, 1), (16, 16, 4)])
def test_regions_are_numbered_through_and_cover_the_picture(cut: Any, shape: tuple[int, ...]) -> None:
    need("skimage")
    pixels = np.random.default_rng(0).random(shape, np.float32)
    labels = regions_of(pixels, cut, 16)
    assert labels.shape == shape[:2] and set(np.unique(labels)) == set(range(labels.max() + 1))
    assert cut == "quickshift" or 6 <= labels.max() + 1 <= 24
    coloured = means(pixels, labels)
    for region in range(labels.max() + 1):
        inside = labels == region
        np.testing.assert_allclose(coloured[inside][0], pixels[inside].mean(0), atol=1e-5)


def brute_force_shapley(probe: Probe, labels: np.ndarray, cover: np.ndarray, of: Any = "score") -> np.ndarray:
    """Shapley values by their definition: the mean gain of each region over every set of the others."""
    count = int(labels.max()) + 1
    every = np.array(list(itertools.product([False, True], repeat=count)))
    values = values_of(probe, every, labels, cover, of)
    worth = {tuple(row): value for row, value in zip(every.tolist(), values, strict=True)}
    found = np.zeros(count)
    for region in range(count):
        for row in every[~every[:, region]].tolist():
            size = sum(row)
            share = math.factorial(size) * math.factorial(count - size - 1) / math.factorial(count)
            more = row.copy()
            more[region] = True
            found[region] += share * (worth[tuple(more)] - worth[tuple(row)])
    return found


@pytest.mark.parametrize("of", ["score", "probability"])
def test_kernel_shap_of_all_sets_is_shapley(net: Model, of: Any) -> None:
    need("sklearn")
    probe = Probe(net, picture(net, 5), 3)
    labels = regions_of(probe.pixels, "grid", 9)
    cover = cover_of(probe.pixels, "mean")
    slow = brute_force_shapley(probe, labels, cover, of)
    result = look(net, probe, kernel_shap, cut="grid", regions=9, samples=512, of=of)
    assert np.abs(result.array - slow[labels]).max() <= 1e-6 * max(1, np.abs(slow).max())
    assert "exact, from all 512 sets" in noted(result)


def test_kernel_shap_by_chance_adds_up_and_comes_near(net: Model) -> None:
    need("sklearn")
    probe = Probe(net, picture(net, 5), 3)
    labels = regions_of(probe.pixels, "grid", 9)
    ends = values_of(
        probe, np.array([[False] * 9, [True] * 9]), labels, cover_of(probe.pixels, "mean"), "score"
    )
    exact = look(net, probe, kernel_shap, cut="grid", regions=9, samples=512).array
    sizes = np.bincount(labels.ravel())
    errors = []
    for seed in range(4):
        near = look(net, probe, kernel_shap, cut="grid", regions=9, samples=200, seed=seed).array
        assert abs((near / sizes[labels]).sum() - (ends[1] - ends[0])) <= 1e-5 * max(1, np.abs(ends).max())
        errors.append(near - exact)
    assert np.abs(np.mean(errors, 0)).max() < 0.1 * np.abs(exact).max()


def test_kernel_shap_of_two_regions_by_hand(tiny: Model) -> None:
    need("sklearn")
    image = picture(tiny)
    probe = Probe(tiny, image, 0)
    labels = np.zeros((8, 8), int)
    labels[:, 4:] = 1
    rows = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], bool)
    nothing, left, right, both = values_of(probe, rows, labels, np.zeros_like(image), "score")
    slow = brute_force_shapley(probe, labels, np.zeros_like(image))
    assert np.allclose(slow, [(left - nothing + both - right) / 2, (right - nothing + both - left) / 2])


def test_lime_finds_the_coefficients_of_a_line() -> None:
    """A network that is linear in its pixels, hidden by black: without a ridge, LIME finds its very parts."""
    need("sklearn")
    torch = need("torch")
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 12 * 12, 2))
    model = cnnlens.wrap(module, preprocess={"size": 12, "channels": 3, "mean": 0.0, "std": 1.0})
    image = picture(model)
    weight = module[1].weight.detach().numpy()[1].reshape(3, 12, 12).transpose(1, 2, 0)
    labels = regions_of(image, "grid", 9)
    parts = np.bincount(labels.ravel(), (weight * image).sum(-1).ravel())
    result = look(model, image, lime, target=1, cut="grid", regions=9, samples=100, fill="black", ridge=0)
    np.testing.assert_allclose(result.array, parts[labels], atol=1e-4 * np.abs(parts).max())
    assert "explains 100%" in noted(result)


@pytest.mark.parametrize("goal", ["keep", "destroy"])
def test_extremal_holds_its_area_and_beats_chance(net: Model, goal: str) -> None:
    given_ = {"goal": goal, "area": 0.3, "fill": "grey", "cells": 8}
    result = look(net, picture(net, 9), extremal, target="top1", steps=100, **given_)
    assert 0 <= result.array.min() and result.array.max() <= 1
    assert abs(result.array.mean() - 0.3) < 0.06
    told = re.search(r"cover alone, (\S+) with .* leave (\S+) on average", noted(result))
    assert told
    found, by_chance = map(float, told.groups())
    assert found > by_chance if goal == "keep" else found < by_chance, noted(result)


def test_the_slope_of_the_area_is_its_derivative() -> None:
    mask = np.random.default_rng(2).random((5, 6))

    def distance(at: np.ndarray) -> float:
        values = np.sort(at.ravel())[::-1]
        return float(((values - (np.arange(30) < 9)) ** 2).mean())

    slope = area_slope(mask, 0.3)
    for place in [(0, 0), (2, 3), (4, 5)]:
        step = np.zeros_like(mask)
        step[place] = 1e-6
        assert abs((distance(mask + step) - distance(mask - step)) / 2e-6 - slope[place]) < 1e-6


def test_what_stands_against_them(tiny: Model, tiny_in_torch: Model) -> None:
    few = look(tiny, picture(tiny), rise, masks=10, cells=4).facts["verdict"]
    assert few["level"] == "approximate" and "at least 32 tell them apart" in few["because"][0]
    small = lime.verdict(tiny, lime.settings.parse({"regions": 64}))
    assert "each is a pixel" in str(small)
    assert extremal.verdict(tiny, extremal.settings.parse({"steps": 3})).level == "approximate"
    assert (
        kernel_shap.verdict(tiny, kernel_shap.settings.parse({"regions": 4, "samples": 16})).level == "valid"
    )
    tiny.cannot["gradients"] = "it is a table"
    assert extremal.why_not(tiny) == "Extremal perturbation needs gradients: it is a table"
    torch = need("torch")

    class Draws(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            return x.flatten(1)[:, :3] + torch.randn(len(x), 3)

    restless = cnnlens.wrap(Draws(), preprocess={"size": 8, "channels": 3})
    for chosen in (rise, lime, kernel_shap, extremal):
        assert "draws random numbers" in str(chosen.verdict(restless)), chosen.name
        assert "draws random numbers" not in str(chosen.verdict(tiny_in_torch))


@pytest.mark.parametrize(("chosen", "hidden", "package"), [
    (lime, "skimage.segmentation", "scikit-image"), (lime, "sklearn.linear_model", "scikit-learn"),
    (kernel_shap, "sklearn.linear_model", "scikit-learn"),
])  # fmt: skip
def test_a_missing_package_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, chosen: Any, hidden: str, package: str
) -> None:
    monkeypatch.setitem(__import__("sys").modules, hidden, None)
    model = tiny_model()
    with pytest.raises(MissingPackage, match=rf"{package}.*cnnlens\[perturbation\]"):
        look(model, picture(model), chosen)
