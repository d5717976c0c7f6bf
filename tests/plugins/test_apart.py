"""Values taken apart: sums are the network's own, windows those of its derivative, and links lead somewhere."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from engines import run_on
from needs import need

import cnnlens
from cnnlens import Bars, Heatmap, Link, Picture, Probe, Table, Tape, Tiles, errors, look
from cnnlens.testing import check_visualiser
from cnnlens_plugins.apart import activation, convolution, dense, pixels, pooling, receptive_field
from cnnlens_plugins.apart.convolution import products_of
from cnnlens_plugins.apart.dense import parts_of
from cnnlens_plugins.apart.window import window_of

APART = (pixels, convolution, pooling, activation, dense, receptive_field)

#: Strides, dilation, groups, depthwise and 1×1 kernels, branches, gates, dense blocks, many paddings.
NETWORKS = (
    "alexnet", "vgg11_bn", "resnet18", "squeezenet1_1", "densenet121", "googlenet", "mobilenet_v3_small",
    "shufflenet_v2_x0_5", "regnet_x_400mf", "efficientnet_b0",
)  # fmt: skip
EACH = 100  #: units of each network


TAKEN = ("convolution", "transposed-convolution", "pooling", "dense")


def units_of(
    tape: Tape, count: int, seed: int, kinds: tuple[str, ...] = TAKEN
) -> list[tuple[str, float, float, float]]:
    """So many random units of convolutions, poolings and dense layers: what, ours, the network's, Σ|terms|."""
    rng = np.random.default_rng(seed)
    calls = [c for c in tape.calls if c.info.kind in kinds]
    found = []
    for _ in range(count):
        call = calls[int(rng.integers(len(calls)))]
        info = call.info
        unit = int(rng.integers(info.shape[-1]))
        if info.kind == "dense":
            parts = parts_of(tape, call, unit)
            found.append(
                (info.name, parts.values.sum() + parts.bias, call.output[0, unit], np.abs(parts.values).sum())
            )
            continue
        place = tuple(int(rng.integers(side)) for side in info.shape[:2]) if len(info.shape) == 3 else (0, 0)
        at = place if len(info.shape) == 3 else ()
        own = call.output[(0, *at, unit)]
        if info.kind == "pooling":
            below = tape.inputs(call)[0][0][..., unit]
            values = window_of(info, below.shape, place).read(below[..., None], np.nan)[..., 0]
            finite = values[np.isfinite(values)]
            ways = [finite.max()] if info.function == "max" else [finite.mean(), finite.sum() / values.size]
            ours = min(ways, key=lambda way: abs(way - own))
            found.append((info.name, ours, own, np.abs(finite).max()))
        else:
            products = products_of(tape, call, unit, place)
            found.append((info.name, products.total, own, np.abs(products.terms).sum()))
    return [(name, float(a), float(b), float(c)) for name, a, b, c in found]


def wrapped(name: str, side: int = 96) -> cnnlens.Model:
    """A network of torchvision with random weights, its batch norms not idle."""
    need("torchvision")
    import torch
    import torchvision

    torch.manual_seed(0)
    more = {"init_weights": True, "aux_logits": False} if name == "googlenet" else {}
    net = torchvision.models.get_model(name, weights=None, **more).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.3, 0.3)
            module.running_var.uniform_(0.5, 2)
    return cnnlens.wrap(net, preprocess={"size": side})


@pytest.mark.parametrize("name", NETWORKS)
def test_sums_are_the_networks_values(name: str) -> None:
    tape = wrapped(name).tape(np.random.default_rng(1).random((1, 96, 96, 3), np.float32))
    for layer, ours, own, size in units_of(tape, EACH, seed=2):
        assert abs(ours - own) <= 1e-5 * max(size, abs(own), 1e-6), (layer, ours, own)


