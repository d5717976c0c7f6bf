"""The PyTorch adapter: names, shapes, one pass, and nothing left behind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from needs import need

import cnnlens
from cnnlens import Model, wrap
from cnnlens.errors import BadInput, Unmet
from cnnlens.targets import read_target
from cnnlens.testing import assert_untouched, check_model, picture, snapshot

torch = need("torch")
from torch import nn  # noqa: E402 (torch may be missing)
from torch.nn import functional as F  # noqa: E402


def awkward() -> Any:
    """A residual network with everything that trips hooks up: one ReLU module called three times, in place,
    functional and method calls, `+=`, a concatenation, a statement whose value nobody takes."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(8, 8, 3, padding=1)
            self.bn = nn.BatchNorm2d(8)
            self.conv2 = nn.Conv2d(8, 8, 3, padding=1, groups=4)
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x: Any) -> Any:
            y = self.relu(self.bn(self.conv1(x)))
            y = self.conv2(y)
            y += x
            return self.relu(y)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
            self.block = Block()
            self.head = nn.Linear(16, 5)
            self.softmax = nn.Softmax(dim=1)

        def forward(self, x: Any) -> Any:
            x = self.stem(x)
            x.relu_()
            x = self.block(x)
            x = self.block(x)
            y = torch.cat([F.avg_pool2d(x, 2), F.max_pool2d(x, 2)], 1)
            return self.softmax(self.head(y.mean((2, 3))))

    torch.manual_seed(0)
    net = Net()
    with torch.no_grad():  # statistics of a trained network
        net.block.bn.running_mean.uniform_(-0.5, 0.5)
        net.block.bn.running_var.uniform_(0.5, 2)
    return net.train()


@pytest.fixture
def net() -> Model:
    return wrap(awkward(), preprocess={"size": 16, "mean": 0.5, "std": 0.25}, labels=list("abcde"))


def test_layers_in_call_order_with_functions_and_repeated_calls(net: Model) -> None:
    names = [layer.name for layer in net.layers]
    assert names == [
        "stem", "relu",
        "block", "block.conv1", "block.bn", "block.relu", "block.conv2", "block.add", "block.relu#2",
        "block#2", "block.conv1#2", "block.bn#2", "block.relu#3", "block.conv2#2", "block.add#2",
        "block.relu#4",
        "avg_pool2d", "max_pool2d", "cat", "mean", "head", "softmax",
    ]  # fmt: skip
    by_name = {layer.name: layer for layer in net.layers}
    assert by_name["stem"].shape == (8, 8, 8) and by_name["cat"].shape == (4, 4, 16)
    assert by_name["block"].kind == "block" and by_name["cat"].kind == "concat"
    assert by_name["block.conv2"].hyper["groups"] == 4 and by_name["stem"].hyper["stride"] == (2, 2)
    assert by_name["block.add"].inputs == ("block.conv2", "relu")
    assert by_name["cat"].inputs == ("avg_pool2d", "max_pool2d")
    assert by_name["stem"].parameters == 8 * 3 * 9 + 8


def test_it_keeps_the_contract(net: Model, tiny_in_torch: Model) -> None:
    check_model(net)
    check_model(tiny_in_torch)


def test_scores_are_before_the_softmax(net: Model) -> None:
    x = picture(net)[None]
    seen = net.trace(x, watch=["head", "softmax"])
    assert net.activation == "softmax"
    assert np.array_equal(seen.scores, seen.activations["head"])
    assert np.allclose(seen.activations["softmax"], net.probabilities(seen.scores), atol=1e-6)


