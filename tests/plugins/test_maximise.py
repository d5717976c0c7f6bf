"""Maximise: its parts against their adjoints and differences, a network whose best picture is known, and words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cnnlens
from cnnlens import Array, Curve, Model, Note, Table, Tiles, errors, look
from cnnlens.testing import assert_untouched, check_visualiser, snapshot, tiny_model, tiny_torch
from cnnlens_plugins.maximise import maximise
from cnnlens_plugins.maximise.asked import asked_for, channels_asked
from cnnlens_plugins.maximise.canvas import COLOURS, Canvas
from cnnlens_plugins.maximise.climbing import Way, climbed
from cnnlens_plugins.maximise.shaking import shake

SIZES = [(8, 8), (7, 9), (6, 11)]


def dot(a: Any, b: Any) -> float:
    """The inner product of real numbers, or of real and imaginary parts."""
    return float((np.conj(a) * b).real.sum())


def spectrum(canvas: Canvas, seed: int = 1) -> Any:
    """Spectra of two pictures that are far from grey."""
    return canvas.noise(seed, [0, 1], 1.0)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("strength", [0.0, 1.0, 3.0])
def test_a_shake_has_its_adjoint(size: tuple[int, int], strength: float) -> None:
    rng = np.random.default_rng(0)
    shaken = shake(rng, size, strength, np.float64)
    x, y = rng.standard_normal((2, 2, 3, *size))
    assert dot(shaken.see(x), y) == pytest.approx(dot(x, shaken.pull(y)), rel=1e-10)
    if strength == 0:
        np.testing.assert_array_equal(shaken.see(x), x)
    else:
        assert np.abs(shaken.see(x) - x).max() > 0.1
    np.testing.assert_allclose(shaken.see(np.ones_like(x)), 1)  # shares add up to one


@pytest.mark.parametrize("size", SIZES)
def test_waves_there_and_back(size: tuple[int, int]) -> None:
    """Any picture is reached by a spectrum, and the derivative of the waves is their adjoint."""
    canvas = Canvas(*size, 1, np.float64)
    wanted = np.random.default_rng(2).uniform(0.1, 0.9, (1, 1, *size))
    waves = np.log(wanted / (1 - wanted)) / canvas._mixing[0, 0]
    spectra = np.fft.rfft2(waves, norm="ortho") / canvas._weight
    np.testing.assert_allclose(canvas.pictures(spectra), wanted, atol=1e-12)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("fed", [None, (16, 13)])
def test_the_gradient_by_spectra_is_that_of_differences(
    size: tuple[int, int], channels: int, fed: tuple[int, int] | None
) -> None:
    """Of the whole way: waves, colours, sigmoid, shake, enlargement; each part of a number alone and along others."""
    canvas, rng = Canvas(*size, channels, np.float64), np.random.default_rng(3)
    way, shaken = Way(canvas, fed or size), shake(rng, size, 1.0, np.float64)
    spectra = spectrum(canvas)
    pictures, seen = way.show(spectra, shaken)
    wanted = rng.standard_normal(seen.shape)
    pulled = way.pull(wanted, pictures, shaken)
    for move in (1, 1j, 0.5 - 2j):
        along = move * rng.standard_normal(spectra.shape) * 1e-5
        ends = [dot(way.show(spectra + sign * along, shaken)[1], wanted) for sign in (1, -1)]
        assert (ends[0] - ends[1]) / 2 == pytest.approx(dot(pulled, along), rel=1e-5)


def test_noise_belongs_to_its_number_and_seed() -> None:
    canvas = Canvas(9, 8, 3)
    alone, among = canvas.noise(4, [7]), canvas.noise(4, [1, 7])
    np.testing.assert_array_equal(alone[0], among[1])
    assert not np.array_equal(alone, canvas.noise(5, [7])) and not np.array_equal(among[0], among[1])
    assert canvas.pictures(alone).dtype == np.float32


def test_colours_are_lucids_and_others_stay_apart() -> None:
    mixed = Canvas(4, 4, 3, np.float64)._mixing
    np.testing.assert_allclose(mixed * np.linalg.norm(COLOURS[:, 0]), COLOURS)
    np.testing.assert_array_equal(Canvas(4, 4, 2)._mixing, np.eye(2))


def test_of_a_linear_filter_it_finds_the_filter() -> None:
    """One 8×8 kernel at one place: the best picture is white where the weight is positive, else black."""
    torch = pytest.importorskip("torch")
    kernel = np.random.default_rng(6).standard_normal((3, 8, 8)).astype(np.float32)
    conv = torch.nn.Conv2d(3, 2, 8, stride=8)
    with torch.no_grad():
        conv.weight[0], conv.weight[1] = torch.from_numpy(kernel), -torch.from_numpy(kernel)
        conv.bias.zero_()
    net = torch.nn.Sequential(conv, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    model = cnnlens.wrap(net, preprocess={"size": 16})
    asked = {"layer": "0", "units": "0,1", "what": "unit", "place": "0,1"}
    result = look(model, None, maximise, steps=400, shake=0, rate=0.2, **asked)
    tiles, table = result.panels[0], result.panels[1]
    assert isinstance(tiles, Tiles) and isinstance(table, Table)
    wanted = np.moveaxis(kernel, 0, -1)
    for whole, sign, row in zip(tiles.values, (1, -1), table.rows, strict=True):
        picture = whole[:8, 8:]
        assert np.corrcoef(picture.ravel(), (sign * wanted).ravel())[0, 1] > 0.65
        best = float(np.maximum(sign * wanted, 0).sum())
        assert row[2] == pytest.approx(float((picture * sign * wanted).sum()), rel=1e-3)
        assert 0.8 * best < float(row[2]) <= best


@pytest.fixture(scope="module")
def model() -> Model:
    """The tiny network in NumPy."""
    return tiny_model()


@pytest.mark.parametrize(
    "asked",
    [
        {"units": "0-2", "layer": "conv"},
        {"units": "1,2", "layer": "relu", "what": "unit"},
        {"units": "2", "layer": "relu", "what": "unit", "place": "1,4"},
        {"units": "circle, 2", "what": "class"},
    ],
)
def test_values_rise_and_are_those_of_the_pictures(model: Model, asked: dict[str, Any]) -> None:
    before = snapshot(model)
    result = look(model, None, maximise, steps=40, **asked)
    assert_untouched(before, snapshot(model), "maximise")
    tiles, table, curve = result.panels[:3]
    assert isinstance(tiles, Tiles) and isinstance(table, Table) and isinstance(curve, Curve)
    assert tiles.values.shape[1:] == (8, 8, 3) and 0 <= tiles.values.min() and tiles.values.max() <= 1
    assert curve.values.shape == (len(table.rows), 40)
    texts = {"conv": "conv[{}]", "relu": f"relu[{{}},{asked.get('place', '3,3')}]"}
    for picture, (name, noise, value) in zip(tiles.values, table.rows, strict=True):
        text = texts[asked["layer"]].format(name) if "layer" in asked else str(name)
        assert float(value) > float(noise) + 0.1
        assert cnnlens.Probe(model, picture, text).score == pytest.approx(float(value), rel=1e-3)


def test_the_same_seed_gives_the_same_and_another_another(model: Model) -> None:
    def of(**settings: Any) -> Any:
        return look(model, None, maximise, layer="conv", steps=10, **settings).panels[0].values  # type: ignore[union-attr]

    first = of(units="1,2", seed=3)
    np.testing.assert_array_equal(first, of(units="1,2", seed=3))
    assert np.abs(first - of(units="1,2", seed=4)).max() > 0.01
    np.testing.assert_allclose(first[1], of(units="2", seed=3)[0], atol=1e-5)  # whoever is asked beside


def test_what_answers_to_nothing_is_told(model: Model) -> None:
    result = look(model, None, maximise, layer="relu", units="3", steps=64)  # dead for every picture
    tiles, note = result.panels[0], result.panels[-1]
    assert isinstance(tiles, Tiles) and tiles.marks == {0: "no higher than noise"}
    assert isinstance(note, Note) and note.text.startswith("3: no picture was found")
    assert np.isfinite(tiles.values).all()


def test_what_a_loud_picture_alone_wakes_is_found() -> None:
    """A unit that grey noise leaves at zero: the noise gets stronger until it answers."""
    torch = pytest.importorskip("torch")
    net = tiny_torch()
    with torch.no_grad():
        net[0].bias[1] = -3.0  # reached by a contrast that no grey has
    model = cnnlens.wrap(net, preprocess=cnnlens.testing.TinyModel.spec)
    layer = model.layers[1].name
    result = look(model, None, maximise, layer=layer, units="1", what="unit", steps=120)
    (row,) = result.panels[1].rows  # type: ignore[union-attr]
    assert 0 < float(row[1]) < float(row[2]), "beside that of the noise that woke it"


def test_progress_and_stop(model: Model) -> None:
    seen: list[tuple[int, int]] = []
    look(model, None, maximise, layer="conv", units="0-2", steps=4, progress=lambda *n: seen.append(n))
    assert seen == [(3, 12), (6, 12), (9, 12), (12, 12)]

    class Stop(errors.CnnlensError):
        pass

    def stop(done: int, total: int) -> None:
        if done >= 6:
            raise Stop

    with pytest.raises(Stop):
        look(model, None, maximise, layer="conv", units="0-2", steps=4, progress=stop)


def test_sizes() -> None:
    """A network that averages its maps takes any; another is shown it enlarged, and that is told."""
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(4, 3),
    )
    free = cnnlens.wrap(net, preprocess={"size": 24})
    before = snapshot(free)
    for size in (16, 40):
        result = look(free, None, maximise, layer="0", units="1", size=size, steps=8)
        assert result.panels[0].values.shape == (1, size, size, 3)  # type: ignore[union-attr]
        assert not [p for p in result.panels if isinstance(p, Note) and "enlarged" in p.text]
    assert_untouched(before, snapshot(free), "sizes")
    fixed = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(4 * 22 * 22, 3))
    bound = cnnlens.wrap(fixed, preprocess={"size": 24})
    result = look(bound, None, maximise, layer="0", units="1", size=16, steps=64)
    assert result.panels[0].values.shape == (1, 16, 16, 3)  # type: ignore[union-attr]
    assert any("shown these enlarged" in p.text for p in result.panels if isinstance(p, Note))
    (row,) = result.panels[1].rows  # type: ignore[union-attr]
    assert row[2] > row[1]
    with pytest.raises(errors.BadSetting, match="'size' should be at most 24"):
        look(bound, None, maximise, layer="0", units="1", size=40)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"units": "four"}, "should be numbers, as in 5 or 0,5,7 or 0-5"),
        ({"units": "2-1"}, "should count upwards, as in 0-5, got '2-1'"),
        ({"units": "4"}, "from 0 to 3, got '4': conv has 4 maps"),
        ({"units": ""}, "should be numbers"),
        ({"what": "unit", "place": "6,0"}, "not on a map of conv, 6×6 places"),
        ({"what": "unit", "place": "here"}, "'middle' or y, x"),
        ({"what": "class", "units": "hexagon"}, "hexagon"),
        ({"what": "class", "units": "3"}, "no class 3"),
        ({"what": "class", "units": "top1"}, "by number or name"),
        ({"size": 8}, "greater than or equal to 16"),
        ({"steps": 0}, "greater than or equal to 1"),
        ({"layer": "dense"}, "has no maps"),
    ],
)
def test_what_cannot_be_is_told(model: Model, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(errors.CnnlensError, match=words.replace("'", ".")):
        look(model, None, maximise, **({"layer": "conv", "units": "0"} | settings))


def test_units_as_people_type_them() -> None:
    assert channels_asked("5", "l", 9) == [5]
    assert channels_asked(" 0, 5,7 ", "l", 9) == [0, 5, 7]
    assert channels_asked("3-5,4,0:1", "l", 9) == [3, 4, 5, 0, 1]
    with pytest.raises(errors.BadSetting, match="at most 64"):
        channels_asked("0-999999", "l", 2_000_000)
    assert maximise.settings.parse({"units": 5})["units"] == "5"


def test_verdict_and_cost(model: Model) -> None:
    assert maximise.verdict(model).level == "valid"
    few = maximise.verdict(model, maximise.settings.resolve({"steps": 3}, model))
    assert few.level == "approximate" and "3 steps are too few" in str(few)
    blind = tiny_model()
    blind.cannot["gradients"] = "it is a table"
    assert maximise.why_not(blind) == "Maximise needs gradients: it is a table"
    settings = maximise.settings.resolve({"units": "0,2", "steps": 10}, model)
    assert str(maximise.cost_of(model, settings)) == "24 forward passes + 20 backward passes"


def test_other_counts_of_channels() -> None:
    torch = pytest.importorskip("torch")
    for channels, tiles in ((1, 2), (2, 4)):
        net = torch.nn.Sequential(
            torch.nn.Conv2d(channels, 3, 3), torch.nn.Flatten(), torch.nn.Linear(3 * 36, 2)
        )
        model = cnnlens.wrap(net, preprocess={"size": 8, "channels": channels})
        result = look(model, None, maximise, layer="0", units="0,2", steps=64)
        assert result.panels[0].values.shape == (tiles, 8, 8)  # type: ignore[union-attr]


@pytest.mark.timeout(300)
def test_the_contract() -> None:
    check_visualiser(maximise, steps=8)


def test_the_first_are_as_many_as_there_are() -> None:
    """The defaults run on a network of two classes, or a layer of two maps."""
    assert channels_asked("first", "conv", 2) == [0, 1] and channels_asked("First", "conv", 99) == [
        0,
        1,
        2,
        3,
    ]
    with pytest.raises(errors.BadSetting, match="count upwards"):
        channels_asked("3-1", "conv", 64)
    model = tiny_model()
    found = asked_for(model, "class", "relu", "first", "middle")
    assert found.numbers == list(range(min(4, model.outputs[-1])))


def test_the_noise_is_the_one_that_it_began_with() -> None:
    """Begun again from louder noise, the value at the start is that noise's."""
    heard: list[Any] = []

    def slope(pictures: Array) -> tuple[Array, Array]:
        loud = pictures.std((1, 2, 3))
        answers = (loud > 0.05).astype(np.float32)
        heard.append((loud, answers))
        return answers * loud, np.ones_like(pictures) * answers[:, None, None, None]

    canvas = Canvas(8, 8, 3)
    way = Way(canvas, (8, 8))

    def noise(strength: float, again: int) -> Any:
        return canvas.noise(0, [0, 1], strength, again)

    found = climbed(slope, way, noise, 45, 1e-4, 0.0, np.random.default_rng(0), lambda step: None)
    assert heard[0][1].sum() == 0, "the first, faint noise answers to nothing"
    assert (found.start > 0).all() and np.allclose(found.start, found.end, rtol=0.2)
