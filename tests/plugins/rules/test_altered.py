"""Altered gradients in one pass of torch's own are those of a walk over the tape, and nothing is left behind."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import nets
import numpy as np
import pytest
from needs import need

import cnnlens
from cnnlens import Array, Model, Probe, look
from cnnlens.errors import Unmet
from cnnlens.targets import Target, read_target
from cnnlens.testing import assert_untouched, picture, snapshot
from cnnlens_plugins.rules.clipping import deconvolved, guided
from cnnlens_plugins.rules.guided_backprop import guided_backprop
from cnnlens_plugins.rules.structure import RECTIFIERS

torch = need("torch")
nn, F = torch.nn, torch.nn.functional
SHARES = {"guided": guided, "deconvolved": deconvolved}


class Net(nn.Module):  # type: ignore[misc, name-defined]
    def __init__(self, way: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.conv, self.mix, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 1), nn.Linear(8, 4)
        self.act, self.slope, self.way = nn.ReLU(inplace=True), nn.PReLU(8), way
        nn.init.normal_(self.slope.weight)

    def forward(self, x: Any) -> Any:
        return self.head(self.way(self, self.conv(x)).mean((2, 3)))


def statement(net: Any, x: Any) -> Any:
    x.relu_()
    return net.mix(x)


def residual(net: Any, x: Any) -> Any:
    y = net.mix(net.act(net.mix(x)))
    y += x
    return net.act(y)


def excited(net: Any, x: Any) -> Any:
    gate = F.relu6(net.mix(x.relu().mean((2, 3), keepdim=True)))
    return x.clamp(min=0) * torch.sigmoid(gate)


def branched(net: Any, x: Any) -> Any:
    _ = F.relu(net.mix(x)).sum()  # leads nowhere
    with torch.no_grad():
        gate = x.relu()
    return F.leaky_relu(net.mix(torch.cat([F.relu(x[:, :4]), F.hardtanh(x[:, 4:], 0, 3)], 1)), 0.2) * gate


def others(net: Any, x: Any) -> Any:
    return F.hardtanh(torch.clamp(x, -1, 2) + F.silu(net.mix(x)) + x.clamp(x.mean(), None) + F.relu(x))


def bounded(net: Any, x: Any) -> Any:
    return x.clip(0, 2) + torch.clamp_min(net.mix(x), min=0) + F.rrelu(x) + torch.clamp(input=x, min=0, max=1)


class Unseen(torch.autograd.Function):  # type: ignore[misc, name-defined]
    """A ReLU that no function of torch calls: on a tape it is none."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x.relu()

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        return gradient * (ctx.saved_tensors[0] > 0)


def unseen(net: Any, x: Any) -> Any:
    return Unseen.apply(x) + F.relu(net.mix(x))


def overwritten(net: Any, x: Any) -> Any:
    return F.relu_(net.mix(x).sigmoid() - 0.5) + net.mix(x).exp().relu_()


def added_to(net: Any, x: Any) -> Any:
    y = net.act(net.mix(x))
    y += x
    return net.act(y)


def by_view(net: Any, x: Any) -> Any:
    y = net.mix(x).permute(0, 2, 3, 1)
    return y.relu_().permute(0, 3, 1, 2)


def hooked(net: Any, x: Any) -> Any:
    y = F.relu(net.mix(x))
    if y.requires_grad:
        y.register_hook(lambda gradient: gradient * 3)
    return F.relu(x) + y


#: What torch's own graph holds, and what it does not: there the tape is walked.
ONE_PASS = [
    statement, residual, excited, branched, others, bounded, unseen,
    lambda net, x: net.act(net.mix(net.act(x))),
    lambda net, x: net.slope(net.mix(F.relu(x, inplace=True))),
    lambda net, x: F.relu(net.mix(F.max_pool2d(F.relu(x), 2))),
    lambda net, x: F.relu(F.softmax(net.mix(x), 1)).to(memory_format=torch.channels_last).relu(),
    lambda net, x: torch.utils.checkpoint.checkpoint(lambda y: F.relu(net.mix(y)), x, use_reentrant=False),
]  # fmt: skip
BY_TAPE = [overwritten, added_to, by_view, hooked]


def model_of(way: Callable[[Any, Any], Any]) -> Model:
    torch.manual_seed(0)
    return cnnlens.wrap(Net(way).double(), preprocess={"size": 12})


def recorded(model: Model, monkeypatch: Any) -> list[int]:
    """Grows with every tape that is recorded."""
    tapes, record = [], model.record

    def counted(fed: Array) -> Any:
        tapes.append(1)
        return record(fed)

    monkeypatch.setattr(model, "record", counted)
    return tapes


