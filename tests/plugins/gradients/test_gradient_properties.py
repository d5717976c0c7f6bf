"""What must hold of gradient attributions on any network: axioms, limits, draws that repeat, honest notes."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from needs import need
from nets import NETS, SPEC, photo, wrapped

import cnnlens
from cnnlens import Curve, Heatmap, Model, Probe, join_channels, look
from cnnlens.errors import Cancelled, Unmet
from cnnlens.testing import check_visualiser, picture
from cnnlens.tiny import TinyModel
from cnnlens_plugins.gradients import cnnlens_visualisers
from cnnlens_plugins.gradients.baselines import baseline_of, blurred, drawer
from cnnlens_plugins.gradients.integrated_gradients import integrated_gradients
from cnnlens_plugins.gradients.samples import Samples
from cnnlens_plugins.rules.guided_grad_cam import guided_grad_cam

FAMILY = {one.name: one for one in cnnlens_visualisers()}  # type: ignore[attr-defined]
few = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)


@pytest.mark.parametrize("name", FAMILY)
def test_it_keeps_the_rules(name: str) -> None:
    need("torch")  # so that the kit's PyTorch network is among those it runs on
    check_visualiser(FAMILY[name])


def net_of(seed: int, activation: str, bias: bool = True, wide: int = 5) -> Any:
    """A small random network of 8×8 pictures: conv → activation → conv → activation → dense."""
    torch = need("torch")
    nn = torch.nn
    made = {"relu": nn.ReLU, "softplus": nn.Softplus, "none": nn.Identity}[activation]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(3, wide, 3, bias=bias), made(), nn.Conv2d(wide, wide, 3, 2, bias=bias), made(),
            nn.Flatten(), nn.Linear(wide * 4, 3, bias=bias),
        )  # fmt: skip


def model_of(net: Any, **spec: Any) -> Model:
    return cnnlens.wrap(net, preprocess={"size": 8, "mean": (0.3, 0.5, 0.4), "std": (0.2, 0.3, 0.25), **spec})


def gap(model: Model, image: Any, **asked: Any) -> float:
    """How far integrated gradients are from adding up, relative to the largest share of any pixel."""
    probe = Probe(model, image, 0)
    values = look(model, probe, integrated_gradients, **asked).array.astype(np.float64)
    start = baseline_of(probe.pixels, asked.get("baseline", "black"), drawer(0, 0))
    fall = probe.score - float(probe.score_of(start[None])[0])
    return abs(values.sum() - fall) / (np.abs(values).sum() + 1e-9)


@few
@given(seed=st.integers(0, 10_000), baseline=st.sampled_from(["black", "white", "mean", "blur"]))
def test_integrated_gradients_of_smooth_networks_add_up(seed: int, baseline: str) -> None:
    image = np.random.default_rng(seed).random((8, 8, 3), np.float32)
    assert gap(model_of(net_of(seed, "softplus")), image, baseline=baseline, steps=24) < 1e-5


@few
@given(seed=st.integers(0, 10_000))
def test_integrated_gradients_of_relu_networks_nearly_add_up(seed: int) -> None:
    """The gradient jumps at kinks; with many steps hardly any part of the way lies between two readings."""
    image = np.random.default_rng(seed).random((8, 8, 3), np.float32)
    model = model_of(net_of(seed, "relu"))
    assert gap(model, image, steps=300) < 1e-2


def test_the_gap_narrows_with_steps_and_by_the_rule() -> None:
    model, image = model_of(net_of(3, "softplus")), np.random.default_rng(3).random((8, 8, 3), np.float32)
    gaps = [gap(model, image, steps=steps, rule="trapezoid") for steps in (3, 12, 48)]
    assert gaps[0] > 8 * gaps[1] > 64 * gaps[2]
    assert gap(model, image, steps=12, rule="right") > 5 * gaps[1]  # the paper's own sum is of first order


@few
@given(seed=st.integers(0, 10_000))
@pytest.mark.parametrize(
    "name", ["saliency", "input-x-gradient", "smoothgrad", "integrated-gradients", "gradient-shap"]
)
def test_two_networks_that_compute_the_same_get_the_same_map(name: str, seed: int) -> None:
    """Implementation invariance: channels in another order, and what one layer doubles halved by the next."""
    torch = need("torch")
    one, other = net_of(seed, "relu"), net_of(seed, "relu")
    order = torch.from_numpy(np.random.default_rng(seed).permutation(5))
    with torch.no_grad():
        other[0].weight.copy_(2 * one[0].weight[order])
        other[0].bias.copy_(2 * one[0].bias[order])
        other[2].weight.copy_(one[2].weight[:, order] / 2)
    image = np.random.default_rng(seed).random((8, 8, 3), np.float32)
    maps = [look(model_of(net), image, FAMILY[name], target=1).array for net in (one, other)]
    assert np.abs(maps[0] - maps[1]).max() <= 1e-3 * np.abs(maps[0]).max()


@few
@given(seed=st.integers(0, 10_000))
def test_on_a_linear_network_the_family_is_one(seed: int) -> None:
    model = model_of(net_of(seed, "none"))
    image = np.random.default_rng(seed).random((8, 8, 3), np.float32)
    black = look(model, image, FAMILY["input-x-gradient"], target=1, zero="black").array
    size = 1e-5 * np.abs(black).max()
    for rule in ("gauss-legendre", "trapezoid", "right"):
        ig = look(model, image, integrated_gradients, target=1, steps=3, rule=rule).array
        assert np.abs(ig - black).max() <= size
    shap = look(model, image, FAMILY["gradient-shap"], target=1, samples=3, baseline="black").array
    assert np.abs(shap - black).max() <= size
    noisy = look(model, image, FAMILY["smoothgrad"], target=1, samples=3, noise=1.0).array
    plain = look(model, image, FAMILY["saliency"], target=1).array
    assert np.abs(noisy - plain).max() <= 1e-5 * np.abs(plain).max()


@pytest.mark.parametrize("sign", ["magnitude", "signed"])
@pytest.mark.parametrize("join", ["max", "mean", "sum"])
def test_smoothgrad_without_noise_is_saliency(sign: str, join: str) -> None:
    model, image = wrapped("residual"), photo(2)
    asked: dict[str, Any] = {"sign": sign, "join": join, "target": 1}
    plain = look(model, image, FAMILY["saliency"], **asked).array
    still = look(model, image, FAMILY["smoothgrad"], samples=3, noise=0.0, **asked)
    assert np.abs(still.array - plain).max() <= 1e-6 * np.abs(plain).max()
    assert "by 0 % of its largest" in still.notes[0]
    spread = look(model, image, FAMILY["smoothgrad"], samples=3, noise=0.0, of="variance", target=1).array
    assert np.abs(spread).max() <= 1e-9 * np.abs(plain).max() ** 2


RANDOM = {
    "smoothgrad": {"samples": 7},
    "integrated-gradients": {"baseline": "noise", "repeats": 3, "steps": 4},
    "gradient-shap": {"samples": 7},
}


@pytest.mark.parametrize("name", RANDOM)
def test_the_same_request_draws_the_same_numbers_in_any_batch(name: str) -> None:
    """To the bit in one process; in other batches the framework itself may sum in another order."""
    model, image = wrapped("plain"), photo(2)
    first = look(model, image, FAMILY[name], **RANDOM[name])
    again = look(model, image, FAMILY[name], **RANDOM[name])
    assert np.array_equal(first.array, again.array) and first.notes == again.notes
    assert first.facts["settings"]["seed"] == 0
    model.batch_for = lambda *, gradients=False, at="input": 3
    other = look(model, image, FAMILY[name], **RANDOM[name]).array
    assert np.abs(other - first.array).max() <= 1e-5 * np.abs(first.array).max()
    assert not np.array_equal(look(model, image, FAMILY[name], seed=1, **RANDOM[name]).array, first.array)
    tiny = TinyModel()  # in NumPy a picture's numbers do not hang on the batch
    maps = []
    for size in (1, 4, 50):
        tiny.batch_for = lambda *, gradients=False, at="input", size=size: size
        maps.append(look(tiny, picture(tiny), FAMILY[name], **RANDOM[name]).array)
    assert all(np.array_equal(maps[0], one) for one in maps)


@pytest.mark.parametrize("name", RANDOM)
def test_progress_rises_to_its_end_and_can_stop(name: str) -> None:
    model, image, seen = wrapped("plain"), photo(2), list[tuple[int, int]]()
    look(model, image, FAMILY[name], progress=lambda *at: seen.append(at), **RANDOM[name])
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert len({total for _, total in seen}) == 1 and seen[-1][0] == seen[-1][1]

    def stop(done: int, total: int) -> None:
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        look(model, image, FAMILY[name], progress=stop, **RANDOM[name])


@pytest.mark.parametrize("name", ["integrated-gradients", "gradient-shap", "smoothgrad"])
def test_no_more_pictures_are_held_than_a_batch(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, most = wrapped("plain"), []
    trace = model.trace
    monkeypatch.setattr(model, "trace", lambda x, **asked: most.append(len(x)) or trace(x, **asked))
    settings = {"integrated-gradients": {"steps": 45}}.get(name, {"samples": 45})
    look(model, photo(2), FAMILY[name], **settings)
    assert max(most) == model.batch and sum(most) >= 45


def test_costs_are_what_is_run() -> None:
    class Counting(TinyModel):
        forwards = backwards = 0

        def forward(self, fed: Any, watch: Any, replace: Any, differentiable: bool) -> Any:
            self.forwards += len(fed)
            self.backwards += len(fed) if differentiable else 0
            return super().forward(fed, watch, replace, differentiable)

    cases: list[tuple[str, dict[str, Any]]] = [
        ("smoothgrad", {"samples": 7}), ("integrated-gradients", {"steps": 6}),
        ("integrated-gradients", {"steps": 6, "baseline": "noise", "repeats": 2}),
        ("gradient-shap", {"samples": 7}), ("gradient-shap", {"samples": 7, "baseline": "black"}),
        ("gradient-shap", {"samples": 7, "noise": 0.1}),
    ]  # fmt: skip
    for name, asked in cases:
        model = Counting()
        probe = Probe(model, picture(model), 1)
        _ = probe.score  # known from the pass in which the class was found
        model.forwards = 0
        chosen = FAMILY[name]
        look(model, probe, chosen, **asked)
        told = chosen.cost_of(model, chosen.settings.resolve(asked, model))
        assert told.backwards == model.backwards, (name, asked)
        assert told.forwards - 1 == model.forwards or told.forwards == model.forwards, (name, asked)


def test_what_the_notes_say_is_so() -> None:
    model, image = wrapped("depthwise"), photo(2)
    probe = Probe(model, image, 1)
    heatmap, told, curve = look(model, probe, integrated_gradients, steps=8).panels
    assert isinstance(heatmap, Heatmap) and isinstance(curve, Curve)
    total, fall = (float(n) for n in re.findall(r"(?:up to|by) (-?[\d.]+)", told.text)[:2])  # type: ignore[union-attr]
    black = float(probe.score_of(np.zeros((1, 32, 32, 3), np.float32))[0])
    assert total == pytest.approx(float(heatmap.values.sum()), rel=1e-3, abs=1e-4)
    assert fall == pytest.approx(probe.score - black, rel=1e-3)
    assert curve.values[0, [0, -1]] == pytest.approx([black, probe.score], rel=1e-5)
    on_the_way = probe.score_of(curve.x[1:-1, None, None, None] * probe.pixels)
    assert curve.values[0, 1:-1] == pytest.approx(on_the_way, rel=1e-4, abs=1e-5)


def test_the_standard_error_is_the_spread_from_seed_to_seed() -> None:
    """The note's share against the maps of forty other seeds."""
    model, image = wrapped("plain"), photo(2)
    probe, maps, told = Probe(model, image, 1), [], []
    for seed in range(40):
        result = look(model, probe, FAMILY["smoothgrad"], samples=20, noise=0.1, sign="signed", seed=seed)
        maps.append(result.array.astype(np.float64))
        told.append(float(re.search(r"by ([\d.]+) %", result.notes[0])[1]) / 100)  # type: ignore[index]
    spread = np.sqrt(np.square(np.std(maps, 0, ddof=1)).mean()) / np.abs(np.mean(maps, 0)).max()
    assert 0.7 < np.mean(told) / spread < 1.4