KERAS = """
import keras, json, numpy as np, sys
sys.path[:0] = ["tests", "tests/plugins"]
import cnnlens
from test_apart import units_of
keras.utils.set_random_seed(0)
i = keras.Input((33, 35, 3))
x = keras.layers.Conv2D(6, 3, strides=2, padding="same", activation="relu")(i)
x = keras.layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(x)
x = keras.layers.BatchNormalization()(x)
x = keras.layers.MaxPooling2D(3, strides=2, padding="same")(x)
x = keras.layers.Conv2D(8, (3, 2), dilation_rate=2, padding="same", groups=2)(x)
x = keras.layers.AveragePooling2D(2, padding="same")(x)
x = keras.layers.Conv2DTranspose(5, 3, strides=2, padding="same")(x)
x = keras.layers.ZeroPadding2D(((1, 2), (0, 3)))(x)
x = keras.layers.Conv2D(4, 5, strides=3)(x)
x = keras.layers.Flatten()(x)
net = keras.Model(i, keras.layers.Dense(3)(x))
found = []
for net, side in ((net, None), (keras.applications.MobileNetV2(weights=None, input_shape=(64, 64, 3)), 64)):
    model = cnnlens.wrap(net, preprocess={"size": side} if side else {})
    shape = (1, model.input.height, model.input.width, 3)
    found += units_of(model.tape(np.random.default_rng(1).random(shape, np.float32)), 60, seed=3)
print(json.dumps(found))
"""


@pytest.mark.parametrize("engine", ["torch", "jax", "tensorflow"])
def test_sums_are_kerass_values(engine: str) -> None:
    done = run_on(engine, "-c", KERAS)
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert len(told) == 120
    for layer, ours, own, size in told:
        assert abs(ours - own) <= 1e-5 * max(size, abs(own), 1e-6), (layer, ours, own)


#: Applications of Keras that are built differently, with the side of a small input: plain blocks; activations before
#: convolutions; dense blocks; separable convolutions; gates; many branches.
APPLICATIONS = {
    "VGG16": 32, "ResNet50V2": 64, "DenseNet121": 48, "Xception": 71, "EfficientNetB0": 48, "MobileNetV3Small": 64,
    "InceptionV3": 75,
}  # fmt: skip
OF_EACH = {"convolution": 40, "pooling": 10, "dense": 6}  #: units

APPLIED = f"""
import keras, json, numpy as np, sys
sys.path[:0] = ["tests", "tests/plugins"]
import cnnlens
from test_apart import units_of
keras.utils.set_random_seed(0)
rng = np.random.default_rng(1)
found = {{}}
for name, side in {APPLICATIONS}.items():
    net = getattr(keras.applications, name)(weights=None, input_shape=(side, side, 3), classes=10)
    for layer in net.layers:
        if isinstance(layer, keras.layers.BatchNormalization):  # not idle
            *rest, mean, variance = layer.get_weights()
            layer.set_weights([*rest, rng.uniform(-0.3, 0.3, mean.shape), rng.uniform(0.5, 2, mean.shape)])
    model = cnnlens.wrap(net, preprocess={{"size": side}})
    tape = model.tape(rng.random((1, side, side, 3), np.float32))
    has = {{call.info.kind for call in tape.calls}}
    found[name] = {{kind: units_of(tape, n, 5, (kind,)) for kind, n in {OF_EACH}.items() if kind in has}}
print(json.dumps(found))
"""


def test_sums_are_the_values_of_kerass_applications() -> None:
    done = run_on("torch", "-c", APPLIED)
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert list(told) == list(APPLICATIONS)
    for name, kinds in told.items():
        without = {"dense"} if name == "MobileNetV3Small" else set()  # its head is convolutions
        assert {kind: len(units) for kind, units in kinds.items()} == {
            kind: n for kind, n in OF_EACH.items() if kind not in without
        }
        units = [one for some in kinds.values() for one in some]
        assert np.mean([own != 0 for _, _, own, _ in units]) > 0.5, f"{name} is no dead network"
        for layer, ours, own, size in units:
            assert abs(ours - own) <= 1e-5 * max(size, abs(own), 1e-6), (name, layer, ours, own)


