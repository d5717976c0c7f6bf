"""A lower precision: never by default, nothing of the model's touched, and its error said with every picture."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engines import ENGINES, run_on
from needs import need

import cnnlens
from cnnlens import Cost, Heatmap, Model, Probe, Target, look, visualiser
from cnnlens.batches import ROUNDING, _agree
from cnnlens.errors import Unmet, UsageError
from cnnlens.passes import Trace
from cnnlens.precision import read_precision
from cnnlens.testing import assert_untouched, picture, snapshot, tiny_model, tiny_torch

torch = need("torch")
from torch import nn  # noqa: E402

SPEC = {"size": 16, "mean": (0.5,) * 3, "std": (0.25,) * 3}
PICTURE = np.random.default_rng(0).random((16, 16, 3), np.float32)


def net() -> Any:
    """conv → batch norm that does something → relu → conv → relu → average → dense."""
    torch.manual_seed(0)
    made = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Conv2d(8, 16, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4),
    )  # fmt: skip
    made[1].running_mean.normal_(0, 0.1)
    made[1].running_var.uniform_(0.5, 1.5)
    return made.eval()


def wrapped(precision: str | None = "bf16", native: Any = None) -> Model:
    return cnnlens.wrap(net() if native is None else native, preprocess=SPEC, precision=precision)


def autocast() -> tuple[object, ...]:
    return (
        torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu"), torch.is_autocast_cache_enabled(),
    )  # fmt: skip


# -- names --------------------------------------------------------------------------------------


def test_short_long_and_torchs_own_names() -> None:
    asked = ("bf16", "BFloat16", torch.bfloat16, "fp16", "float16", "fp32", " float32 ")
    assert [read_precision(one) for one in asked] == ["bfloat16"] * 3 + ["float16"] * 2 + ["float32"] * 2


@pytest.mark.parametrize("asked", ["int8", "", "float64", "half please"])
def test_any_other_is_refused_with_what_would_do(asked: str) -> None:
    with pytest.raises(UsageError, match=r"fp32 \(float32\), bf16 \(bfloat16\), fp16 \(float16\), not "):
        wrapped(asked)
    with pytest.raises(UsageError, match="precision is one of"):
        cnnlens.load("no-such-file.pt", precision=asked)  # before anything is opened


# -- never by default ---------------------------------------------------------------------------


def test_asked_for_what_it_is_nothing_changes() -> None:
    native = net()
    plain, same = wrapped(None, native), wrapped("fp32", native)
    assert plain.precision == same.precision == "float32" and same.in_full is same
    target = Target.of_class(1)
    one, other = (m.trace(PICTURE[None], watch=("input", "3"), target=target) for m in (plain, same))
    assert np.array_equal(one.scores, other.scores)
    assert all(np.array_equal(one.gradients[n], other.gradients[n]) for n in ("input", "3"))
    one_result, other_result = look(plain, PICTURE, "saliency"), look(same, PICTURE, "saliency")
    assert np.array_equal(one_result.array, other_result.array) and one_result.notes == other_result.notes
    assert "precision" not in one_result.facts.keys() | other_result.facts.keys() | plain.facts.keys()


def test_the_default_is_the_modules_own_numbers() -> None:
    native = net()
    fed = wrapped(None, native).input.encode(PICTURE[None])
    fed = torch.from_numpy(np.ascontiguousarray(np.moveaxis(fed, -1, 1)))
    with torch.no_grad():
        own = native(fed).numpy()
    assert np.array_equal(wrapped(None, native).trace(PICTURE[None]).scores, own)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        lower = native(fed).float().numpy()
    found = wrapped("bf16", native).trace(PICTURE[None]).scores
    assert found.dtype == np.float32 and np.array_equal(found, lower) and not np.array_equal(found, own)


def test_both_live_side_by_side_and_neither_measures_for_the_other() -> None:
    model = wrapped(None)
    model.memory = "1GB"
    low = model.computing_in("bfloat16")
    assert (model.precision, low.precision, low.in_full.precision) == ("float32", "bfloat16", "float32")
    assert low.computing_in("bf16") is low and low.native is model.native and low.lock is model.lock
    assert low._budget is not model._budget and low.memory == model.memory
    low._budget.appetite(True)
    assert low._budget._appetites and not model._budget._appetites
    assert low.facts["precision"] == "bfloat16" and "precision" not in {**model.facts, **low.in_full.facts}


# -- nothing is touched -------------------------------------------------------------------------


def test_weights_flags_and_autocast_are_as_they_were() -> None:
    native = net().train()
    low = wrapped("bf16", native)
    before, state = snapshot(low), autocast()
    look(low, PICTURE, "saliency")
    look(low, PICTURE, "rise", cells=3, masks=24)
    look(low, PICTURE, "lrp")
    assert_untouched(before, snapshot(low), "bf16")
    assert autocast() == state and all(p.dtype == torch.float32 for p in native.parameters())
    assert all(p.requires_grad and p.grad is None for p in native.parameters()) and native.training


def test_also_where_the_network_raises() -> None:
    class Breaks(nn.Sequential):
        broken = False

        def forward(self, x: Any) -> Any:
            if self.broken:
                raise RuntimeError("broken")
            return super().forward(x)

    native = Breaks(*net())
    low, state = wrapped("bf16", native), autocast()
    native.broken = True
    with pytest.raises(RuntimeError, match="broken"):
        low.trace(PICTURE[None])
    assert autocast() == state and all(p.requires_grad for p in native.parameters())


def test_weights_that_are_changed_are_seen() -> None:
    native = net()
    low = wrapped("bf16", native)
    before = low.trace(PICTURE[None]).scores
    with (
        torch.no_grad(),
        torch.autocast("cpu", torch.bfloat16),
    ):  # whose cache is on, and whose weights ask for it
        native[-1].weight.mul_(2)
        native[-1].bias.mul_(2)
        assert np.allclose(low.trace(PICTURE[None]).scores, 2 * before, rtol=1e-2)


def test_an_autocast_around_us_does_not_lower_what_is_full() -> None:
    native = net()
    plain, low = wrapped(None, native), wrapped("bf16", native)
    with torch.autocast("cpu", torch.bfloat16):
        probe = Probe(low, PICTURE)
        assert probe.in_full.score == Probe(plain.computing_in("bf16").in_full, PICTURE, probe.target).score
        tape = low.tape(PICTURE[None]).scores
    full = plain.trace(PICTURE[None]).scores
    assert np.allclose(tape, full, rtol=1e-5, atol=1e-6)
    assert probe.in_full.scores.tolist() == full[0].tolist()


# -- what is said -------------------------------------------------------------------------------


def test_note_and_facts_tell_what_was_measured() -> None:
    low = wrapped()
    result = look(low, PICTURE, "saliency", target=2)
    (note,) = [note for note in result.notes if "bfloat16" in note]
    told = result.facts["precision"]
    score = float(low.trace(PICTURE[None]).scores[0, 2])
    full = low.in_full.trace(PICTURE[None], watch=("input",), target=2)
    gradient = low.trace(PICTURE[None], watch=("input",), target=2).gradients["input"]
    assert told["computed_in"] == "bfloat16" and told["score"] == score == result.facts["score"]
    assert (
        told["score_in_full"] == float(full.scores[0, 2]) and told["difference"] == score - full.scores[0, 2]
    )
    assert told["relative_difference"] == pytest.approx(abs(told["difference"] / full.scores[0, 2]))
    correlation = np.corrcoef(gradient.ravel(), full.gradients["input"].ravel())[0, 1]
    assert told["gradient_correlation"] == pytest.approx(correlation) and 0.9 < correlation < 1
    assert f"correlates {correlation:.3f}" in note and f"{score:.6g}" in note and "float32" in note
    assert result.manifest["facts"]["precision"] == told and result.is_approximate


def test_without_gradients_only_scores_are_compared() -> None:
    result = look(wrapped(), PICTURE, "occlusion", window=8, stride=8)
    assert "gradient_correlation" not in result.facts["precision"]
    assert any(note.startswith("the model computes in bfloat16") for note in result.notes)


def test_what_is_walked_back_stays_in_full_and_says_so() -> None:
    native = net()
    low = look(wrapped("bf16", native), PICTURE, "lrp", target=1)
    full = look(wrapped(None, native), PICTURE, "lrp", target=1)
    assert any("stays in float32" in note for note in low.notes)
    assert low.facts["verdict"] == full.facts["verdict"]  # no doubt about the digits of its gradients
    assert np.allclose(low.array, full.array, rtol=1e-4, atol=1e-5 * np.abs(full.array).max())
    probe = Probe(wrapped("bf16", native), PICTURE)
    probe.walk()
    assert probe.scores.tolist() == probe.model.trace(PICTURE[None]).scores[0].tolist()  # not the tape's


def test_weights_alone_are_shown_as_they_are() -> None:
    low = cnnlens.wrap(tiny_torch(), preprocess=tiny_model().input, precision="bf16")
    result = look(low, None, "filter-weights")
    assert result.facts["precision"] == {"computed_in": "float32"} and "no pass was made" in result.notes[-1]


def test_passes_without_a_picture_are_told_by_a_grey_one() -> None:
    @visualiser(title="Of grey", cost=Cost(1))
    def of_grey(model: Model) -> Heatmap:
        """What it makes of nothing."""
        return Heatmap(model.trace(np.zeros((1, 16, 16, 3), np.float32)).scores)

    result = look(wrapped(), None, of_grey)
    assert result.facts["precision"]["measured_on"] == "a grey picture" and "grey" in result.notes[-1]


class Undecided(nn.Module):
    """Two classes, a thousandth apart: less than bfloat16 can tell."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1, bias=False)
        self.conv.weight.data[:] = torch.tensor([1.0, 1.001]).reshape(2, 1, 1, 1)

    def forward(self, x: Any) -> Any:
        return self.conv(x).mean((2, 3))


