"""Replays: recorded passes run again give what the model gives, or are not used at all."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

import cnnlens
from cnnlens import Target, batches
from cnnlens.backends.replay.replayed import Replayed
from cnnlens.backends.torch import TorchModel
from cnnlens.errors import Cancelled
from cnnlens.memory import Appetite
from cnnlens.passes import hidden
from cnnlens.runtime import allocator

SIDE = 33


def wrapped(module: nn.Module, side: int = SIDE) -> TorchModel:
    """In double precision, so that what differs is not rounding; batch norms that do something."""
    torch.manual_seed(3)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for values in (part.running_mean, part.bias):
                nn.init.normal_(values, 0.0, 0.3)
            for values in (part.running_var, part.weight):
                nn.init.uniform_(values, 0.5, 2.0)
        if isinstance(part, nn.Linear) and not part.weight.any():  # torchvision's transformers begin so
            nn.init.normal_(part.weight)
    model = cnnlens.wrap(
        module.double().eval(), preprocess={"size": side, "mean": [0.5] * 3, "std": [0.25] * 3}
    )
    assert isinstance(model, TorchModel)
    return model


def picture(side: int = SIDE, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((side, side, 3), np.float32)


class Used:
    """Counts replays that were used, and the model's own passes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.replays: list[bool] = []
        self.pictures = 0
        held, forward = batches._held, TorchModel.forward

        def seen(*args: Any) -> Any:
            self.replays.append((found := held(*args)) is not None)
            return found

        def counted(model: Any, fed: Any, *rest: Any) -> Any:
            self.pictures += len(fed)
            return forward(model, fed, *rest)

        monkeypatch.setattr(batches, "_held", seen)
        monkeypatch.setattr(TorchModel, "forward", counted)


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> Used:
    return Used(monkeypatch)


def boxes_of(side: int, window: int, stride: int) -> list[tuple[int, int, int, int]]:
    starts = [*range(0, side - window, stride), side - window]
    return [(y, x, y + window, x + window) for y in starts for x in starts]


def full(model: TorchModel, image: np.ndarray, boxes: Sequence[Any], fill: Any) -> np.ndarray:
    return np.concatenate([model.trace(hidden(image, [box], fill)).scores for box in boxes])


def effect(model: TorchModel, image: np.ndarray, scores: np.ndarray) -> float:
    return float(np.abs(scores - model.trace(image[None]).scores).max())


class Squeezed(nn.Module):
    """Squeeze and excite: a gate for each channel from the mean of all places."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = functional.adaptive_avg_pool2d(x, 1)
        return x * torch.sigmoid(self.up(functional.relu(self.down(gate))))


class Shuffled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.size()
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, -1, h, w)
        one, other = x.chunk(2, dim=1)
        return torch.cat([other, one.relu()], 1)


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        out = self.inner(x)
        out += x
        return functional.relu_(out)


class Padded(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return functional.pad(x, (0, 1, 2, 0))


class Odd(nn.Module):
    """A function that nothing here knows: every place becomes what stands on the other side."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.5 * torch.flip(x, (-1,))