@few
@given(st.integers(2, 60), st.integers(0, 1000))
def test_samples_in_double_precision(count: int, seed: int) -> None:
    drawn = np.random.default_rng(seed).standard_normal((count, 4, 3))
    seen = Samples(count)
    for one in drawn:
        seen.add(one)
    assert np.abs(seen.mean - drawn.mean(0)).max() <= 1e-12
    error = seen.standard_error()
    assert error is not None
    if count <= 10:  # each sample is a group: the jackknife of a mean is the textbook's
        assert np.abs(error - drawn.std(0, ddof=1) / np.sqrt(count)).max() <= 1e-12
    assert Samples(1).standard_error() is None


def test_a_picture_that_is_its_baseline_is_said_to_be_one() -> None:
    model = wrapped("plain")
    result = look(model, np.zeros((32, 32, 3), np.float32), integrated_gradients)
    assert not result.array.any() and "is the black baseline itself" in result.notes[0]
    result = look(model, np.full((32, 32, 3), 0.25, np.float32), integrated_gradients, baseline="mean")
    assert "is the mean baseline itself" in result.notes[0]


def test_baselines() -> None:
    image = photo(1)
    kinds = {
        kind: baseline_of(image, kind, drawer(0, 0)) for kind in ("black", "white", "mean", "blur", "noise")
    }  # type: ignore[arg-type]
    assert all(one.shape == image.shape and one.dtype == np.float32 for one in kinds.values())
    assert not kinds["black"].any() and (kinds["white"] == 1).all()
    assert np.allclose(kinds["mean"][3, 4], image.mean((0, 1)), atol=1e-6)
    flat = np.full((9, 7, 2), 0.3, np.float32)
    assert np.allclose(blurred(flat, 2.0), flat, atol=1e-6)  # at the edges too
    spot = np.zeros((41, 41, 1), np.float32)
    spot[20, 20] = 1
    seen = blurred(spot, 3.0)[..., 0].astype(np.float64)
    spread = (seen.sum(1) * (np.arange(41) - 20) ** 2).sum()
    assert spread == pytest.approx(9, rel=1e-3) and seen.sum() == pytest.approx(1, rel=1e-5)