def reference(model: Model, x: np.ndarray, out_of_place: bool = True) -> dict[str, Any]:
    """The same pass written out by hand, nothing in place, with autograd's own gradients."""
    net = model.native.eval()
    seen: dict[str, Any] = {}

    def keep(name: str, value: Any) -> Any:
        seen[name] = value
        value.retain_grad()
        return value

    x = torch.from_numpy(x).requires_grad_()
    seen["input"] = x
    y = keep("stem", net.stem(((x - 0.5) / 0.25).permute(0, 3, 1, 2)))
    y = keep("relu", F.relu(y))
    for turn, (conv1, relu, add, last) in enumerate(
        [("block.conv1", "block.relu", "block.add", "block.relu#2"),
         ("block.conv1#2", "block.relu#3", "block.add#2", "block.relu#4")]
    ):  # fmt: skip
        z = keep(relu, F.relu(net.block.bn(keep(conv1, net.block.conv1(y)))))
        z = keep(add, net.block.conv2(z) + y)
        y = keep(last, F.relu(z))
        assert turn in (0, 1)
    y = keep("cat", torch.cat([F.avg_pool2d(y, 2), F.max_pool2d(y, 2)], 1))
    seen["scores"] = net.head(y.mean((2, 3)))
    return seen


def test_every_activation_and_gradient_equals_a_pass_written_out_by_hand(net: Model) -> None:
    x = np.stack([picture(net, 1), picture(net, 2)])
    truth = reference(net, x)
    truth["scores"][:, 3].sum().backward()
    watch = [name for name in truth if name != "scores"]
    seen = net.trace(x, watch=watch, target=3)
    assert np.allclose(seen.scores, truth["scores"].detach(), atol=1e-5)
    for name in watch:
        own, grad = truth[name].detach(), truth[name].grad
        if name != "input":
            own, grad = own.movedim(1, -1), grad.movedim(1, -1)
            assert np.allclose(seen.activations[name], own, atol=1e-5), name
        assert np.abs(seen.gradients[name] - grad.numpy()).max() <= 1e-5 * max(1, float(grad.abs().max())), (
            name
        )
    assert seen.activations["stem"].min() < 0  # ReLU works in place right after it


@pytest.mark.parametrize("name", ["stem", "relu", "block", "block.add", "block.relu#3", "cat", "mean"])
def test_a_gradient_is_the_same_whoever_else_is_watched(net: Model, name: str) -> None:
    x = picture(net)[None]
    alone = net.trace(x, watch=[name], target=2).gradients[name]
    everyone = [layer.name for layer in net.layers if layer.shape]
    together = net.trace(x, watch=["input", *everyone], target=2).gradients[name]
    assert np.allclose(alone, together, atol=1e-7)


@pytest.mark.parametrize("name", ["stem", "relu", "block", "block.add", "cat", "head"])
def test_replacing_a_layer_runs_the_rest_from_there(net: Model, name: str) -> None:
    x, other = picture(net, 1)[None], picture(net, 2)[None]
    swapped = net.trace(x, replace={name: net.trace(other, watch=[name]).activations[name]}).scores
    # nothing leads round any of these layers, so all end as the other picture does
    assert np.allclose(swapped, net.trace(other).scores, atol=1e-5)
    if name == "stem":  # and one that has a way round it: the second block's sum adds what came before
        inner = net.trace(other, watch=["block.relu#3"]).activations["block.relu#3"]
        mixed = net.trace(x, replace={"block.relu#3": inner}).scores
        assert not np.allclose(mixed, net.trace(other).scores, atol=1e-3)
    again = net.trace(
        x, watch=["input", name], target=1, replace={name: np.zeros((3, *net.layer(name).shape))}
    )
    assert again.scores.shape == (3, 5) and not again.gradients["input"].any()


def test_a_target_in_a_layer_and_a_difference(net: Model) -> None:
    x = picture(net)[None]
    unit = read_target("block.relu#3[2,1,1]", net)
    truth = reference(net, x)
    truth["block.relu#3"][:, 2, 1, 1].sum().backward()
    seen = net.trace(x, watch=["input", "stem"], target=unit)
    assert np.allclose(seen.gradients["input"], truth["input"].grad, atol=1e-6)
    both = net.trace(x, watch=["stem"], target=read_target("a - b", net)).gradients["stem"]
    apart = [net.trace(x, watch=["stem"], target=i).gradients["stem"] for i in (0, 1)]
    assert np.allclose(both, apart[0] - apart[1], atol=1e-7)
    beyond = net.trace(x, watch=["cat"], target=unit).gradients["cat"]
    assert not beyond.any()  # what comes after the unit does not move it


