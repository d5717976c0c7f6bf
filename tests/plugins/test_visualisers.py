"""Each visualiser we ship: held to the rules, and its numbers against a slow obvious twin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from needs import need

import cnnlens
from cnnlens import Bars, Heatmap, Model, Note, Picture, Tiles, look
from cnnlens.errors import PluginFailed, Unmet
from cnnlens.testing import assert_untouched, check_visualiser, picture, snapshot

OURS = ("class-probabilities", "feature-maps", "filter-weights", "grad-cam", "occlusion", "saliency")


def test_all_six_are_here_by_the_door_that_guests_use() -> None:
    from cnnlens.registry import installed

    assert set(OURS) <= set(installed().visualisers)
    assert all(installed().origin(name).name.startswith("cnnlens:") for name in OURS)
    assert not [p for p in installed().problems if p.plugin.startswith("cnnlens:")]


@pytest.mark.parametrize("name", OURS)
def test_it_keeps_the_rules(name: str) -> None:
    need("torch")  # so that the kit's PyTorch network is among those it runs on
    check_visualiser(cnnlens.registry.installed().get(name))  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_as_it_was_on_success_and_on_error(tiny_in_torch: Model, name: str, fails: bool) -> None:
    module = tiny_in_torch.native.train()
    before = snapshot(tiny_in_torch)
    if not fails:
        look(tiny_in_torch, picture(tiny_in_torch), name, target="square")
        assert_untouched(before, snapshot(tiny_in_torch), name)
        return
    if name == "filter-weights":  # runs no pass: it fails where it reads
        with pytest.raises(Unmet):
            look(tiny_in_torch, None, name, layer="relu")
        assert_untouched(before, snapshot(tiny_in_torch), name)
        return
    handle = module.pool.register_forward_hook(_fail)
    broken = snapshot(tiny_in_torch)
    with pytest.raises(PluginFailed, match="in the middle"):
        look(tiny_in_torch, picture(tiny_in_torch), name, target="square")
    assert_untouched(broken, snapshot(tiny_in_torch), name)
    handle.remove()
    assert_untouched(before, snapshot(tiny_in_torch), name)


def _fail(*_: Any) -> None:
    raise RuntimeError("in the middle")


def test_class_probabilities(tiny: Model) -> None:
    image = picture(tiny)
    scores = tiny.trace(image[None]).scores[0]
    chances, raw = look(tiny, image, "class-probabilities", top=2).panels
    order = np.argsort(-scores)[:2]
    assert isinstance(chances, Bars) and isinstance(raw, Bars)
    assert chances.names == tuple(tiny.names[i] for i in order)  # type: ignore[attr-defined]
    assert np.allclose(chances.values, (np.exp(scores) / np.exp(scores).sum())[order], atol=1e-6)
    assert np.array_equal(raw.values, scores[order])


def test_feature_maps_mark_and_count_the_dead(tiny: Model) -> None:
    image = picture(tiny)
    maps = tiny.trace(image[None], watch=["relu"]).activations["relu"][0]
    tiles, note = look(tiny, image, "feature-maps", layer="relu").panels
    assert isinstance(tiles, Tiles) and isinstance(note, Note)
    assert np.array_equal(np.moveaxis(tiles.values, 0, -1), maps) and not tiles.signed
    assert tiles.marks == {3: "dead"} and note.text == "1 of 4 maps are dead for this picture: 3"
    before = look(tiny, image, "feature-maps", layer="conv").panels[0]
    assert isinstance(before, Tiles) and before.signed and before.values.min() < 0 and not before.marks


def test_feature_maps_order_and_scales(tiny: Model) -> None:
    image = picture(tiny)
    maps = tiny.trace(image[None], watch=["relu"]).activations["relu"][0]
    energy = np.square(maps).mean((0, 1))
    ranked = look(tiny, image, "feature-maps", layer="relu", order="energy", scale="unit").panels[0]
    assert isinstance(ranked, Tiles) and ranked.limits is not None
    assert [int(n) for n in ranked.names] == np.argsort(-energy).tolist()
    assert np.array_equal(ranked.limits[:, 1], maps.max((0, 1))[np.argsort(-energy)])
    everywhere = look(tiny, image, "feature-maps", layer="relu", scale="global").panels[0]
    assert isinstance(everywhere, Tiles) and everywhere.limits is not None
    seen = tiny.trace(image[None], watch=["conv", "relu", "pool"]).activations.values()
    assert everywhere.limits[0].tolist() == [min(a.min() for a in seen), max(a.max() for a in seen)]


def test_filter_weights_in_colour_as_slices_and_as_a_matrix(tiny: Model) -> None:
    kernel = tiny.weights("conv")["kernel"]
    tiles, norms = look(tiny, None, "filter-weights", order="norm", filters=2).panels
    by_hand = np.sqrt(np.square(kernel).sum((0, 1, 2)))
    assert isinstance(tiles, Tiles) and isinstance(norms, Bars)
    assert np.allclose(norms.values, by_hand, atol=1e-6)
    assert np.array_equal(tiles.values[0], kernel[..., np.argmax(by_hand)]) and tiles.values.shape == (
        2,
        3,
        3,
        3,
    )
    dense = look(tiny, None, "filter-weights", layer="dense").panels[0]
    assert isinstance(dense, Tiles) and np.array_equal(dense.values[0], tiny.weights("dense")["kernel"].T)
    torch = need("torch")
    deep = torch.nn.Sequential(torch.nn.Conv2d(3, 6, 3), torch.nn.Conv2d(6, 5, 3), torch.nn.Flatten())
    model = cnnlens.wrap(deep, preprocess={"size": 8})
    slices = look(model, None, "filter-weights", layer="1", slices=2).panels[0]
    assert isinstance(slices, Tiles) and slices.values.shape == (10, 3, 3) and slices.signed
    out, inp = (int(n) for n in slices.names[3].split("←"))
    assert np.array_equal(slices.values[3], deep[1].weight.detach().numpy()[out, inp])


@pytest.mark.parametrize("join", ["max", "mean", "sum"])
def test_saliency_is_the_gradient_of_the_score(tiny: Model, join: str) -> None:
    image = picture(tiny)
    gradient = tiny.trace(image[None], watch=["input"], target=2).gradients["input"][0]
    magnitude = look(tiny, image, "saliency", target=2, join=join).panels[0]
    signed = look(tiny, image, "saliency", target=2, join=join, sign="signed").panels[0]
    assert isinstance(magnitude, Heatmap) and isinstance(signed, Heatmap)
    assert np.allclose(magnitude.values, getattr(np.abs(gradient), join)(-1), atol=1e-6)
    assert signed.signed and signed.values.min() < 0
    if join == "max":  # the channel that is largest either way, with its sign
        assert (
            np.allclose(np.abs(signed.values), magnitude.values) and (signed.values == gradient[..., 0]).any()
        )
    else:
        assert np.allclose(signed.values, getattr(gradient, join)(-1), atol=1e-6)


@pytest.mark.parametrize(("window", "stride"), [(3, 2), (0.25, 0.125), (8, 8), (1, 1)])
def test_occlusion_against_a_loop_over_places(tiny: Model, window: float, stride: float) -> None:
    image, target = picture(tiny), 1
    side, step = (round(w * 8) if w < 1 else w for w in (window, stride))
    total, count = np.zeros((8, 8)), np.zeros((8, 8))
    base = tiny.trace(image[None]).scores[0, target]
    for y in range(0, 8 - side + step, step):
        for x in range(0, 8 - side + step, step):
            hidden = image.copy()
            hidden[y : y + side, x : x + side] = image.mean((0, 1))
            total[y : y + side, x : x + side] += base - tiny.trace(hidden[None]).scores[0, target]
            count[y : y + side, x : x + side] += 1
    heatmap, example = look(tiny, image, "occlusion", target=target, window=window, stride=stride).panels
    assert isinstance(heatmap, Heatmap) and isinstance(example, Picture) and heatmap.signed
    assert np.allclose(heatmap.values, total / count, atol=1e-5)
    assert 0 < (example.values != image).any(-1).sum() <= side * side


@pytest.mark.parametrize("fill", ["mean", "black", "grey", "white", "blur"])
def test_occlusion_of_the_probability_with_each_fill(tiny: Model, fill: str) -> None:
    heatmap = look(tiny, picture(tiny), "occlusion", window=8, fill=fill, of="probability").panels[0]
    assert isinstance(heatmap, Heatmap) and np.ptp(heatmap.values) == 0 and np.abs(heatmap.values).max() <= 1


def test_occlusion_of_a_channel_and_of_its_probability_which_it_has_not(tiny: Model) -> None:
    image = picture(tiny)
    heatmap = look(tiny, image, "occlusion", target="conv[0]", window=8, fill="black").panels[0]
    seen = tiny.trace(np.stack([image, np.zeros_like(image)]), watch=["conv"]).activations["conv"][..., 0]
    assert isinstance(heatmap, Heatmap)
    assert np.allclose(heatmap.values, seen[0].mean() - seen[1].mean(), atol=1e-5)
    with pytest.raises(Unmet, match="no probability"):
        look(tiny, image, "occlusion", target="conv[0]", of="probability")


def test_grad_cam_by_hand(tiny: Model) -> None:
    image = picture(tiny)
    seen = tiny.trace(image[None], watch=["relu"], target=0)
    a, g = seen.activations["relu"][0], seen.gradients["relu"][0]
    slow = sum(a[..., k] * g[..., k].mean() for k in range(4))
    raw = look(tiny, image, "grad-cam", target=0, positive=False).panels[0]
    assert isinstance(raw, Heatmap) and raw.signed and np.allclose(raw.values, slow, atol=1e-6)
    assert np.allclose(look(tiny, image, "grad-cam", target=0).array, np.maximum(slow, 0), atol=1e-6)


def test_an_empty_grad_cam_says_why() -> None:
    torch = need("torch")
    against = torch.nn.Sequential(
        torch.nn.Conv2d(3, 2, 1),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(2, 2),
    )
    with torch.no_grad():
        against[0].weight.fill_(1.0)
        against[4].weight.copy_(torch.tensor([[-1.0, -1.0], [0.0, 0.0]]))
    model = cnnlens.wrap(against, preprocess={"size": 4})
    empty = look(model, np.full((4, 4, 3), 0.5), "grad-cam", target=0).panels
    assert isinstance(empty[1], Note) and "every place speaks against the class" in empty[1].text
    nothing = look(model, np.full((4, 4, 3), 0.5), "grad-cam", target=1)
    (said,) = [note for note in nothing.notes if "zero everywhere" in note]
    assert "the target does not hang on" in said or "gradient" in said


def test_occlusion_refuses_a_stride_that_leaves_gaps(tiny: Model) -> None:
    with pytest.raises(cnnlens.errors.BadSetting, match="never hidden"):
        look(tiny, picture(tiny), "occlusion", window=2, stride=4)