def test_joining_keeps_the_sign_of_the_largest() -> None:
    values = np.array([[[1.0, -3.0, 2.0]]])
    assert [join_channels(values, j)[0, 0] for j in ("max", "mean", "sum")] == [-3.0, 0.0, 0.0]  # type: ignore[arg-type]


def test_guided_grad_cam_says_where_it_cannot_be_trusted() -> None:
    nn, chosen = need("torch").nn, guided_grad_cam
    assert chosen.verdict(wrapped("plain")).level == chosen.verdict(wrapped("depthwise")).level == "valid"
    smooth = model_of(net_of(0, "softplus"))
    assert "its activations are softplus" in str(chosen.why_not(smooth))
    with pytest.raises(Unmet, match="clips at ReLUs, and there is none"):
        look(smooth, photo(0)[:8, :8], chosen)
    assert "no activation" in str(chosen.why_not(model_of(net_of(0, "none"))))
    mixed = net_of(0, "relu")
    mixed[3] = nn.SiLU()
    verdict = chosen.verdict(model_of(mixed))
    assert verdict.level == "approximate" and "silu hands on its plain gradient" in verdict.because[0]


def test_guided_grad_cam_is_empty_where_grad_cam_is() -> None:
    net = net_of(0, "relu")
    net[5].weight.data = -need("torch").abs(net[5].weight.data)
    result = look(model_of(net), photo(0)[:8, :8], guided_grad_cam, layer="3")
    assert not result.array.any() and "no place speaks for the class" in result.notes[0]