def test_no_parameter_gradient_is_built_and_the_walk_stops_at_the_lowest_layer(net: Model) -> None:
    calls: list[str] = []

    class Spy(torch.autograd.Function):  # type: ignore[name-defined,misc]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            calls.append("walked")
            return grad

    handle = net.native.stem.register_forward_hook(lambda m, i, out: Spy.apply(out))
    net.trace(picture(net)[None], watch=["block.relu#2"], target=0)
    assert calls == []
    net.trace(picture(net)[None], watch=["input"], target=0)
    assert calls == ["walked"]
    handle.remove()
    assert all(p.grad is None for p in net.native.parameters())


def test_everything_is_restored_also_after_an_error(net: Model) -> None:
    module = net.native
    module.block.eval()  # a mixture of modes
    module.stem.weight.requires_grad_(False)
    module.head.weight.grad = torch.ones_like(module.head.weight)
    before = snapshot(net)
    x = picture(net)[None]
    net.trace(x, watch=["input", "block.add"], target=0, replace={"cat": np.ones((1, 4, 4, 16), np.float32)})
    assert_untouched(before, snapshot(net), "trace")

    def fail(*_: Any) -> None:
        raise RuntimeError("in the middle")

    handle = module.block.bn.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="in the middle"):
        net.trace(x, watch=["input", "block.add"], target=0)
    handle.remove()
    assert_untouched(before, snapshot(net), "a failed trace")


def test_random_layers_leave_the_random_numbers_alone() -> None:
    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.register_buffer("calls", torch.zeros(1))

        def forward(self, x: Any) -> Any:
            self.calls += 1
            return (self.conv(x) + torch.randn(1)).mean((2, 3))

    model = wrap(Noisy(), preprocess={"size": 8})
    before = snapshot(model)
    model.trace(picture(model)[None], watch=["conv"], target=0)
    assert_untouched(before, snapshot(model), "a noisy model")