def test_another_first_class_is_said_loudly() -> None:
    model = cnnlens.wrap(Undecided(), preprocess={"size": 16}, labels=["cat", "dog"], precision="bf16")
    result = look(model, PICTURE, "saliency")
    told = result.facts["precision"]
    assert (told["top1"], told["top1_in_full"]) == ("cat", "dog")
    (loud,) = [note for note in result.notes if note.startswith("TOP-1 CHANGES WITH THE PRECISION")]
    assert "in bfloat16 it is cat, in float32 it is dog" in loud
    assert told["gradient_correlation"] is None and any("cannot be compared" in note for note in result.notes)


def test_six_visualisers_of_one_picture_pay_once(monkeypatch: pytest.MonkeyPatch) -> None:
    low, full_passes = wrapped(), 0
    own = type(low).forward

    def counted(self: Any, *given: Any) -> Any:
        nonlocal full_passes
        full_passes += self.weights_in == self.precision
        return own(self, *given)

    monkeypatch.setattr(type(low), "forward", counted)
    probe = Probe(low, PICTURE)
    for name in ("saliency", "grad-cam", "hires-cam", "class-probabilities", "input-x-gradient", "layer-cam"):
        assert "precision" in look(low, probe, name).facts
    assert full_passes == 1


def test_scores_at_places_tell_how_many_are_won_by_another() -> None:
    torch.manual_seed(1)
    model = cnnlens.wrap(nn.Sequential(nn.Conv2d(3, 5, 3)), preprocess=SPEC, precision="bf16")
    result = look(model, PICTURE, "saliency")
    low, full = (m.trace(PICTURE[None]).scores[0].argmax(-1) for m in (model, model.in_full))
    assert result.facts["precision"]["places_won_by_another"] == float((low != full).mean())