PARTS: dict[str, Callable[[], list[nn.Module]]] = {
    "plain": lambda: [nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()],
    "strided": lambda: [nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.ReLU6()],
    "dilated": lambda: [nn.Conv2d(8, 8, 3, padding=2, dilation=2), nn.SiLU(inplace=True)],
    "grouped": lambda: [nn.Conv2d(8, 8, 5, padding=1, groups=2), nn.Hardswish()],
    "depthwise": lambda: [nn.Conv2d(8, 8, 3, stride=(1, 2), padding=1, groups=8), nn.PReLU(8)],
    "even kernel": lambda: [nn.Conv2d(8, 8, (2, 4), padding=(1, 0), stride=(2, 1)), nn.LeakyReLU()],
    "max pooling": lambda: [nn.MaxPool2d(3, 2, padding=1, ceil_mode=True)],
    "mean pooling": lambda: [nn.AvgPool2d(3, 1, padding=1)],
    "mean pooling without the border": lambda: [nn.AvgPool2d(3, 2, padding=1, count_include_pad=False)],
    "mean pooling beyond the border": lambda: [nn.AvgPool2d(2, 2, ceil_mode=True)],
    "same": lambda: [nn.Conv2d(8, 8, 3, padding="same", dilation=3)],
    "mirrored border": lambda: [nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect")],
    "norm first": lambda: [nn.BatchNorm2d(8), nn.ReLU(inplace=True)],
    "residual": lambda: [Residual(8)],
    "squeezed": lambda: [Squeezed(8)],
    "shuffled": lambda: [Shuffled()],
    "padded": lambda: [Padded()],
    "dropout": lambda: [nn.Dropout(0.5), nn.Identity(), nn.Dropout(0.2, inplace=True)],
    "group norm": lambda: [nn.GroupNorm(2, 8)],
    "odd": lambda: [Odd()],
    "transposed": lambda: [nn.ConvTranspose2d(8, 8, 3, stride=2)],
}
HEADS: dict[str, Callable[[], list[nn.Module]]] = {
    "global mean": lambda: [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)],
    "four means": lambda: [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 5)],
    "lazy": lambda: [nn.Flatten(), nn.LazyLinear(5)],
}


def net_of(names: Sequence[str], head: str) -> TorchModel:
    torch.manual_seed(5)
    inner = [part for name in names for part in PARTS[name]()]
    module = nn.Sequential(nn.Conv2d(3, 8, 3), *inner, *HEADS[head]())
    with torch.no_grad():
        module(torch.zeros(1, 3, SIDE, SIDE))
    return wrapped(module)


@pytest.mark.parametrize("name", PARTS)
def test_each_kind_of_step_spreads_exactly(name: str, used: Used) -> None:
    model, image = net_of([name, "plain"], "global mean"), picture()
    boxes = boxes_of(SIDE, 7, 5)
    got = model.hide(image, boxes, 0.3)
    own = used.pictures
    expected = full(model, image, boxes, 0.3)
    assert used.replays == [True] and own == 4, (
        "the whole picture and three hidden ones, to hold the replay to"
    )
    assert effect(model, image, expected) > 1e-3
    np.testing.assert_allclose(got, expected, atol=1e-6 * np.abs(expected).max(), rtol=0)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.sampled_from(sorted(PARTS)), min_size=1, max_size=4),
    st.sampled_from(sorted(HEADS)),
    st.lists(st.tuples(*[st.integers(0, SIDE - 1)] * 2, *[st.integers(1, 16)] * 2), min_size=9, max_size=20),
)
def test_whatever_the_network_and_the_boxes(
    names: list[str], head: str, drawn: list[tuple[int, int, int, int]]
) -> None:
    try:
        model = net_of(names, head)
    except RuntimeError:  # these parts do not fit: the maps have become too small
        return
    image, cover = picture(), picture(seed=1)
    boxes = [(y, x, min(SIDE, y + h), min(SIDE, x + w)) for y, x, h, w in drawn]
    expected = full(model, image, boxes, cover)
    np.testing.assert_allclose(
        model.hide(image, boxes, cover), expected, atol=1e-6 * np.abs(expected).max(), rtol=0
    )