def test_a_layer_that_hands_its_input_on_is_apart_from_the_way_round_it() -> None:
    class Around(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.same = nn.Identity()
            self.drop = nn.Dropout()

        def forward(self, x: Any) -> Any:
            y = self.conv(x)
            return (self.drop(self.same(y)) * 3 + y).mean((2, 3))

    model = wrap(Around(), preprocess={"size": 8})
    x = picture(model)[None]
    names = ["input", "conv", "same", "drop"]
    gradients = model.trace(x, watch=names, target=0).gradients
    for name in ("same", "drop"):
        assert np.allclose(model.trace(x, watch=[name], target=0).gradients[name], gradients[name], atol=1e-7)
        assert np.allclose(gradients[name][..., 0], 3 / 36) and np.allclose(gradients["conv"][..., 0], 4 / 36)
        zeros = {name: np.zeros((1, 6, 6, 4), np.float32)}
        expected = model.trace(x, watch=["conv"]).activations["conv"].mean((1, 2))
        assert np.allclose(model.trace(x, replace=zeros).scores, expected, atol=1e-5)


def test_activations_are_copies(net: Model) -> None:
    x = picture(net)[None]
    first = net.trace(x, watch=["stem", "input"])
    first.activations["stem"][:] = 0
    assert net.trace(x, watch=["stem"]).activations["stem"].any()


def test_weights_are_kernels_channels_last(net: Model) -> None:
    stem = net.weights("stem")
    assert stem["kernel"].shape == (3, 3, 3, 8) and stem["bias"].shape == (8,)
    assert np.array_equal(stem["kernel"][0, 2, 1], net.native.stem.weight.detach().numpy()[:, 1, 0, 2])
    assert net.weights("block.conv2#2")["kernel"].shape == (3, 3, 2, 8)
    assert net.weights("head")["kernel"].shape == (16, 5)
    assert set(net.weights("block.bn")) == {"scale", "bias", "mean", "variance"}
    assert net.weights("block.add") == {}
    up = wrap(nn.Sequential(nn.ConvTranspose2d(3, 7, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    assert up.weights("0")["kernel"].shape == (2, 2, 3, 7)


def test_a_convolution_that_holds_its_padding_is_a_convolution() -> None:
    class SamePadded(nn.Conv2d):
        def __init__(self) -> None:
            super().__init__(3, 4, 3)
            self.pad = nn.ZeroPad2d(1)

        def forward(self, x: Any) -> Any:
            return F.conv2d(self.pad(x), self.weight, self.bias)

    model = wrap(nn.Sequential(SamePadded(), nn.AdaptiveAvgPool2d(1), nn.Flatten()), preprocess={"size": 8})
    first = [layer for layer in model.layers if layer.kind == "convolution"]
    assert [layer.name for layer in first] == ["0"] and first[0].has_kernels


def test_channels_last_models_and_tokens_are_read_the_right_way_round() -> None:
    class NHWC(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 6, 2, 2)
            self.norm = nn.LayerNorm(6)
            self.mlp = nn.Linear(6, 10)

        def forward(self, x: Any) -> Any:
            y = self.mlp(self.norm(self.conv(x).permute(0, 2, 3, 1)))
            return y.flatten(1, 2).mean(1)

    model = wrap(NHWC(), preprocess={"size": 8})
    shapes = {layer.name: layer.shape for layer in model.layers}
    assert shapes["conv"] == (4, 4, 6) and shapes["norm"] == (4, 4, 6) and shapes["mlp"] == (4, 4, 10)
    assert shapes["flatten"] == (16, 10)
    check_model(model)


def test_sigmoid_heads_single_outputs_and_log_softmax() -> None:
    def net(*tail: Any, units: int) -> Model:
        body = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, units), *tail)
        return wrap(body, preprocess={"size": 8})

    assert net(nn.Sigmoid(), units=4).activation == "sigmoid"
    assert net(units=1).activation == "sigmoid"
    assert net(nn.LogSoftmax(1), units=4).activation == "softmax"
    single = net(nn.Sigmoid(), units=1)
    x = picture(single)[None]
    assert single.outputs == (1,) and single.input.channels == 1
    assert single.probabilities(single.trace(x).scores)[0, 0] == pytest.approx(float(single.native(
        torch.from_numpy(x).permute(0, 3, 1, 2)).detach()), rel=1e-5)  # fmt: skip


@pytest.mark.parametrize("pack", ["dict", "tuple", "object"])
def test_outputs_in_their_wrappings(pack: str) -> None:
    class Output:
        def __init__(self, logits: Any) -> None:
            self.logits = logits

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: Any) -> Any:
            logits = self.conv(x).mean((2, 3))
            return {"dict": {"aux": x, "logits": logits}, "tuple": (logits, x), "object": Output(logits)}[
                pack
            ]

    check_model(wrap(Net(), preprocess={"size": 8}))


def test_the_size_is_found_where_nobody_says_it() -> None:
    model = wrap(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2 * 26 * 26, 4)))
    assert (model.input.height, model.input.channels, model.input.source) == (28, 1, "assumed unit")


def test_what_it_cannot_open_it_says() -> None:
    with pytest.raises(BadInput, match=r"accepts no picture of 64×64 with 3 channel\(s\)"):
        wrap(nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(7, 4)), preprocess={"size": 64})
    with pytest.raises(Unmet, match="returns a NoneType"):

        class Silent(nn.Module):
            def forward(self, x: Any) -> None:
                return None

        wrap(Silent())
    with pytest.raises(cnnlens.errors.UsageError, match="a dict of weights, not a model"):
        wrap({"conv.weight": torch.zeros(1)})
    with pytest.raises(BadInput, match="3 labels for the 4 classes"):
        wrap(nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()), labels=list("abc"))


