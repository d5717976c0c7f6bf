"""A PyTorch pass as a tape: whatever a network does to its arrays, what was recorded is what ran."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from needs import need

import cnnlens
from cnnlens import Model, Probe, wrap
from cnnlens.errors import Unmet
from cnnlens.testing import assert_untouched, check_model, picture, snapshot

torch = need("torch")
from torch import nn  # noqa: E402 (torch may be missing)
from torch.nn import functional as F  # noqa: E402


class Swish(torch.autograd.Function):  # type: ignore[misc]
    """What torch's functions do not see, as memory-saving activations are written."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * x.sigmoid()

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        (x,) = ctx.saved_tensors
        gate = x.sigmoid()
        return gradient * gate * (1 + x * (1 - gate))


def statement(x: Any) -> Any:
    x.relu_()
    return x


def assigned(x: Any) -> Any:
    x[:, 0] = x[:, 1] * 2
    return x


def gathered(x: Any) -> Any:
    out = torch.zeros_like(x)
    out[:, :4] = x[:, 4:]
    return out + x


def augmented(x: Any) -> Any:
    y = x
    x += 1
    return y * x


def sliced(x: Any) -> Any:
    x[:, :2] *= 3
    return x


def emptied(x: Any) -> Any:
    y = x * 1
    y.zero_()
    return x + y


def masked(x: Any) -> Any:
    return x * (x > 0).float() + x.max(1, keepdim=True)[0]


def unrecorded(x: Any) -> Any:
    with torch.no_grad():
        gate = x.sigmoid()
    return x * gate


WAYS: list[Callable[[Any], Any]] = [
    statement, assigned, gathered, augmented, sliced, emptied, masked, unrecorded, Swish.apply, F.gelu,
    lambda x: x * x.detach(),
    lambda x: F.pad(x, (1, 1, 1, 1))[:, :, 1:-1, 1:-1],
    lambda x: torch.einsum("nchw,nchw->nchw", x, x),
    lambda x: torch.where(x > 0, x, x * 0.1),
    lambda x: torch.stack(x.chunk(2, 1)).sum(0).repeat(1, 2, 1, 1),
    lambda x: (x.permute(0, 2, 3, 1) @ torch.eye(8).mul(2)).permute(0, 3, 1, 2),
    lambda x: x / (1 + x.abs().mean((2, 3), keepdim=True)),
]  # fmt: skip


class Net(nn.Module):
    def __init__(self, way: Callable[[Any], Any]) -> None:
        super().__init__()
        self.conv, self.head, self.way = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 4), way

    def forward(self, x: Any) -> Any:
        return self.head(self.way(self.conv(x)).mean((2, 3)))


def model_of(way: Callable[[Any], Any]) -> Model:
    torch.manual_seed(0)
    return wrap(Net(way), preprocess={"size": 12})


@pytest.mark.parametrize("way", WAYS)
def test_the_tape_is_the_pass_and_its_walk_the_gradient(way: Callable[[Any], Any]) -> None:
    model = model_of(way)
    assert model.why_no("tape") is None
    x = np.stack([picture(model), picture(model, 1)])
    tape, plain = model.tape(x), model.trace(x, watch=["input"], target=1)
    start = np.zeros_like(tape.scores)
    start[:, 1] = 1
    walked = model.input.per_pixel(tape.walk({len(tape.calls) - 1: start}))
    assert np.array_equal(tape.scores, plain.scores)
    np.testing.assert_allclose(walked, plain.gradients["input"], rtol=1e-5, atol=1e-7)
    again = model.input.per_pixel(tape.walk({len(tape.calls) - 1: start}))
    assert np.array_equal(walked, again), "walked twice, the same"


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "shufflenet_v2_x0_5", "squeezenet1_1"])
def test_networks_of_torchvision_keep_the_contract_of_the_tape(name: str) -> None:
    models = need("torchvision.models")
    torch.manual_seed(0)
    check_model(wrap(getattr(models, name)(weights=None), preprocess={"size": 64}), tolerance=0.1)


def test_what_is_written_through_another_name_is_refused_and_said() -> None:
    def alias(x: Any) -> Any:
        x.view(len(x), -1).relu_()
        return x

    reason = model_of(alias).why_no("tape")
    assert reason is not None and "written to under another name" in reason


def test_an_array_of_the_callers_own_is_refused_and_said() -> None:
    model = model_of(lambda x: torch.add(x, 1, out=torch.empty(0)) if torch.is_grad_enabled() else x + 1)
    with pytest.raises(Unmet, match="out="):
        model.tape(picture(model)[None])


def test_everything_is_left_as_it_was_also_after_an_error() -> None:
    def fails(x: Any) -> Any:
        if torch.is_grad_enabled():
            raise RuntimeError("told to fail")
        return x

    for way in (statement, fails):
        model = model_of(way)
        model.native.train()
        before = snapshot(model)
        try:
            model.tape(picture(model)[None])
        except RuntimeError:
            assert way is fails
        assert_untouched(before, snapshot(model), "tape")