NETWORKS = (
    "resnet18", "mobilenet_v2", "mobilenet_v3_small", "shufflenet_v2_x1_0",
    "squeezenet1_1", "googlenet", "mnasnet0_5", "regnet_y_400mf", "vision_transformer",
)  # fmt: skip
GIVEN: dict[str, dict[str, Any]] = {
    "googlenet": {"init_weights": False},
    "vision_transformer": {
        "image_size": 64, "patch_size": 16, "num_layers": 2, "num_heads": 2, "hidden_dim": 32, "mlp_dim": 64,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_as_they_are(name: str, used: Used) -> None:
    from torchvision import models

    torch.manual_seed(0)
    known = models.VisionTransformer if name == "vision_transformer" else models.get_model_builder(name)
    side = 64
    model, image = wrapped(known(num_classes=7, **GIVEN.get(name, {})), side), picture(side)
    boxes = [
        *boxes_of(side, 11, 40),
        (3, 5, 9, 30),
        (0, 0, side, side),
        (side - 1, 0, side, 1),
        (30, 30, 33, 33),
    ]
    boxes += [(20, 9, 31, 20), (9, 40, 20, 51)]
    got = model.hide(image, boxes, 0.0)
    expected = full(model, image, boxes, 0.0)
    assert used.replays == [True]
    error = np.abs(got - expected).max() / effect(model, image, expected)
    assert error < 1e-4, f"off by {error:.1e} of the effect"


class TestBatches:
    def test_forward_and_gradients_equal_the_models_own(self, used: Used) -> None:
        model = net_of(["residual", "strided", "squeezed"], "global mean")
        pictures = [picture(seed=i) for i in range(23)]
        maps = next(layer.name for layer in reversed(model.layers) if layer.kind == "convolution")
        for watch in ((), ("input",), (maps,), ("input", maps)):
            for target in (None, Target.of_class(2)):
                parts = list(model.in_batches(pictures, watch=watch, target=target))
                own = model.trace(np.stack(pictures), watch=watch, target=target)
                pairs = [(np.concatenate([p.scores for p in parts]), own.scores)]
                for name in watch:
                    pairs.append(
                        (np.concatenate([p.activations[name] for p in parts]), own.activations[name])
                    )
                    if target:
                        pairs.append(
                            (np.concatenate([p.gradients[name] for p in parts]), own.gradients[name])
                        )
                for got, expected in pairs:
                    np.testing.assert_allclose(got, expected, atol=1e-6 * np.abs(expected).max(), rtol=0)
        assert used.replays == [True] * 8

    def test_from_a_layer_on_with_a_way_around_it(self, used: Used) -> None:
        model, image = net_of(["residual", "plain"], "global mean"), picture()
        inside = next(layer.name for layer in model.layers if layer.name.endswith("inner.0"))
        maps = model.trace(image[None], watch=(inside,)).activations[inside][0]
        others = [maps * np.float32(i / 20) for i in range(21)]
        got = np.concatenate([t.scores for t in model.in_batches(others, at=inside, image=image)])
        expected = model.trace(image[None], replace={inside: np.stack(others)}).scores
        np.testing.assert_allclose(got, expected, atol=1e-6 * np.abs(expected).max(), rtol=0)
        assert used.replays == [True] and len({tuple(row) for row in np.round(got, 6)}) == 21

    def test_a_single_batch_is_not_recorded(self, used: Used) -> None:
        model = net_of(["plain"], "global mean")
        list(model.in_batches([picture()] * 4))
        assert used.replays == []

    def test_what_a_size_the_trial_had_not_raises_is_not_the_users(self) -> None:
        model = wrapped(Second())
        pictures = [picture(seed=i) for i in range(9)]  # eight at once, and one
        got, own = (
            np.concatenate([t.scores for t in batches.in_batches(model, pictures, replayed=by)])
            for by in (True, False)
        )
        np.testing.assert_allclose(got, own, atol=1e-6)

    def test_a_replay_that_fails_half_way_gives_place(self, monkeypatch: pytest.MonkeyPatch) -> None:
        model, image = net_of(["plain"], "global mean"), picture()
        boxes = boxes_of(SIDE, 9, 4)
        expected = full(model, image, boxes, 0.0)
        run, hide = Replayed.forward, Replayed.hide

        def failing(did: list[int], way: Callable[..., Any]) -> Callable[..., Any]:
            def fails(self: Replayed, values: Any, *rest: Any, **more: Any) -> Any:
                did.append(len(values))
                if len(did) == 5:  # after the trial, and a batch
                    raise IndexError("half-way")
                return way(self, values, *rest, **more)

            return fails

        for name, way in (("forward", run), ("hide", hide)):
            did: list[int] = []
            monkeypatch.setattr(Replayed, name, failing(did, way))
            monkeypatch.setattr(batches, "AT_ONCE", 8)
            if name == "hide":
                got = model.hide(image, boxes, 0.0)
            else:
                shown = [hidden(image, [box], 0.0)[0] for box in boxes]
                got = np.concatenate([t.scores for t in model.in_batches(shown)])
            assert len(did) == 5
            np.testing.assert_allclose(got, expected, atol=1e-6)

    @pytest.mark.parametrize("memory", [None, "60kB"])
    def test_memory_is_kept_while_they_run_where_there_is_room(
        self, memory: str | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model, held = net_of(["plain"], "global mean"), list[bool]()
        if memory:
            model.memory = memory
            monkeypatch.setattr(model._budget, "appetite", model._budget._appetites.__getitem__)
            model._budget._appetites = {True: Appetite(6000, 6000), False: Appetite(6000, 6000)}
        forward = TorchModel.forward

        def seen(*args: Any) -> Any:
            held.append(bool(allocator._kept._count))
            return forward(*args)

        monkeypatch.setattr(TorchModel, "forward", seen)
        monkeypatch.setattr(batches, "_held", lambda *_: None)
        list(model.in_batches([picture()] * 20, watch=("input",), target=Target.of_class(1)))
        model.hide(picture(), boxes_of(SIDE, 9, 9), 0.0)
        assert len(held) > 3 and set(held) == {memory is None}
        assert allocator._kept._count == 0

    def test_at_and_image_go_together(self) -> None:
        with pytest.raises(cnnlens.errors.BadInput, match="both"):
            list(net_of(["plain"], "global mean").in_batches([], at="0"))


class Second(nn.Module):
    """What it does with several pictures hangs on the second of them, so a replay of one fails."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 6, 3), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        if len(x) > 1:
            x = x + 0.1 * x[1]
        return self.last(x.mean((2, 3)))


class Turning(nn.Module):
    """A base for networks that no replay may be made of: `how` says what they do."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 6, 3), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.middle(self.first(x)).mean((2, 3)))

    def middle(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class Deciding(Turning):
    def middle(self, x: Tensor) -> Tensor:
        return x.relu() if float(x[:, 0].mean()) > 0 else -x


class Counting(Turning):
    def middle(self, x: Tensor) -> Tensor:
        return x * int((x > 0).sum())


class Masking(Turning):
    def middle(self, x: Tensor) -> Tensor:
        return torch.where(x > x.mean((1, 2, 3), keepdim=True), x, torch.zeros_like(x))


class Detaching(Turning):
    def middle(self, x: Tensor) -> Tensor:
        return x + x.detach() ** 2


class Drawing(Turning):
    def middle(self, x: Tensor) -> Tensor:
        return x + torch.randn_like(x)


class Numpy(Turning):
    def middle(self, x: Tensor) -> Tensor:
        return x * torch.from_numpy(np.tanh(x.detach().numpy()))


class Batched(Turning):
    """What is told of a picture hangs on the others beside it."""

    def middle(self, x: Tensor) -> Tensor:
        return x - x.mean(0, keepdim=True) + x


class Hooked(Turning):
    def __init__(self) -> None:
        super().__init__()
        self.act = nn.ReLU()
        self.act.register_full_backward_hook(lambda module, into, out: (into[0].clamp(min=0),))

    def middle(self, x: Tensor) -> Tensor:
        return self.act(x)


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return 3 * gradient


class Custom(Turning):
    def middle(self, x: Tensor) -> Tensor:
        return Doubled.apply(x)


class Remembering(Turning):
    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.LSTM(6, 6, batch_first=True)

    def middle(self, x: Tensor) -> Tensor:
        return self.rows(x.mean(2).transpose(1, 2))[0].transpose(1, 2)[..., None]


class Picking(Turning):
    """An index for each picture of the batch."""

    def middle(self, x: Tensor) -> Tensor:
        return x + x.flatten(2)[torch.arange(len(x)), :, 5][:, :, None, None]


class Gathering(Turning):
    def middle(self, x: Tensor) -> Tensor:
        flat = x.flatten(2)
        order = torch.arange(flat.shape[-1] - 1, -1, -1).expand(len(x), x.shape[1], flat.shape[-1])
        return (flat * torch.gather(flat, 2, order)).view_as(x)


class OneByOne(Turning):
    def middle(self, x: Tensor) -> Tensor:
        gates = torch.stack([torch.sigmoid(x[i].mean((1, 2))) for i in range(len(x))])
        return x * gates[:, :, None, None]


class Writing(Turning):
    """A constant that is written to by what the picture says."""

    def middle(self, x: Tensor) -> Tensor:
        most = torch.ones(len(x), dtype=x.dtype)
        for i in range(len(x)):
            most[i] = x[i].detach().amax()
        return x / most[:, None, None, None]


class WritingBeneath(Turning):
    def middle(self, x: Tensor) -> Tensor:
        most = torch.ones(len(x), 1, 1, 1, dtype=x.dtype)
        most.data.copy_(x.detach().amax((1, 2, 3), keepdim=True))
        return x / most


class Selecting(Turning):
    def middle(self, x: Tensor) -> Tensor:
        return x * x[x > 0.2].shape[0] if len(x) == 1 else torch.cat([self.middle(one[None]) for one in x])


REFUSED = (
    Remembering, Picking, Gathering, OneByOne, Writing, WritingBeneath, Selecting,
    Deciding, Counting, Masking, Detaching, Drawing, Numpy, Batched, Hooked, Custom,
)  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_replayed_is_not(kind: type[Turning], used: Used) -> None:
    torch.manual_seed(1)
    model, image = wrapped(kind()), picture()
    boxes = boxes_of(SIDE, 9, 9)
    got = model.hide(image, boxes, 0.0)
    assert used.replays == [False] and used.pictures >= len(boxes)
    if kind not in (
        Drawing,
        Batched,
        Counting,
    ):  # those tell of a picture what hangs on the others, or on luck
        np.testing.assert_allclose(got, full(model, image, boxes, 0.0), atol=1e-9)


@pytest.mark.parametrize("kind", [nn.SiLU, nn.Hardswish, nn.ReLU])
def test_values_that_are_read_again_are_not_written_over(kind: type[nn.Module]) -> None:
    """Where a box spreads over most of the map its old values are needed as they were, not as they became."""
    torch.manual_seed(0)
    layers = [part for _ in range(3) for part in (nn.Conv2d(8, 8, 9, padding=4), kind())]
    model, image = wrapped(nn.Sequential(nn.Conv2d(3, 8, 1), *layers, *HEADS["global mean"]())), picture()
    boxes = boxes_of(SIDE, 7, 4)
    expected = full(model, image, boxes, 0.5)
    error = np.abs(model.hide(image, boxes, 0.5) - expected).max() / effect(model, image, expected)
    assert error < 1e-4


def test_the_batch_norms_are_folded() -> None:
    model = net_of(["plain", "residual"], "global mean")
    replay = model.replay(model.input.encode(picture()[None]))
    assert [step.name for step in replay._program.steps].count("batch_norm") == 0
    kept = model.replay(model.input.encode(picture()[None]), keep=["1"])
    assert [step.name for step in kept._program.steps].count("batch_norm") == 1, "its input is watched"


def test_weights_hooks_and_layers_that_change_between_two_calls_are_seen() -> None:
    model, image, boxes = net_of(["plain"], "global mean"), picture(), boxes_of(SIDE, 9, 9)
    before = model.hide(image, boxes, 0.0)
    with torch.no_grad():
        model.module[0].weight.data.mul_(-2)
        model.module[2].running_mean.add_(1)
    changed = model.hide(image, boxes, 0.0)
    np.testing.assert_allclose(changed, full(model, image, boxes, 0.0), atol=1e-6)
    assert np.abs(changed - before).max() > 1e-3
    handle = model.module[3].register_forward_hook(lambda module, given, out: 2 * out)
    np.testing.assert_allclose(model.hide(image, boxes, 0.0), full(model, image, boxes, 0.0), atol=1e-6)
    handle.remove()
    model.module[3] = nn.Tanh()
    np.testing.assert_allclose(model.hide(image, boxes, 0.0), full(model, image, boxes, 0.0), atol=1e-6)


def test_the_model_is_left_as_it_was() -> None:
    model, image = net_of(["residual", "plain"], "global mean"), picture()
    model.module.train()
    model.module[0].weight.requires_grad_(False)
    before = copy.deepcopy(model.module.state_dict())
    flags = [(p.requires_grad, p.data_ptr()) for p in model.module.parameters()]
    model.hide(image, boxes_of(SIDE, 9, 9), 0.0)
    list(model.in_batches([picture(seed=i) for i in range(12)], watch=("input",), target=Target.of_class(0)))

    def stopped(done: int) -> None:
        raise cnnlens.errors.Cancelled("stopped")

    with pytest.raises(cnnlens.errors.Cancelled):
        model.hide(image, boxes_of(SIDE, 9, 9), 0.0, stopped)
    after = model.module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert [(p.requires_grad, p.data_ptr()) for p in model.module.parameters()] == flags
    assert all(part.training for part in model.module.modules())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.module.modules())
    assert all(p.grad is None for p in model.module.parameters())


def test_nothing_is_recorded_where_memory_is_scarce(used: Used, monkeypatch: pytest.MonkeyPatch) -> None:
    model, image = net_of(["plain"], "global mean"), picture()
    model.memory = "60kB"  # layers hand on more than that, and a pass is said to take less
    monkeypatch.setattr(model._budget, "appetite", lambda gradients: Appetite(6000, 6000))
    boxes = boxes_of(SIDE, 9, 9)
    np.testing.assert_allclose(model.hide(image, boxes, 0.0), full(model, image, boxes, 0.0), atol=1e-6)
    assert used.replays == [False]


def test_boxes_that_are_empty_or_stick_out_are_hidden_as_ever() -> None:
    model, image = net_of(["plain"], "global mean"), picture()
    boxes = [*boxes_of(SIDE, 9, 9), (4, 4, 4, 9), (30, 30, 40, 50), (-3, 0, 5, 5)]
    np.testing.assert_allclose(model.hide(image, boxes, 0.0), full(model, image, boxes, 0.0), atol=1e-6)


def test_progress_is_told_to_the_end() -> None:
    model, told = net_of(["plain"], "global mean"), list[int]()
    boxes = boxes_of(SIDE, 9, 4)
    model.hide(picture(), boxes, 0.0, told.append)
    assert told == sorted(told) and told[-1] == len(boxes)


def test_hiding_may_be_stopped_between_layers() -> None:
    """Stop is heard long before a batch of boxes is done, and the next question is answered as ever."""
    net = nn.Sequential(*(nn.Conv2d(3, 3, 3, padding=1) for _ in range(6)), nn.Flatten(), nn.Linear(768, 4))
    model = cnnlens.wrap(net, preprocess={"size": 16})
    boxes = [(y, x, y + 4, x + 4) for y in range(0, 12, 2) for x in range(0, 12, 2)]
    image = np.random.default_rng(0).random((16, 16, 3), np.float32)
    calls: list[int] = []

    def tick(done: int) -> None:
        calls.append(done)
        if len(calls) == 4:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        model.hide(image, boxes, 0.5, tick)
    assert calls == [0, 0, 0, 0], "before the first batch was done"
    assert model.hide(image, boxes, 0.5).shape == (36, 4)