def test_a_double_precision_model_gives_exact_gradients() -> None:
    torchvision = need("torchvision")
    torch.manual_seed(0)
    module = torchvision.models.resnet18(weights=None, num_classes=7).double().eval()
    model = wrap(module, preprocess={"size": 64})
    x = picture(model)[None]
    given = torch.from_numpy(x).double().requires_grad_()
    module(given.permute(0, 3, 1, 2))[:, 2].sum().backward()
    seen = model.trace(x, watch=["input"], target=2).gradients["input"]
    assert np.abs(seen - given.grad.numpy()).max() <= 1e-6 * float(given.grad.abs().max())


@pytest.mark.parametrize(
    "name", ["mobilenet_v2", "densenet121", "shufflenet_v2_x0_5", "convnext_tiny", "swin_t", "vit_b_16"]
)
def test_networks_of_torchvision_keep_the_contract(name: str) -> None:
    models = need("torchvision").models
    torch.manual_seed(1)
    side = 224 if name.startswith("vit") else 64
    model = wrap(models.get_model(name, weights=None), preprocess={"size": side})
    x = picture(model)[None]
    layers = [layer for layer in model.layers if layer.shape]
    seen = model.trace(x, watch=["input", *(layer.name for layer in layers)], target=0)
    assert len(layers) > 50
    assert all(seen.activations[layer.name].shape == (1, *layer.shape) for layer in layers)
    assert np.allclose(seen.scores, model.trace(x).scores, atol=1e-5)
    some = layers[len(layers) // 2].name
    assert np.allclose(model.trace(x, replace={some: seen.activations[some]}).scores, seen.scores, atol=1e-5)


def test_parametrised_weights_and_functional_statistics_are_left_as_they_are() -> None:
    class Stateful(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 4, 3))
            self.norm = nn.BatchNorm2d(4)

        def forward(self, x: Any) -> Any:
            y = self.conv(x)
            y = F.batch_norm(y, self.norm.running_mean, self.norm.running_var, training=True)
            return y.mean((2, 3))

    model = wrap(Stateful().train(), preprocess={"size": 8})
    before = snapshot(model)
    first = model.weights("conv")["kernel"]
    assert np.array_equal(first, model.weights("conv")["kernel"])
    model.trace(picture(model)[None], watch=["input"], target=0)
    assert_untouched(before, snapshot(model), "weights and a trace")


def test_a_network_that_detaches_has_no_gradients() -> None:
    class Detached(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        @torch.no_grad()
        def forward(self, x: Any) -> Any:
            return self.conv(x).mean((2, 3))

    model = wrap(Detached(), preprocess={"size": 8})
    assert model.outputs == (4,)
    with pytest.raises(Unmet, match="no gradients: its forward detaches"):
        model.trace(picture(model)[None], watch=["input"], target=0)


def test_one_number_a_picture_is_one_class() -> None:
    class Squeezed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 1, 3)

        def forward(self, x: Any) -> Any:
            return self.conv(x).mean((1, 2, 3))

    model = wrap(Squeezed(), preprocess={"size": 8}, labels=["cat"])
    assert model.outputs == (1,) and model.activation == "sigmoid"
    check_model(model)


def test_which_of_several_outputs_are_the_scores_is_not_guessed() -> None:
    class Two(nn.Module):
        def __init__(self, rows: int) -> None:
            super().__init__()
            self.conv, self.rows = nn.Conv2d(3, 4, 3), rows

        def forward(self, x: Any) -> Any:
            y = self.conv(x)
            return {"features": y, **{f"head{i}": y.mean((2, 3)) + i for i in range(self.rows)}}

    assert wrap(Two(1), preprocess={"size": 8}).outputs == (4,)
    with pytest.raises(Unmet, match="'head0', 'head1'"):
        wrap(Two(2), preprocess={"size": 8})


def test_a_segmentation_net_is_looked_into_and_explained() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 5, 1))
    model = wrap(net, preprocess={"size": 8})
    assert model.outputs == (8, 8, 5) and "classes" not in model.can
    assert cnnlens.look(model, picture(model), "feature-maps", layer="1").array.shape == (4, 8, 8)
    for name in ("class-probabilities", "saliency", "grad-cam"):
        assert np.isfinite(cnnlens.look(model, picture(model), name).array).all()