def held_to_the_tape(model: Model, target: Target, share: Any, pictures: Array) -> tuple[Array, Array]:
    scores, slow = Model.pull_altered(model, pictures, target, RECTIFIERS, share)
    scores_again, fast = model.pull_altered(pictures, target, RECTIFIERS, share)
    assert np.abs(slow).max() > 0 and fast.dtype == slow.dtype
    assert np.abs(fast - slow).max() <= 1e-9 * np.abs(slow).max()
    np.testing.assert_allclose(scores_again, scores, rtol=1e-9)
    return slow, fast


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("way", [*ONE_PASS, *BY_TAPE])
def test_they_are_what_a_walk_over_the_tape_gives(way: Any, share: str, monkeypatch: Any) -> None:
    model = model_of(way)
    model.native.train()
    pictures, before = np.stack([picture(model), picture(model, 1)]), snapshot(model)
    assert model.why_no("tape") is None
    for target in (1, "p(2)", "2 - 1"):
        held_to_the_tape(model, read_target(target, model), SHARES[share], pictures)
    tapes = recorded(model, monkeypatch)
    model.pull_altered(pictures, read_target(1, model), RECTIFIERS, SHARES[share])
    assert len(tapes) == (way in BY_TAPE)
    assert_untouched(before, snapshot(model), "altered")


def test_with_nothing_to_alter_it_is_the_gradient() -> None:
    model = model_of(residual)
    x = picture(model)[None]
    _, found = model.pull_altered(x, Target.of_class(1), (), guided)
    plain = model.trace(x, watch=["input"], target=1).gradients["input"]
    np.testing.assert_allclose(model.input.per_pixel(found), plain, rtol=1e-5, atol=1e-9)
    _, altered = model.pull_altered(x, Target.of_class(1), RECTIFIERS, guided)
    assert np.abs(altered - found).max() > 1e-3 * np.abs(found).max()


def test_a_softmax_at_the_end_is_left_out_and_a_layer_read_on_the_tape() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(Net(residual), nn.Softmax(1)).double()
    model = cnnlens.wrap(net, preprocess={"size": 12})
    x = picture(model)[None]
    for target in ("2", "0.conv[3,5,5]", "0.act#2[1]"):
        held_to_the_tape(model, read_target(target, model), guided, x)


def test_a_picture_is_looked_at_without_a_tape(monkeypatch: Any) -> None:
    model = nets.wrapped("residual")
    assert model.calls
    tapes = recorded(model, monkeypatch)
    probe = Probe(model, nets.photo(0))
    assert look(model, probe, guided_backprop).array.any() and not tapes
    assert np.allclose(probe.scores, model.trace(probe.pixels[None]).scores[0], rtol=1e-5)


def test_what_has_no_tape_is_refused() -> None:
    def alias(net: Any, x: Any) -> Any:
        x.view(len(x), -1).relu_()
        return x

    model = model_of(alias)
    for run in (
        lambda: model.pull_altered(picture(model)[None], Target.of_class(1), RECTIFIERS, guided),
        lambda: look(model, picture(model), guided_backprop),
    ):
        with pytest.raises(Unmet, match="written to under another name"):
            run()


def test_no_hook_outlives_the_pass_nor_an_error() -> None:
    """Neither on what the network keeps of it, nor where the share fails."""
    kept: list[Any] = []

    def keeping(net: Any, x: Any) -> Any:
        kept.append(F.relu(x))
        return net.mix(kept[-1])

    def share_of(fails: bool) -> Any:
        def share(arrived: Array, pulled: Array) -> Array:
            if fails:
                raise ValueError("told to fail")
            return pulled

        return share

    model = model_of(keeping)
    x, target = picture(model)[None], Target.of_class(1)
    assert model.calls
    before = snapshot(model)
    for fails in (False, True):
        share = share_of(fails)
        left = weakref.ref(share)
        with pytest.raises(ValueError, match="told to fail") if fails else nullcontext():
            model.pull_altered(x, target, RECTIFIERS, share)
        assert_untouched(before, snapshot(model), "altered")
        assert kept[-1].grad_fn is not None
        del share
        gc.collect()
        assert left() is None


def test_the_model_is_left_as_it_was_where_it_fails() -> None:
    def failing(net: Any, x: Any) -> Any:
        if told:
            raise KeyError("told to fail")
        return F.relu(x)

    told: list[int] = []
    model = model_of(failing)
    assert model.calls
    before = snapshot(model)
    told.append(1)
    with pytest.raises(KeyError):
        model.pull_altered(picture(model)[None], Target.of_class(1), RECTIFIERS, guided)
    assert_untouched(before, snapshot(model), "altered")