def test_colours_end_where_the_title_says_and_the_values_do_not() -> None:
    from cnnlens import attributed

    values = np.random.default_rng(0).standard_normal((50, 50))
    assert attributed(values, "t", "score", "").limits is None
    values[3, 4] = -100
    shown = attributed(values, "t", "score", "")
    usual = float(np.percentile(np.abs(values), 99.5))
    assert shown.limits == (-usual, usual) and usual < 4
    assert shown.title == "t (1 place in 200 is beyond the colours, up to 100)" and shown.values.min() == -100
    sizes = attributed(np.abs(values), "t", "score", "", signed=False)
    assert sizes.limits == (0.0, usual) and not sizes.signed and sizes.values.max() == 100


def test_differences_of_classes_are_explained_too() -> None:
    model, image = model_of(NETS["plain"](), size=32, **{k: SPEC[k] for k in ("mean", "std")}), photo(2)
    for name in FAMILY:
        both = look(model, image, FAMILY[name], target="2 - 1", **RANDOM.get(name, {}))
        assert np.isfinite(both.array).all() and both.array.any()
    first, second, both = (
        look(model, image, integrated_gradients, target=target, steps=4).array
        for target in ("2", "1", "2 - 1")
    )
    assert np.abs(first - second - both).max() <= 1e-5 * np.abs(first).max()
