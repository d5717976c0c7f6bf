"""Layers with places: which there are, what each sees, which one is taken, of networks of several families."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from needs import need
from nets import NETS, wrapped

import cnnlens
from cnnlens import Model, candidates, fold
from cnnlens.errors import BadInput, Unmet
from cnnlens.layer import Layer
from cnnlens.settings import LayerOf
from cnnlens.tiny import TinyModel
from cnnlens.tokens import Grid, grid_of


def chosen(model: Model) -> cnnlens.Candidate:
    (one,) = (one for one in candidates(model) if one.chosen)
    assert (
        one.name == LayerOf("places").resolve("last", model) == LayerOf("places", True).resolve("last", model)
    )
    return one


def transformer(kind: str) -> Model:
    """Two blocks, 64×64 pixels in patches of 16."""
    torch = need("torch")
    if kind == "torchvision":
        native = need("torchvision").models.VisionTransformer(64, 16, 2, 2, 24, 48, num_classes=5)
    else:
        given: dict[str, Any] = {
            "class token": {"model_name": "vit_tiny_patch16_224"},
            "mean": {"model_name": "vit_tiny_patch16_224", "global_pool": "avg", "class_token": False},
            "distilled": {"model_name": "deit_tiny_distilled_patch16_224"},
            "registers": {"model_name": "vit_tiny_patch16_224", "reg_tokens": 4},
        }[kind]
        native = need("timm").create_model(
            **given, depth=2, embed_dim=24, num_heads=2, img_size=64, num_classes=5
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for parameter in native.parameters():  # a head of zeros would pass no gradient on
            torch.nn.init.normal_(parameter, std=0.2)
    return cnnlens.wrap(native.eval(), preprocess={"size": 64})


@pytest.mark.parametrize("net", ["plain", "residual", "depthwise"])
def test_of_a_convolutional_network_it_is_the_last_with_maps(net: str) -> None:
    model = wrapped(net)
    assert chosen(model).name == LayerOf("maps").resolve("last", model)
    names = [layer.name for layer in model.layers]
    found = [one.name for one in candidates(model)]
    assert found == sorted(found, key=names.index)
    assert set(found) == {layer.name for layer in model.layers if layer.has_maps}
    assert all(one.read and one.grid is None for one in candidates(model))


def test_what_a_place_sees_is_where_its_gradient_is_not_zero() -> None:
    """Against the network itself, with weights that let everything through."""
    torch = need("torch")
    for net in ("plain", "residual", "depthwise"):
        native = NETS[net]()
        for name, module in list(native.named_children()):
            if isinstance(module, torch.nn.MaxPool2d):  # of a largest value only one place has a gradient
                setattr(native, name, torch.nn.AvgPool2d(2))
        model = cnnlens.wrap(native, preprocess={"size": 32})
        with torch.no_grad():
            for module in native.modules():
                if isinstance(module, torch.nn.Conv2d):
                    module.weight.abs_()
                    if module.bias is not None:
                        module.bias.fill_(1.0)
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.running_mean.zero_()
                    module.running_var.fill_(100.0)  # below the six of a ReLU6
                    module.bias.fill_(1.0)
        for one in candidates(model):
            if one.kind in ("block", "pooling") or one.sees is None or max(one.sees) > 16:
                continue
            y, x = one.rows // 2, one.columns // 2
            target = cnnlens.targets.read_target(f"{one.name}[0,{y},{x}]", model)  # type: ignore[attr-defined]
            picture = np.full((1, 32, 32, 3), 0.5, np.float32)
            gradient = model.trace(picture, watch=["input"], target=target).gradients["input"][0]
            rows = np.flatnonzero(np.abs(gradient).sum((1, 2)) > 0)
            assert rows[-1] - rows[0] + 1 == one.sees[0], (net, one.name)


def test_the_reason_says_how_much_it_sees() -> None:
    need("torchvision")
    model = cnnlens.wrap(need("torchvision").models.resnet18(num_classes=4).eval(), preprocess={"size": 224})
    assert chosen(model).reason == (
        "the last of 65 layers with maps, 7×7, one place per 32 pixels, sees all 224 pixels"
    )
    assert {one.reason for one in candidates(model) if not one.chosen} == {
        "a block",
        "a pooling",
        "not the last",
    }


@pytest.mark.parametrize(
    ("kind", "name", "leading"),
    [
        ("torchvision", "encoder.layers.encoder_layer_1.ln_1", 1), ("class token", "blocks.1.norm1", 1),
        ("distilled", "blocks.1.norm1", 2), ("registers", "blocks.1.norm1", 5), ("mean", "norm", 0),
    ],
)  # fmt: skip
def test_of_a_transformer_it_is_the_last_whose_patches_are_still_read(
    kind: str, name: str, leading: int
) -> None:
    model = transformer(kind)
    one = chosen(model)
    assert one.name == name and one.grid == Grid(4, 4, leading) and one.stride == (16, 16)
    watched = [other for other in candidates(model) if other.grid and other.kind != "block"]
    picture = np.random.default_rng(0).random((1, 64, 64, 3), np.float32)
    seen = model.trace(picture, watch=[other.name for other in watched], target=2).gradients
    for other in watched:
        assert other.grid is not None
        assert bool(fold(seen[other.name][0], other.grid).any()) == other.read, other.name
    assert all(not other.read for other in watched) is False


def test_windows_of_a_swin_are_maps() -> None:
    native = need("torchvision").models.SwinTransformer([4, 4], 16, [1, 2], [2, 2], [4, 4], num_classes=5)
    one = chosen(cnnlens.wrap(native.eval(), preprocess={"size": 64}))
    assert one.name == "permute" and one.grid is None and one.shape == (8, 8, 32)


def test_tokens_are_patches_where_they_fit_the_input() -> None:
    square, wide = wrapped("plain"), cnnlens.testing.tiny_model(input=cnnlens.InputSpec(32, 64))  # type: ignore[attr-defined]

    def grid(tokens: int, model: Model) -> Grid | None:
        return grid_of(Layer("tokens", "normalisation", "LayerNorm", (tokens, 8)), model)

    assert [grid(n, square) for n in (16, 17, 18, 21)] == [Grid(4, 4, leading) for leading in (0, 1, 2, 5)]
    assert grid(19, square) is None and grid(3, square) is None and grid(9 + 1, square) is None
    assert grid(8, wide) == Grid(2, 4, 0) and grid(33, wide) == Grid(4, 8, 1) and grid(17, wide) is None
    values = np.arange(2 * 33).reshape(33, 2)
    folded = fold(values, Grid(4, 8, 1))  # type: ignore[arg-type]
    assert folded.shape == (4, 8, 2) and folded[1, 0].tolist() == values[9].tolist()
    with pytest.raises(BadInput, match="folds"):
        fold(values, Grid(4, 4, 1))  # type: ignore[arg-type]


def test_several_layers_are_read_with_commas_between_them() -> None:
    model, several = wrapped("residual"), LayerOf("places", several=True)
    assert several.resolve("layer2.relu#2, last ,layer2.relu#2", model) == "layer2.relu#2,layer3.relu#2"
    assert several.resolve("first", model) == "conv1"
    with pytest.raises(cnnlens.errors.UnknownName, match="did you mean"):
        several.resolve("layer2.relu#2,layer3.rely", model)
    with pytest.raises(Unmet, match="'fc' has no places"):
        several.resolve("fc", model)
    with pytest.raises(cnnlens.errors.UnknownName):
        LayerOf("places").resolve("layer2.relu#2,last", model)
    with pytest.raises(cnnlens.errors.UnknownName):
        several.resolve(" , ", model)


def test_what_is_found_once_is_found_anew_for_other_layers() -> None:
    class Growing(TinyModel):
        shown = 2

        @property
        def layers(self) -> tuple[Layer, ...]:
            return super().layers[: self.shown]

    model = Growing()
    before = [one.name for one in candidates(model)]
    assert candidates(model) is candidates(model)
    model.shown = 3
    assert [one.name for one in candidates(model)] != before