# -- replays ------------------------------------------------------------------------------------


@pytest.fixture
def replays(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The precisions in which batches of more than the three that are held were replayed."""
    seen: list[str] = []
    own = Model.trace

    def spied(self: Model, x: Any, **asked: Any) -> Trace:
        if asked.get("replay") is not None and len(x) > 3:
            seen.append(self.precision)
        return own(self, x, **asked)

    monkeypatch.setattr(Model, "trace", spied)
    yield seen


def test_batches_are_replayed_in_the_precision_asked_for(replays: list[str]) -> None:
    low = wrapped()
    low.memory = "4GB"
    pictures = np.random.default_rng(1).random((24, 16, 16, 3), np.float32)
    ran = [*low.in_batches(pictures, watch=("input",), target=Target.of_class(1))]
    assert replays and set(replays) == {"bfloat16"}
    scores, own = np.concatenate([one.scores for one in ran]), low.trace(pictures).scores
    gradients = np.concatenate([one.gradients["input"] for one in ran])
    full = low.in_full.trace(pictures, watch=("input",), target=1)
    assert scores.dtype == np.float32 and np.abs(scores - own).max() < 0.05 * np.abs(own).max()
    assert not np.allclose(scores, full.scores, rtol=1e-5)  # it is no full precision in disguise
    assert np.corrcoef(gradients.ravel(), full.gradients["input"].ravel())[0, 1] > 0.97


def test_another_computation_is_not_taken_for_rounding(
    replays: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    low, scaled = wrapped(), net()
    with torch.no_grad():
        scaled[-1].weight.mul_(1.01)  # less than rounding may do to bfloat16, more than it does to float32
        scaled[-1].bias.mul_(1.01)
    own, other = type(low).replay, wrapped(None, scaled)

    def replay(self: Model, fed: Any, **asked: Any) -> Any:
        return own(other.computing_in(self.precision), fed, **asked)

    monkeypatch.setattr(type(low), "replay", replay)
    pictures = np.random.default_rng(1).random((24, 16, 16, 3), np.float32)
    two = pictures[:2]
    assert _agree(other.computing_in("bf16").trace(two).scores, low.trace(two).scores, ROUNDING["bfloat16"])
    assert len([*low.in_batches(pictures)]) > 1 and replays == []


def test_boxes_are_hidden_by_the_models_own_passes() -> None:
    low = wrapped()
    boxes = [(y, x, y + 4, x + 4) for y in range(0, 16, 4) for x in range(0, 16, 4)]
    found, full = low.hide(PICTURE, boxes, 0.5), low.in_full.hide(PICTURE, boxes, 0.5)
    assert found.shape == (16, 4) and not np.allclose(found, full, rtol=1e-5)
    assert np.abs(found - full).max() < 0.05 * np.abs(full).max()
    with pytest.raises(Unmet, match="in full precision only"):
        low.replay(low.input.encode(PICTURE[None])).hide(low.input.encode(PICTURE[None]), boxes[:1])


# -- what cannot be -----------------------------------------------------------------------------


def test_weights_that_are_half_go_on_as_they_did() -> None:
    half = wrapped(None, net().bfloat16())
    assert half.precision == "bfloat16" and half.in_full is half and half.computing_in("bf16") is half
    assert "precision" not in look(half, PICTURE, "saliency").facts
    for asked in ("fp16", "fp32"):
        with pytest.raises(
            Unmet, match=f"cannot compute in {read_precision(asked)}: its weights are bfloat16"
        ):
            half.computing_in(asked)
    with pytest.raises(Unmet, match="its weights are float64"):
        wrapped("bf16", net().double())


def test_what_torch_does_not_run_is_refused_with_its_reason() -> None:
    class Picky(nn.Sequential):
        def forward(self, x: Any) -> Any:
            x = self[0](x)
            if x.dtype != torch.float32:
                raise RuntimeError("no kernel for Half")
            return nn.Sequential(*self[1:])(x)

    native = Picky(*net())
    state = autocast()
    with pytest.raises(Unmet, match=r"torch does not run it so on cpu \(no kernel for Half\): leave"):
        wrapped("fp16", native)
    assert autocast() == state
    assert wrapped(None, native).precision == "float32"


def test_float16_where_torch_runs_it() -> None:
    try:
        low = wrapped("fp16")
    except Unmet as error:
        assert re.search("torch does not run it so|no autocast", str(error))  # an older processor or torch
        return
    told = look(low, PICTURE, "saliency").facts["precision"]
    assert told["computed_in"] == "float16" and told["relative_difference"] < 0.01


def test_a_backend_of_another_kind_says_so(tiny: Model) -> None:
    with pytest.raises(Unmet, match="tiny cannot compute in bfloat16: the numpy backend computes in what"):
        tiny.computing_in("bf16")
    assert tiny.computing_in("fp32") is tiny


@pytest.mark.parametrize("engine", ENGINES)
def test_keras(engine: str) -> None:
    ran = run_on(engine, str(Path(__file__).with_name("precision_keras.py")))
    assert ran.returncode == 0, ran.stderr[-2000:]
    last = ran.stdout.strip().splitlines()[-1]
    if engine == "torch":
        assert last == "lowered"
    else:
        shown = {"jax": "JAX", "tensorflow": "TensorFlow"}[engine]
        assert f"Keras on {shown} computes in the dtype policy the model was built with" in last
        assert "KERAS_BACKEND=torch" in last


def test_the_probe_of_a_picture_is_of_its_own_model() -> None:
    low = wrapped()
    probe = Probe(low, picture(low))
    assert probe.in_full is not probe and probe.in_full.model is not low
    assert probe.in_full.in_full.model is probe.in_full.model
    assert probe.towards("top2").in_full.target.text == "top2"