def test_one_relu_module_called_thrice_is_three_calls() -> None:
    class Reused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.relu = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(inplace=True)

        def forward(self, x: Any) -> Any:
            x = self.relu(self.conv(x))
            y = self.relu(self.conv(x))
            y += x
            return self.relu(y).mean((2, 3))

    model = wrap(Reused(), preprocess={"size": 8})
    told = [(call.name, call.kind, call.function) for call in model.calls]
    assert [name for name, _, function in told if function == "relu"] == ["relu", "relu#2", "relu#3"]
    assert [kind for _, kind, _ in told] == [
        "input", "convolution", "activation", "convolution", "activation", "add", "activation", "pooling",
    ]  # fmt: skip
    assert model.calls[5].inputs == (4, 2)


def test_a_unit_of_a_layer_is_walked_back_from(lite0: Model, cat: Any) -> None:
    probe = Probe(lite0, cat, "_blocks.3[7]")
    walked = lite0.input.per_pixel(probe.walk())
    np.testing.assert_allclose(walked, probe.gradients(), rtol=1e-4, atol=1e-7 * float(np.abs(walked).max()))


def test_a_double_precision_model_has_a_double_precision_tape() -> None:
    torch.manual_seed(0)
    model = wrap(Net(F.silu).double(), preprocess={"size": 12})
    tape = model.tape(picture(model)[None])
    assert tape.scores.dtype == np.float64 and tape.calls[1].params["kernel"].dtype == np.float64


def test_a_batch_norm_shows_its_statistics() -> None:
    norm = nn.BatchNorm2d(3)
    norm.running_mean.copy_(torch.tensor([1.0, 2, 3]))
    model = wrap(
        nn.Sequential(norm, nn.Flatten(), nn.Linear(3 * 64, 2)), preprocess={"size": 8, "mean": 0, "std": 1}
    )
    call = model.tape(picture(model)[None]).calls[1]
    assert call.info.kind == "batch-norm" and call.info.hyper["eps"] == 1e-5
    assert call.params["mean"].tolist() == [1, 2, 3]
    other = call.run([call.output * 0], {"mean": np.zeros(3, np.float32)})
    assert not other.any()


def test_classic_networks_flatten_by_view() -> None:
    class LeNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.pool, self.head = nn.Conv2d(3, 6, 5), nn.MaxPool2d(2), nn.Linear(6 * 14 * 14, 10)

        def forward(self, x: Any) -> Any:
            x = self.pool(F.relu(self.conv(x)))
            return self.head(x.view(-1, 6 * 14 * 14))

    check_model(cnnlens.wrap(LeNet(), preprocess={"size": 32}))


def test_a_view_that_is_written_to_and_read_on_is_refused_whatever_the_scores() -> None:
    def part(x: Any) -> Any:
        F.relu(x[:, :3], inplace=True)
        return x * 1e-6

    assert "written to under another name" in str(model_of(part).why_no("tape"))


def test_complex_numbers_are_refused() -> None:
    reason = model_of(lambda x: x + torch.fft.irfft2(torch.fft.rfft2(x), s=x.shape[-2:])).why_no("tape")
    assert reason is not None and "complex" in reason


@pytest.mark.parametrize(
    ("way", "kind"),
    [(lambda x: x * (x > 0), "scale"), (lambda x: x / x.detach().abs().mean(), "scale")],
)
def test_what_the_picture_steers_is_marked_and_deeplift_refuses_it(way: Any, kind: str) -> None:
    model = model_of(way)
    steered = [call for call in model.calls if call.hyper.get("steered")]
    assert [call.kind for call in steered] == [kind]
    deeplift = next(one for one in cnnlens.visualisers() if one.name == "deeplift")
    assert "made from the picture" in str(deeplift.why_not(model))


def test_constants_over_values_and_computed_bounds_are_calls_of_their_own() -> None:
    over = model_of(lambda x: torch.ones(1) / (1 + x.relu()))
    assert ("other", "reciprocal") in [(call.kind, call.function) for call in over.calls]
    bounded = model_of(lambda x: torch.clamp(x, max=x.mean((1, 2, 3), keepdim=True)))
    assert ("other", "clamp") in [(call.kind, call.function) for call in bounded.calls]


def test_rules_say_where_the_target_bends() -> None:
    model = model_of(torch.relu)
    for name in ("lrp", "deeplift"):
        notes = cnnlens.look(model, picture(model), name, target="p(top1)").notes
        assert any("no sum of scores" in note for note in notes)
        assert not any("no sum of scores" in note for note in cnnlens.look(model, picture(model), name).notes)
