"""Slopes: the model's own values and gradients, asked again and again; and a model at another size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnnlens import Model, errors, wrap
from cnnlens.testing import TinyModel, assert_untouched, snapshot, tiny_model, tiny_torch

torch = pytest.importorskip("torch")


def net() -> Any:
    """With a batch norm behind its convolution, and of no fixed size."""
    torch.manual_seed(0)
    parts = [
        torch.nn.Conv2d(3, 6, 3, padding=1), torch.nn.BatchNorm2d(6), torch.nn.ReLU(inplace=True),
        torch.nn.Conv2d(6, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 3),
    ]  # fmt: skip
    parts[1].running_mean.normal_(0, 0.5)
    parts[1].running_var.uniform_(0.5, 2)
    return torch.nn.Sequential(*parts).eval()


@pytest.fixture(params=["numpy", "torch", "free"])
def model(request: pytest.FixtureRequest) -> Model:
    if request.param == "numpy":
        return tiny_model()
    if request.param == "torch":
        return wrap(tiny_torch(), preprocess=TinyModel.spec)
    return wrap(net(), preprocess={"size": 12, "mean": (0.5,), "std": (0.25,)})


def test_each_picture_has_its_own_target(model: Model) -> None:
    maps = [layer.name for layer in model.layers if layer.has_maps]
    for texts in ([f"{maps[0]}[1]", f"{maps[1]}[2,1,2]", f"{maps[0]}[0]"], ["0", f"{maps[-1]}[1]", "2"]):
        targets = [model.target(text) for text in texts]
        before, slopes = snapshot(model), model.slopes(targets)
        for seed in (0, 1):
            spec = model.input
            x = np.random.default_rng(seed).random((3, spec.height, spec.width, spec.channels), np.float32)
            values, gradients = slopes(x)
            for i, target in enumerate(targets):
                own = model.trace(x[i : i + 1], watch=("input", *target.layers), target=target)
                assert values[i] == pytest.approx(
                    target.value(own.scores, own.activations)[0], rel=1e-4, abs=1e-5
                )
                wanted = own.gradients["input"][0]
                np.testing.assert_allclose(gradients[i], wanted, atol=1e-4 * max(1e-6, np.abs(wanted).max()))
            some_values, some = slopes(x[1:], slice(1, None))
            np.testing.assert_allclose(some, gradients[1:], atol=1e-4 * np.abs(gradients).max())
            np.testing.assert_allclose(some_values, values[1:], rtol=1e-4, atol=1e-5)
        assert_untouched(before, snapshot(model), "slopes")


def test_what_lies_behind_the_layer_is_not_run() -> None:
    ours = net()
    ours.add_module("7", torch.nn.Softplus())
    model = wrap(ours, preprocess={"size": 12})
    slopes = model.slopes([model.target("0[1]")])
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiled:
        slopes(model.input.grey())
    ran = {event.key for event in profiled.key_averages()}
    assert "aten::conv2d" in ran and not ran & {"aten::linear", "aten::addmm", "aten::softplus"}


def test_a_batch_norm_that_is_kept_is_replayed() -> None:
    """Its values are wanted, so it is not made one with the convolution before it."""
    model = wrap(net(), preprocess={"size": 12})
    x = np.random.default_rng(0).random((2, 12, 12, 3), np.float32)
    replay = model.replay(model.input.encode(x[:1]), keep=("1",))
    own, found = model.trace(x, watch=("1",)), model.trace(x, watch=("1",), replay=replay)
    np.testing.assert_allclose(found.activations["1"], own.activations["1"], atol=1e-5)
    np.testing.assert_allclose(found.scores, own.scores, atol=1e-5)


def test_pictures_of_another_size_are_refused(model: Model) -> None:
    slopes = model.slopes([model.target("0")])
    with pytest.raises(errors.BadInput, match="reads pictures"):
        slopes(np.zeros((1, 5, 5, 3), np.float32))


def test_another_size() -> None:
    native = net()
    model = wrap(native, preprocess={"size": 12}, labels=("a", "b", "c"), name="free")
    other = model.sized(20, 16)
    assert (other.input.height, other.input.width) == (20, 16) and other.lock is model.lock
    assert other.name == "free" and other.classes == ("a", "b", "c") and model.sized(12, 12) is model
    assert other.layer("3").shape == (18, 14, 4) and model.layer("3").shape == (10, 10, 4)
    x = np.random.default_rng(0).random((1, 20, 16, 3), np.float32)
    with torch.no_grad():
        fed = torch.from_numpy(np.moveaxis(other.input.encode(x), -1, 1).copy())
        np.testing.assert_allclose(other.trace(x).scores, native(fed).numpy(), atol=1e-6)
    with pytest.raises(errors.BadInput, match="accepts no picture of 20×20"):
        wrap(tiny_torch(), preprocess=TinyModel.spec).sized(20, 20)
    with pytest.raises(errors.Unmet, match="at its own size alone"):
        tiny_model().sized(9, 9)
