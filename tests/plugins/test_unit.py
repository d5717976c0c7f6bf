"""The unit taken apart: its kernel against the weights, its crops against the picture, its numbers by hand."""

from __future__ import annotations

from typing import Any

import nets
import numpy as np
import pytest
from needs import need

import cnnlens
from cnnlens import Bars, Heatmap, Model, Note, Table, Tiles, look
from cnnlens.errors import BadSetting
from cnnlens.testing import check_visualiser, picture
from cnnlens_plugins.apart.unit import unit

torch = need("torch")
nn = torch.nn


def of(*modules: Any, side: int = 32, channels: int = 3) -> Model:
    """A network of these modules with a mean and a dense layer behind, its weights drawn."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        net = nn.Sequential(*modules, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(3)).eval()
        net(torch.zeros(1, channels, side, side))
    return cnnlens.wrap(net, preprocess={"size": side, "mean": 0.0, "std": 1.0})


def panels(model: Model, **settings: Any) -> dict[str, Any]:
    """The panels by what they are; the kernel, if there is one, comes before the crops."""
    found: dict[str, Any] = {}
    for panel in look(model, picture(model), unit, **settings).panels:
        name = type(panel).__name__
        if isinstance(panel, (Tiles, Bars)):
            name = (
                "kernel"
                if panel.title.startswith("Kernel")
                else "around"
                if "around" in panel.title
                else "crops"
            )
        assert name not in found
        found[name] = panel
    return found


def rows(found: dict[str, Any]) -> dict[str, Any]:
    assert isinstance(found["Table"], Table)
    return {str(name): value for name, value in found["Table"].rows}


def test_it_keeps_the_rules() -> None:
    check_visualiser(unit)
    check_visualiser(unit, [nets.wrapped("residual")])


def test_the_map_and_its_numbers(tiny_in_torch: Model) -> None:
    maps = tiny_in_torch.trace(picture(tiny_in_torch)[None], watch=["conv", "relu"]).activations
    for layer, signed in (("conv", True), ("relu", False)):
        found, one = panels(tiny_in_torch, layer=layer, unit=1), maps[layer][0, ..., 1]
        assert isinstance(found["Heatmap"], Heatmap) and found["Heatmap"].signed is signed
        assert np.array_equal(found["Heatmap"].values, one)
        told = rows(found)
        assert told["largest"] == one.max() and told["smallest"] == one.min()
        assert told["mean"] == pytest.approx(one.mean(dtype=np.float64), rel=1e-6)
        assert told["share of zeros"] == (one == 0).mean() and told["share of negatives"] == (one < 0).mean()
        i, j = np.unravel_index(one.argmax(), one.shape)
        assert told["strongest at"] == f"row {i}, column {j}"
        assert told["which sees of the picture"] == f"rows {i} to {i + 2}, columns {j} to {j + 2}"
        assert (
            told["receptive field"] == "3 × 3 pixels"
            and told["from one place to the next"] == "1 down, 1 across"
        )


def test_a_number_that_no_map_has_is_refused(tiny_in_torch: Model) -> None:
    with pytest.raises(BadSetting, match=r"from 0 to 3, got 4: conv has 4 maps"):
        look(tiny_in_torch, picture(tiny_in_torch), unit, layer="conv", unit=4)


def test_a_dead_map_is_marked_and_nothing_is_cut_out(tiny_in_torch: Model) -> None:
    found = panels(tiny_in_torch, layer="relu", unit=3)
    assert rows(found)["this map is"] == "dead" and "strongest at" not in rows(found)
    assert (
        found["Note"].text == "The map is dead for this picture: no place stands out."
        and "crops" not in found
    )


def test_the_kernel_is_the_units_own_in_every_kind_of_convolution() -> None:
    model = of(
        nn.Conv2d(3, 80, 3), nn.Conv2d(80, 6, 3), nn.Conv2d(6, 6, 3, groups=6), nn.Conv2d(6, 4, (1, 3), groups=2),
        nn.Conv2d(4, 70, 1), nn.ConvTranspose2d(70, 4, 2, 2),
    )  # fmt: skip
    kernels = {name: model.weights(name)["kernel"] for name in map(str, range(6))}
    first = panels(model, layer="0", unit=7)["kernel"]
    assert np.array_equal(first.values, np.moveaxis(kernels["0"][..., 7], -1, 0)) and first.signed
    assert first.title == "Kernel of 0[7]: 3 inputs" and first.names == ("0", "1", "2")
    many, own = panels(model, layer="1", unit=2)["kernel"], kernels["1"][..., 2]
    assert many.title == "Kernel of 1[2]: 64 of 80 inputs, the strongest"
    norms, named = np.square(own).sum((0, 1)), [int(name) for name in many.names]
    assert named == sorted(np.argsort(-norms)[:64].tolist())
    assert np.array_equal(many.values, np.moveaxis(own, -1, 0)[named])
    alone = panels(model, layer="2", unit=4)["kernel"]
    assert np.array_equal(alone.values[0], kernels["2"][..., 0, 4]) and alone.names == ("4",)
    grouped = panels(model, layer="3", unit=3)["kernel"]
    assert np.array_equal(grouped.values, np.moveaxis(kernels["3"][..., 3], -1, 0))
    assert grouped.names == ("3", "4", "5") and grouped.values.shape == (3, 1, 3)
    bars = panels(model, layer="4", unit=9)["kernel"]
    assert isinstance(bars, Bars) and bars.title == "Kernel of 4[9]: 4 inputs"
    assert (
        sorted(bars.values) == sorted(kernels["4"][0, 0, :, 9]) and (np.diff(np.abs(bars.values)) <= 0).all()
    )
    assert np.array_equal(bars.values, kernels["4"][0, 0, [int(n) for n in bars.names], 9])
    turned = panels(model, layer="5", unit=1)["kernel"]
    assert len(turned.values) == 64
    assert np.array_equal(turned.values[0], kernels["5"][..., int(turned.names[0]), 1])


def test_layers_without_a_kernel_show_whose_channel_they_hand_on() -> None:
    model = of(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.ZeroPad2d(1),
        nn.Upsample(scale_factor=2), nn.ChannelShuffle(2),
    )  # fmt: skip
    own = np.moveaxis(model.weights("0")["kernel"][..., 5], -1, 0)
    for name in map(str, range(1, 6)):
        kernel = panels(model, layer=name, unit=5)["kernel"]
        assert np.array_equal(kernel.values, own)
        assert kernel.title == "Kernel of 0[5], which this layer hands on: 3 inputs"
    assert "kernel" not in panels(model, layer="6", unit=5), "its channels are others'"
    residual = nets.wrapped("residual")
    added = next(layer.name for layer in residual.layers if layer.kind == "add")
    assert "kernel" not in panels(residual, layer=added, unit=0), "a sum has no one kernel"


@pytest.mark.parametrize("channels", [1, 3])
def test_the_crops_are_the_picture_where_the_unit_is_strongest(channels: int) -> None:
    model = of(nn.Conv2d(channels, 4, 5, 2, 2), nn.ReLU(), nn.Conv2d(4, 6, 3, 1, 1), channels=channels)
    image = picture(model)
    assert image.shape == (32, 32, channels)
    one = model.trace(image[None], watch=["2"]).activations["2"][0, ..., 3]
    found = panels(model, layer="2", unit=3, places=5)["crops"]
    assert (
        found.values.shape == (5, 9, 9, 3)
        and found.title == "What it saw where it is strongest, 9 × 9 pixels each"
    )
    padded = np.pad(image, ((20, 20), (20, 20), (0, 0)), constant_values=0.5)
    places = []
    for tile, name in zip(found.values, found.names, strict=True):
        i, j = (int(part) for part in name.partition(":")[0].split(","))
        assert name == f"{i}, {j}: {one[i, j]:.3g}"
        y, x = 2 * i - 4 + 20, 2 * j - 4 + 20
        assert np.array_equal(tile, np.broadcast_to(padded[y : y + 9, x : x + 9], (9, 9, 3)))
        places.append((i, j))
    assert places[0] == np.unravel_index(one.argmax(), one.shape)
    assert (np.diff([one[place] for place in places]) <= 0).all()
    for n, (i, j) in enumerate(places):
        shared = [max(9 - 2 * abs(i - y), 0) * max(9 - 2 * abs(j - x), 0) for y, x in places[:n]]
        assert max(shared, default=0) <= 81 / 2
    assert found.limits is not None and found.limits.tolist() == [[0, 1]] * 5


def test_none_that_is_apart_and_stronger_is_left_out() -> None:
    model = of(nn.Conv2d(3, 4, 5, 2, 2), nn.ReLU(), nn.Conv2d(4, 6, 3, 1, 1))
    one = model.trace(picture(model)[None], watch=["2"]).activations["2"][0, ..., 3]
    names = panels(model, layer="2", unit=3, places=64)["crops"].names
    taken = [tuple(int(part) for part in name.partition(":")[0].split(",")) for name in names]
    for i, j in np.ndindex(*one.shape):
        stronger = [place for place in taken if one[place] >= one[i, j]]
        shares = [max(9 - 2 * abs(i - y), 0) * max(9 - 2 * abs(j - x), 0) / 81 for y, x in stronger]
        assert (i, j) in taken or one[i, j] == one.min() or max(shares) > 0.5 or len(taken) == 64


def test_small_fields_are_shown_with_what_lies_around_them() -> None:
    model = of(nn.Conv2d(3, 4, 3, padding=1), side=60)
    found = panels(model, layer="0", unit=1, places=3)
    assert found["crops"].values.shape == (3, 3, 3, 3) and found["around"].values.shape == (3, 9, 9, 3)
    assert np.array_equal(found["around"].values[:, 3:6, 3:6], found["crops"].values)
    assert found["around"].names == found["crops"].names


def test_where_a_place_sees_everything_a_note_says_so(tiny: Model) -> None:
    class Gate(nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            return x * x.mean((2, 3), keepdim=True)

    model = of(nn.Conv2d(3, 4, 3), Gate(), nn.Conv2d(4, 4, 3))
    found = panels(model, layer="2", unit=1)
    assert "crops" not in found and "reads every place of its map" in found["Note"].text
    assert rows(found)["receptive field"] == "the whole picture, or not known"
    wide = of(nn.Conv2d(3, 4, 63, padding=31), nn.ReLU())
    found = panels(wide, layer="1", unit=1)
    assert (
        "crops" not in found and "63 × 63 pixels, is as large as the picture, 32 × 32" in found["Note"].text
    )
    found = panels(tiny, layer="conv", unit=1)  # a model without a tape
    assert "numpy backend records no tape" in found["Note"].text
    assert np.array_equal(found["kernel"].values[2], tiny.weights("conv")["kernel"][:, :, 2, 1])
    assert isinstance(found["Note"], Note)