@pytest.mark.parametrize("name", ["resnet18", "regnet_x_400mf", "shufflenet_v2_x0_5"])
def test_windows_are_those_of_the_derivative(name: str) -> None:
    """The slow twin: which inputs a value hangs on, and by how much, as the network's own derivative tells."""
    rng = np.random.default_rng(4)
    tape = wrapped(name, 64).tape(rng.random((1, 64, 64, 3), np.float32))
    calls = [call for call in tape.calls if call.info.kind == "convolution"]
    for call in rng.choice(np.asarray(calls, object), 12, replace=False):
        unit, (row, column) = (
            int(rng.integers(call.info.shape[-1])),
            (0, int(rng.integers(call.info.shape[1]))),
        )
        found = products_of(tape, call, unit, (row, column))
        at = np.zeros_like(call.output)
        at[0, row, column, unit] = 1
        pulled = call.pull(at)[0][0]
        there = np.zeros_like(pulled)
        for (i, j), within in np.ndenumerate(found.window.within):
            if within:
                y, x = (
                    s + d * k for s, d, k in zip(found.window.start, found.window.step, (i, j), strict=True)
                )
                there[y, x, found.first : found.first + found.kernel.shape[-1]] = found.kernel[i, j]
        assert np.allclose(there, pulled, atol=1e-6), call.info


@pytest.mark.parametrize("chosen", APART, ids=lambda one: one.name)
def test_the_contract(chosen: Any) -> None:
    check_visualiser(chosen)


def test_every_multiplication_is_shown(lite0: cnnlens.Model, cat: Any) -> None:
    result = look(lite0, cat, convolution, layer="_conv_stem", unit=3, place="5,7")
    shown, photo, read, kernel, products, _, told = result.panels
    assert isinstance(shown, Heatmap) and shown.outlines[0].box == (5, 7, 6, 8)
    assert isinstance(photo, Picture) and photo.outlines[0].box == (10, 14, 13, 17)
    assert np.allclose(read.values * kernel.values, products.values, rtol=1e-6)
    fed = Probe(lite0, cat).fed
    assert np.allclose(read.values, np.moveaxis(fed[10:13, 14:17], -1, 0), atol=1e-6)
    assert np.array_equal(kernel.values, np.moveaxis(lite0.weights("_conv_stem")["kernel"][..., 3], -1, 0))
    assert isinstance(told, Table)
    rows = dict(told.rows)
    own = look(lite0, cat, "feature-maps", layer="_conv_stem").panels[0].values[3, 5, 7]
    assert rows["the network's own value"] == pytest.approx(own, rel=1e-6)
    assert rows["together"] == pytest.approx(own, rel=1e-5)
    after = Probe(lite0, cat).activations("_swish")[5, 7, 3]
    assert list(rows.values())[-1] == pytest.approx(after, rel=1e-6)


def test_links_go_down_to_the_pixels(lite0: cnnlens.Model, cat: Any) -> None:
    """From a value deep in the network, click by click, each one at a value that the one before has multiplied."""
    settings: dict[str, Any] = {"layer": "_blocks.1._depthwise_conv", "unit": 5, "place": "9,11"}
    name, way = "convolution", []
    while name == "convolution":
        result = look(lite0, cat, name, **settings)
        way.append(settings["layer"])
        opens = [one for panel in result.panels for one in _links(panel)]
        assert opens, result
        link, row, column, tile = opens[0]
        name, settings = link.visualiser, link.at(row, column, tile) or {}
        settings = {key: int(value) if key == "unit" else value for key, value in settings.items()}
    assert name == "pixels" and way[-1] == "_conv_stem" and len(way) >= 3
    assert isinstance(look(lite0, cat, name, **settings).panels[0], Picture)


