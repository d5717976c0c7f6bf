"""Receptive fields against what they are for: the pixels that a unit has a gradient by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engines import ENGINES, seen
from needs import need
from receptive_net import seen_by, units_of

import cnnlens
from cnnlens.describe import describe_layer_closely
from cnnlens.testing import tiny_model

NET = Path(__file__).with_name("receptive_net.py")


def positive(*modules: Any, side: tuple[int, int] = (40, 47), channels: int = 8) -> cnnlens.Model:
    """A network of these modules, a mean and a dense layer, with positive weights."""
    torch = need("torch")
    nn = torch.nn
    torch.manual_seed(0)
    net = nn.Sequential(*modules, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(3)).eval()
    net(torch.zeros(1, 3, *side))
    for name, values in net.state_dict().items():
        if values.is_floating_point() and "running" not in name:
            values.uniform_(0.1, 1)
    return cnnlens.wrap(net, preprocess={"height": side[0], "width": side[1]})


def residual(way: Any, join: str = "add") -> Any:
    """A module that puts what `way` makes of a map together with the map."""
    torch = need("torch")

    class Residual(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.way = way

        def forward(self, x: Any) -> Any:
            return {"add": torch.add, "multiply": torch.mul}.get(join, lambda a, b: torch.cat([a, b], 1))(
                self.way(x), x
            )

    return Residual()


def applied(function: Any) -> Any:
    """A module of a function."""

    class Applied(need("torch").nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return function(x)

    return Applied()


def drawn(seed: int) -> list[Any]:
    """Layers drawn by a seed: all paddings, uneven strides, groups, branches, crops and shuffled channels."""
    nn = need("torch").nn
    rng = np.random.default_rng(seed)

    def any_of(*values: Any) -> Any:
        return values[rng.integers(len(values))]

    modules, channels = [], 3
    for _ in range(5):
        kernel, padding = (any_of(1, 2, 3, 4, 5), any_of(1, 3)), (any_of(0, 1, 2), any_of(0, 1))
        stride = (any_of(1, 1, 2), any_of(1, 1, 2, 3))
        groups = 1 if channels == 3 else any_of(1, 2, 8)
        conv = nn.Conv2d(channels, 8, kernel, stride, padding, groups=groups)
        channels = 8
        same = nn.Sequential(nn.Conv2d(8, 8, 3, padding="same"), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        pool = nn.AvgPool2d(any_of(2, 3), any_of(1, 2), any_of(0, 1), ceil_mode=bool(any_of(0, 1)))
        crop = applied(lambda x: x[:, :, 1:, : x.shape[3] - 1])
        shuffle = (
            nn.ChannelShuffle(2),
            applied(lambda x: x.unflatten(1, (2, 4)).transpose(1, 2).flatten(1, 2)),
        )
        extra = any_of(
            residual(same), pool, nn.ZeroPad2d((1, 2, 0, 3)), crop, *shuffle, nn.GELU(), nn.Dropout()
        )
        modules += [conv, extra]
    return modules


def maps_of(model: cnnlens.Model, fields: Any) -> list[str]:
    return [name for name, field in fields.items() if field is not None]


@pytest.mark.parametrize("seed", range(8))
def test_a_field_is_what_the_gradient_reaches(seed: int) -> None:
    model = positive(*drawn(seed), side=(60, 110))
    fields = cnnlens.receptive_fields(model)
    names = maps_of(model, fields)
    again = cnnlens.receptive_fields(model, model.tape(np.full((1, 60, 110, 3), 0.3, np.float32)))
    assert again == fields and again.why == fields.why
    assert len(names) >= 10 and list(fields) == [layer.name for layer in model.layers]
    reached = 0
    for name, i, j in units_of(model, names, 3):
        y0, x0, y1, x1 = fields[name].box(i, j)
        found = seen_by(model, name, i, j)
        assert found == (None if y0 == y1 or x0 == x1 else (y0, x0, y1, x1)), (name, i, j)
        assert holds(fields[name].box(i, j, clip=False), found)
        reached += found is not None
    assert reached > 30


def holds(outer: Any, inner: Any) -> bool:
    return inner is None or (
        outer[0] <= inner[0] and outer[1] <= inner[1] and outer[2] >= inner[2] and outer[3] >= inner[3]
    )


def test_dilated_kernels_leave_gaps_within_what_they_see() -> None:
    nn = need("torch").nn
    model = positive(
        nn.Conv2d(3, 8, 3, padding=1, dilation=2), nn.AvgPool2d(2), nn.Conv2d(8, 8, 3, 1, 4, 4),
        nn.Conv2d(8, 8, (1, 3), 3), side=(61, 64),
    )  # fmt: skip
    fields = cnnlens.receptive_fields(model)
    assert fields["3"].size == (22, 26)
    for name, i, j in units_of(model, maps_of(model, fields), 8):
        assert fields[name].box(i, j) == seen_by(model, name, i, j), (name, i, j)


def test_of_maxima_it_holds_the_pixel_that_was_taken() -> None:
    nn = need("torch").nn
    model = positive(
        nn.Conv2d(3, 8, 3),
        nn.MaxPool2d(3, 2, 1, ceil_mode=True),
        nn.AdaptiveMaxPool2d((10, 6)),
        side=(40, 48),
    )
    fields = cnnlens.receptive_fields(model)
    assert fields["1"].size == (5, 5) and fields["2"].size == (7, 11) and fields["2"].stride == (4, 8)
    for name, i, j in units_of(model, maps_of(model, fields)):
        assert holds(fields[name].box(i, j), seen_by(model, name, i, j))


@pytest.mark.parametrize("kind", ["nearest", "bilinear", "bicubic", "transposed", "overlapping", "shuffled"])
def test_what_is_enlarged_sees_what_the_gradient_reaches(kind: str) -> None:
    nn = need("torch").nn
    enlarge = {
        "transposed": nn.ConvTranspose2d(8, 8, 2, 2),
        "overlapping": nn.ConvTranspose2d(8, 8, 4, 2, 1),
        "shuffled": nn.PixelShuffle(2),
    }
    up = enlarge.get(kind) or nn.Upsample(scale_factor=2, mode=kind)
    model = positive(nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 2, 1), up, side=(40, 48))
    fields = cnnlens.receptive_fields(model)
    assert fields["2"].stride == (2, 2)
    tight = set()
    middle = [("2", i, j) for i in (8, 9) for j in (11, 12)]
    for name, i, j in [*middle, *units_of(model, ["2"], 8)]:
        box, found = fields[name].box(i, j, clip=False), seen_by(model, name, i, j)
        assert holds(box, found) and fields[name].box(i, j) == found
        tight |= {side for side in range(4) if box[side] == found[side]}
    assert tight == {0, 1, 2, 3}, "no smaller box would do"


def test_padding_that_mirrors_and_padding_that_wraps_round() -> None:
    nn = need("torch").nn
    for mode in ("reflect", "replicate"):
        model = positive(
            nn.Conv2d(3, 8, 5, 1, 2, padding_mode=mode), nn.Conv2d(8, 8, 3, 2, 1, padding_mode=mode)
        )
        fields = cnnlens.receptive_fields(model)
        for name, i, j in units_of(model, ["0", "1"]):
            assert fields[name].box(i, j) == seen_by(model, name, i, j)
    model = positive(nn.Conv2d(3, 8, 5, 1, 2, padding_mode="circular"))
    fields = cnnlens.receptive_fields(model)
    assert fields["0"] is None and "not the same way everywhere" in fields.why["0"]


def test_where_there_is_no_field_it_is_said_by_which_call() -> None:
    nn = need("torch").nn
    gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 8, 1), nn.Softplus())
    model = positive(nn.Conv2d(3, 8, 3), residual(gate, "multiply"), nn.Conv2d(8, 8, 3))
    fields = cnnlens.receptive_fields(model)
    assert fields["0"].size == (3, 3) and fields["1"] is fields["2"] is None
    assert fields.why["2"] == fields.why["1.way.1"] == "1.way.0 (pooling) reads every place of its map"
    assert seen_by(model, "2", 1, 1) == (0, 0, 40, 47), "every unit behind the gate sees all of the picture"
    for whole in (
        nn.GroupNorm(2, 8),
        nn.InstanceNorm2d(8),
        applied(lambda x: x.transpose(2, 3)),
        nn.Softmax2d(),
    ):
        fields = cnnlens.receptive_fields(positive(nn.Conv2d(3, 8, 3), whole, side=(40, 40)))
        assert (fields["1"] is None) == (type(whole).__name__ != "Softmax2d"), whole
    for odd in (
        applied(lambda x: x.flip(2)),
        applied(lambda x: x.roll(1, 3)),
        nn.Upsample((41, 50)),
        nn.AdaptiveAvgPool2d(5),
    ):
        fields = cnnlens.receptive_fields(positive(nn.Conv2d(3, 8, 3), odd))
        assert fields["1"] is None and fields.why["1"]
    parted = residual(nn.Sequential(nn.Conv2d(8, 8, 3, 2, 1), nn.Upsample(scale_factor=2)))
    fields = cnnlens.receptive_fields(positive(nn.Conv2d(3, 8, 3, 1, 1), parted, side=(40, 40)))
    assert fields["1.way.1"] is not None and fields["1"] is not None and fields["1"].stride == (1, 1)


def test_networks_that_work_along_the_last_axis() -> None:
    nn = need("torch").nn
    model = positive(
        nn.Conv2d(3, 8, 4, 4), applied(lambda x: x.permute(0, 2, 3, 1)), nn.LayerNorm(8), nn.Linear(8, 16), nn.GELU(),
        applied(lambda x: x.permute(0, 3, 1, 2)), nn.Conv2d(16, 8, 7, padding=3), side=(40, 32),
    )  # fmt: skip
    fields = cnnlens.receptive_fields(model)
    assert fields["5"].size == (4, 4) and fields["6"].size == (28, 28) and fields["6"].start == (-12, -12)
    mixed = positive(nn.Conv2d(3, 8, 4, 4), nn.Linear(8, 8), side=(40, 32))  # along the columns
    assert cnnlens.receptive_fields(mixed)["1"] is None


#: Layers of networks → the side of their fields, the stride and the start, the same down and across.
KNOWN = {
    "vgg16": {"features.0": (3, 1, -1), "features.28": (196, 16, -90), "features.30": (212, 32, -90)},
    "alexnet": {"features.12": (195, 32, -66)},
    "resnet18": {"maxpool": (11, 4, -5), "layer4": (435, 32, -217)},
    "resnet50": {"layer4": (427, 32, -213)},
    "mobilenet_v2": {"features": (491, 32, -245)},
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_networks_by_the_recurrence(name: str) -> None:
    """By hand, size + (kernel - 1) × stride so far: ResNet-50 has 7, 11 behind the pool, then + 8 (3 times), + 8 and
    + 16 (3 times), + 16 and + 32 (5 times), + 32 and + 64 (twice): 427."""
    torchvision = need("torchvision")
    net = getattr(torchvision.models, name)(weights=None)
    if hasattr(net, "classifier"):  # its weights are many and not asked for
        nn = need("torch").nn
        net.avgpool = nn.AdaptiveAvgPool2d(1)
        net.classifier = nn.LazyLinear(2)
        net.eval()(need("torch").zeros(1, 3, 224, 224))
    fields = cnnlens.receptive_fields(cnnlens.wrap(net, preprocess="imagenet"))
    for layer, told in KNOWN[name].items():
        field = fields[layer]
        assert field is not None
        assert (field.size, field.stride, field.start) == tuple((n, n) for n in told), layer


@pytest.mark.parametrize("engine", ENGINES)
def test_keras_on_each_engine(engine: str) -> None:
    found = seen(NET, "keras", engine)
    assert set(found["without"]) <= {"average", "dense"}
    assert found["vgg16/block5_conv3"].tolist() == [[196, 196], [16, 16], [-90, -90]]
    assert found["vgg16/block5_pool"].tolist() == [[212, 212], [32, 32], [-90, -90]]
    units = {name: boxes for name, boxes in found.items() if name.startswith("unit/")}
    assert {name.split("/")[1] for name in units} >= {
        "conv",
        "norm",
        "separable",
        "crop",
        "pool",
        "concat",
        "joined",
    }
    for name, (box, reached) in units.items():
        y0, x0, y1, x1 = box
        assert reached.tolist() == ([0] * 4 if y0 == y1 or x0 == x1 else box.tolist()), name


def test_a_model_without_a_tape_says_so() -> None:
    with pytest.raises(cnnlens.errors.Unmet, match="numpy backend records no tape"):
        cnnlens.receptive_fields(tiny_model())


def test_one_layer_described_closely() -> None:
    nn = need("torch").nn
    model = positive(
        nn.Conv2d(3, 8, 3, 2, 1),
        nn.Sequential(nn.Conv2d(8, 8, 3, groups=2), nn.ReLU()),
        nn.ConvTranspose2d(8, 4, 2, 2),
    )
    told = describe_layer_closely(model, "1.0")
    assert json.loads(json.dumps(told)) == told
    assert (
        told["field"] == {"size": [7, 7], "stride": [2, 2], "start": [-1, -1]} and told["field_why"] is None
    )
    assert told["weights"] == {"kernel": [3, 3, 4, 8], "bias": [8]} and told["kind"] == "convolution"
    assert told["blocks"] == ["1"] and told["inputs"] == ["0"] and told["read_by"] == ["1.1"]
    assert told["multiply_adds"] == 18 * 22 * (3 * 3 * 4 * 8)
    assert describe_layer_closely(model, "2")["multiply_adds"] == 18 * 22 * (2 * 2 * 8 * 4)
    assert describe_layer_closely(model, "1.1")["multiply_adds"] is None
    fields = cnnlens.receptive_fields(model)
    dense = describe_layer_closely(model, "5", fields)
    assert (
        dense["field"] is None and dense["field_why"] == fields.why["5"] and dense["multiply_adds"] == 4 * 3
    )
    assert describe_layer_closely(tiny_model(), "conv")["field_why"].endswith("records no tape")
    with pytest.raises(cnnlens.errors.UnknownName):
        describe_layer_closely(model, "conv")
