"""What must hold on any network that ends in a global average and one dense layer, and on any layer at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from needs import need
from nets import photo, wrapped

import cnnlens
from cnnlens import Model, Probe, look
from cnnlens_plugins.cams import ablation, cnnlens_visualisers
from cnnlens_plugins.cams.head import Head, head_of

OURS = {v.name: v for v in cnnlens_visualisers()}  # type: ignore[attr-defined]

nets = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 10_000),
        "channels": st.integers(1, 6),
        "stride": st.integers(1, 2),
        "classes": st.integers(2, 4),
        "rectified": st.booleans(),
    }
)


def averaged(seed: int, channels: int, stride: int, classes: int, rectified: bool) -> Model:
    """convolution (→ relu) → global average → dense, with weights drawn from the seed."""
    torch = need("torch")
    layers = [torch.nn.Conv2d(3, channels, 3, stride), torch.nn.ReLU()][: 1 + rectified]
    head = [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(channels, classes)]
    net = torch.nn.Sequential(*layers, *head)
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.from_numpy(rng.standard_normal(tuple(parameter.shape)).astype(np.float32)))
    return cnnlens.wrap(net.eval(), preprocess={"size": 12})


def near(one: Any, other: Any, tolerance: float = 1e-4) -> bool:
    return bool(np.abs(one - other).max() <= tolerance * max(float(np.abs(other).max()), 1e-6))


@settings(max_examples=20, deadline=None)
@given(nets)
def test_behind_a_global_average_cam_grad_cam_and_hires_cam_are_one(drawn: dict[str, Any]) -> None:
    model = averaged(**drawn)
    probe = Probe(model, np.random.default_rng(drawn["seed"]).random((12, 12, 3), np.float32), 1)
    cam = look(model, probe, OURS["cam"]).array
    grad = look(model, probe, OURS["grad-cam"], positive=False).array
    assert near(grad * cam.size, cam)
    assert near(look(model, probe, OURS["hires-cam"], positive=False).array, grad)
    bias = model.weights(model.layers[-1].name)["bias"][1]
    assert cam.mean() + bias == pytest.approx(probe.score, rel=1e-4, abs=1e-4)
    assert near(np.maximum(grad, 0), look(model, probe, OURS["grad-cam"]).array)


@settings(max_examples=20, deadline=None)
@given(nets)
def test_ablation_by_weight_is_ablation_by_running(drawn: dict[str, Any]) -> None:
    model = averaged(**drawn)
    probe = Probe(model, np.random.default_rng(drawn["seed"]).random((12, 12, 3), np.float32), 0)
    head = head_of(model)
    assert isinstance(head, Head)
    known, ran = ablation._falls_by_weight(probe, head), ablation._falls(probe, head.maps.name)
    assert np.abs(known - ran).max() <= 1e-4 * max(1.0, float(np.abs(probe.scores).max()))


@pytest.mark.parametrize(
    ("name", "layer"), [("plain", "4"), ("residual", "layer2.relu#2"), ("depthwise", "blocks.1.project.1")]
)
def test_ablation_against_a_loop(name: str, layer: str) -> None:
    model = wrapped(name)
    probe = Probe(model, photo(5), "kettle")
    maps = probe.activations(layer)
    slow = np.zeros(maps.shape[:2])
    for k in range(maps.shape[-1]):
        without = np.array(maps)
        without[..., k] = 0
        scores = model.trace(probe.pixels[None], replace={layer: without[None]}).scores[0]
        slow += (probe.scores[1] - scores[1]) * maps[..., k]
    assert near(look(model, probe, OURS["ablation-cam"], layer=layer, positive=False).array, slow)


def test_score_cam_against_a_loop() -> None:
    model, layer = wrapped("residual"), "layer3.relu#2"
    probe, torch = Probe(model, photo(4), "lynx"), need("torch")
    maps, left = probe.activations(layer), []
    for k in range(maps.shape[-1]):
        large = torch.nn.functional.interpolate(
            torch.from_numpy(maps[None, None, ..., k].copy()), (32, 32), mode="bilinear", align_corners=False
        )[0, 0].numpy()
        mask = (large - large.min()) / (large.max() - large.min())
        left.append(model.trace((probe.pixels * mask[..., None])[None]).scores[0])
    scores = np.stack(left).astype(np.float64)
    softmax = np.exp(scores[:, 2]) / np.exp(scores[:, 2]).sum()
    raw = {"layer": layer, "positive": False}
    assert near(look(model, probe, OURS["score-cam"], **raw).array, (maps * softmax).sum(-1))
    chances = model.probabilities(scores)[:, 2]
    got = look(model, probe, OURS["score-cam"], of="probability", **raw).array
    assert near(got, (maps * chances).sum(-1))


@pytest.mark.parametrize("name", ["plain", "residual"])
@pytest.mark.parametrize("asked", ["maple", "maple - tram"])
def test_full_grad_is_complete_where_the_network_is_of_straight_pieces(name: str, asked: str) -> None:
    model = wrapped(name)
    for seed in range(4):
        result = look(model, photo(seed), OURS["full-grad"], target=asked)
        words = result.panels[1].text  # type: ignore[union-attr]
        told = [
            float(part) for part in (words.split("add up to ")[1].split(";")[0], words.split("score is ")[1])
        ]
        assert told[0] == pytest.approx(told[1], rel=1e-3) and result.facts["verdict"]["level"] == "valid"


def test_full_grad_without_rescaling_bounds_the_score() -> None:
    model = wrapped("residual")
    probe = Probe(model, photo(0), "lynx")
    total = float(look(model, probe, OURS["full-grad"], rescale="none").array.sum())
    assert total >= abs(probe.score - model.weights("fc")["bias"][2]) * 0.999
    assert "ReLU6" in str(OURS["full-grad"].verdict(wrapped("depthwise")))


def test_smooth_grad_cam_by_a_loop() -> None:
    model, layer, n, sigma = wrapped("plain"), "4", 13, 0.1
    probe = Probe(model, photo(2), "heron")
    rng, gradients = np.random.default_rng(6), []
    for _ in range(n):
        noisy = probe.pixels + rng.standard_normal(probe.pixels.shape, np.float32) * np.float32(sigma)
        gradients.append(
            model.trace(noisy[None], watch=[layer], target=0).gradients[layer][0].astype(np.float64)
        )
    mean, squares, cubes = (np.mean([g**power for g in gradients], 0) for power in (1, 2, 3))
    a = probe.activations(layer)
    below = 2 * squares + a.sum((0, 1)) * cubes
    alpha = np.divide(squares, below, out=np.zeros_like(below), where=below != 0)
    slow = (a * (alpha * np.maximum(mean, 0)).sum((0, 1))).sum(-1)
    given = {"layer": layer, "n": n, "sigma": sigma, "positive": False}
    first = look(model, probe, OURS["smooth-grad-cam++"], seed=6, **given).array
    assert near(first, slow)
    assert np.array_equal(
        first, look(model, photo(2), OURS["smooth-grad-cam++"], target="heron", seed=6, **given).array
    )
    other = look(model, probe, OURS["smooth-grad-cam++"], seed=7, **given).array
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("name", "layer"), [("residual", "layer2.relu#2"), ("depthwise", "blocks.1.depthwise.2")]
)
def test_the_standard_error_told_is_the_spread_between_seeds(name: str, layer: str) -> None:
    model, maps, told = wrapped(name), [], []
    probe = Probe(model, photo(2), "heron")
    for seed in range(12):
        given = {"layer": layer, "n": 20, "sigma": 0.05, "seed": seed, "positive": False}
        result = look(model, probe, OURS["smooth-grad-cam++"], **given)
        maps.append(result.array)
        told.append(float(result.panels[1].text.split("at most ")[1].split()[0]))  # type: ignore[union-attr]
    seen = np.std(maps, 0, ddof=1).max() / np.abs(np.mean(maps, 0)).max()
    assert 0.5 < np.median(told) / seen < 2