def _links(panel: Any) -> list[tuple[Link, int, int, str]]:
    """Where a panel's middle leads, but for the map of the value itself."""
    if isinstance(panel, Tiles) and panel.opens is not None:
        return [(panel.opens, panel.values.shape[1] // 2, panel.values.shape[2] // 2, panel.names[0])]
    if isinstance(panel, Bars):
        return [(link, 0, 0, "") for link in panel.opens if link is not None]
    return []


def test_what_pooling_kept(lite0: cnnlens.Model, tiny: cnnlens.Model) -> None:
    model = wrapped("vgg11_bn", 64)
    picture = np.random.default_rng(0).random((64, 64, 3), np.float32)
    result = look(model, picture, pooling, unit=4, place="3,2")
    _, below, inside, *_, told = result.panels
    assert isinstance(below, Heatmap) and isinstance(inside, Tiles)
    window = below.values[6:8, 4:6]
    assert np.array_equal(inside.values[0], window)
    row, column = np.unravel_index(int(window.argmax()), (2, 2))
    assert inside.outlines[0].box == (row, column, row + 1, column + 1)
    assert dict(told.rows)["the network's own value"] == pytest.approx(window.max())
    assert below.opens is not None and below.opens.visualiser == "convolution"
    assert below.opens.at(6, 4) == {"layer": "features.0", "unit": 4, "place": "6,4"}


def test_the_activation_is_the_layers_own() -> None:
    model = wrapped("mobilenet_v3_small", 64)
    picture = np.random.default_rng(0).random((64, 64, 3), np.float32)
    hard = next(layer.name for layer in model.layers if layer.type == "Hardswish")
    before, after, function, counts, table = look(model, picture, activation, layer=hard).panels
    assert np.allclose(after.values, before.values * np.clip(before.values + 3, 0, 6) / 6, atol=1e-6)
    x, y = function.x, function.values[0]
    assert np.allclose(y, x * np.clip(x + 3, 0, 6) / 6, atol=1e-5)
    assert counts.values.sum() == before.values.size
    assert table.rows[0][3] == pytest.approx(float((after.values == 0).mean()))


@pytest.mark.parametrize("name", ["vgg11_bn", "resnet18"])
def test_a_class_is_brought_back_to_places(name: str) -> None:
    model = wrapped(name, 64)
    picture = np.random.default_rng(0).random((64, 64, 3), np.float32)
    result = look(model, picture, dense, target="top2")
    told = dict(result.panels[-1].rows)
    assert told["together"] == pytest.approx(Probe(model, picture, "top2").score, rel=1e-4)
    if name == "resnet18":  # the average is taken back to its places; vgg11's last layer reads no map
        whole = result.panels[0]
        assert isinstance(whole, Heatmap) and whole.values.sum() + told["bias"] == pytest.approx(
            told["together"], rel=1e-4
        )


def test_what_a_unit_sees_and_looks_at(lite0: cnnlens.Model, cat: Any) -> None:
    result = look(lite0, cat, receptive_field, layer="_blocks.3._project_conv", unit=2)
    _, photo, effective = result.panels[:3]
    assert isinstance(photo, Picture) and isinstance(effective, Heatmap)
    (y0, x0, y1, x1), used = (one.box for one in photo.outlines)
    outside = effective.values.copy()
    outside[int(max(y0, 0)) : int(y1), int(max(x0, 0)) : int(x1)] = 0
    assert not outside.any(), "nothing beyond what it can see"
    inside = effective.values[int(used[0]) : int(used[2]), int(used[1]) : int(used[3])]
    assert inside.sum() >= 0.95 * effective.values.sum()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"unit": 32}, "from 0 to 31, got 32"),
        ({"place": "middle"}, "strongest or ROW,COLUMN, got 'middle'"),
        ({"place": "112,0"}, "rows 0 to 111 and columns 0 to 111, got '112,0'"),
        ({"place": "-1,0"}, "got '-1,0'"),
        ({"layer": "_bn0"}, "is no convolution"),
    ],
)
def test_what_cannot_be_taken_apart(
    lite0: cnnlens.Model, cat: Any, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises((errors.BadSetting, errors.Unmet), match=words):
        look(lite0, cat, convolution, **({"layer": "_conv_stem"} | settings))


def test_a_model_that_records_nothing_says_so(tiny: cnnlens.Model) -> None:
    with pytest.raises(errors.Unmet, match="no tape"):
        look(tiny, np.zeros((8, 8, 3), np.float32), convolution)
