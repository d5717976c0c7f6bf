"""What is wrong with a picture is named with its cause: each is made to happen on a real small network."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from needs import need

import cnnlens
from cnnlens import Heatmap, MapsLayer, Model, Note, Probe, Result, Target, Tiles, look, visualiser
from cnnlens.diagnosis.evidence import half_precision
from cnnlens.tiny import TinyModel

PICTURE = np.random.default_rng(0).random((16, 16, 3), np.float32)
NAMES = ("circle", "square", "triangle")


def small(**changed: Any) -> Any:
    """conv → relu → conv2 → relu2 → mean → dense; parts can be put in the place of its own."""
    torch = need("torch")
    nn = torch.nn
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        parts = {
            "conv": nn.Conv2d(3, 6, 3, padding=1),
            "relu": nn.ReLU(inplace=True),
            "conv2": nn.Conv2d(6, 8, 3, padding=1),
            "relu2": nn.ReLU(),
            "pool": nn.AdaptiveAvgPool2d(1),
            "flat": nn.Flatten(),
            "dense": nn.Linear(8, 3),
        }
    net = nn.Sequential()
    for name, part in {**parts, **changed}.items():
        net.add_module(name, part)
    return net


def wrapped(net: Any) -> Model:
    return cnnlens.wrap(net, preprocess={"size": 16, "mean": (0.5,) * 3, "std": (0.25,) * 3}, labels=NAMES)


@visualiser(title="Gradient map", needs={"activations", "gradients"})
def gradient_map(probe: Probe, *, layer: MapsLayer = "last") -> Heatmap:
    """The largest gradient at each place of a layer."""
    probe.look_at("input", layer, gradients=True)
    return Heatmap(np.abs(probe.gradients(layer)).max(-1))


def told(net: Any, asked: Any = "saliency", image: Any = PICTURE, **settings: Any) -> str:
    """The one note of a result."""
    notes = look(wrapped(net), image, asked, **settings).notes
    assert len(notes) == 1, notes
    return notes[0]


@pytest.mark.parametrize(
    ("asked", "settings"),
    [
        ("saliency", {}),
        ("grad-cam", {"positive": False}),
        ("feature-maps", {"layer": "conv"}),
        (gradient_map, {"layer": "conv"}),
    ],
)
def test_healthy_results_get_no_note_and_no_pass_more(asked: Any, settings: Any) -> None:
    notes = look(wrapped(small()), PICTURE, asked, **settings).notes
    assert [note for note in notes if "layers with maps" not in note] == []  # that is which layer was taken

    class Counting(TinyModel):
        passes = 0

        def forward(self, *given: Any) -> Any:
            self.passes += 1
            return super().forward(*given)

    model = Counting()
    look(model, PICTURE[:8, :8], "saliency")
    assert model.passes == 1


def test_nan_weights_are_named_by_layer_with_and_without_a_picture() -> None:
    net = small()
    net.conv2.weight.data[0, 0, 0, 0] = float("nan")
    net.dense.bias.data[1] = float("inf")
    said = told(net)
    assert "the kernel of conv2 holds 1 NaN of 432 numbers, and 1 more layers have such weights" in said
    assert "open an earlier one" in said
    alone = look(wrapped(net), None, "filter-weights", layer="conv2").notes[0]
    assert "the kernel of conv2 holds 1 NaN" in alone


def test_weights_that_nobody_reads_a_number_of_are_no_matter() -> None:
    net = small()
    net.conv2.bias.data[0] = 1e30  # large, and finite
    assert look(wrapped(net), PICTURE, "feature-maps", layer="relu").notes == ()


def test_the_first_layer_on_the_way_up_is_named() -> None:
    torch = need("torch")

    class Log(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            return torch.log(x - 1e9)

    said = told(small(relu2=Log()))
    assert (
        "they begin at relu2 (Log), which hands on 2048 NaN of 2048 numbers and reads finite numbers" in said
    )
    assert "all before it and all weights are finite" in said


def test_a_variance_below_zero_is_found_in_the_batch_norm() -> None:
    nn = need("torch").nn
    norm = nn.BatchNorm2d(8)
    norm.running_var[2] = -1.0
    said = told(small(relu2=norm))
    assert "they begin at relu2 (BatchNorm2d)" in said and "1 of its variances lie below zero" in said


def test_gradients_that_break_on_the_way_down_are_named() -> None:
    torch = need("torch")

    class Root(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            return torch.sqrt(x * 0)

    said = told(small(relu=Root()))
    assert "all activations are finite, the gradients are not" in said
    assert "begin at conv (" in said and "relu gets finite ones and hands these back" in said


def test_what_is_fed_is_looked_at_first(tiny: Model) -> None:
    model = wrapped(small())
    model.input = dataclasses.replace(model.input)
    object.__setattr__(model.input, "mean", (float("nan"),) * 3)  # which none may be made with
    said = look(model, PICTURE, "saliency", target=0).notes[0]
    assert "what is fed already holds 768 NaN of 768 numbers; preprocessing makes them" in said


def test_finite_panels_over_scores_that_are_not() -> None:
    net = small()
    net.conv2.bias.data[:] = 3e38
    net.dense.weight.data *= 1e3
    said = told(net)
    assert said.startswith("these numbers are finite, the scores are not: they begin at ")


def test_the_visualisers_own_sums_are_told_apart() -> None:
    @visualiser(title="Divides", needs={"gradients"})
    def divides(probe: Probe) -> Heatmap:
        """Divides by zero."""
        with np.errstate(invalid="ignore"):
            return Heatmap(np.zeros((4, 4)) / np.zeros((4, 4)))

    assert "made by the visualiser's own sums" in told(small(), divides)


def test_a_dead_relu_is_named() -> None:
    net = small()
    net.conv2.bias.data[:] = -1e3
    said = told(net)
    assert "the map is zero everywhere" in said and "gradient at the picture is exactly zero" in said
    assert "relu2 (ReLU) is off, at zero, in all 2048 units that the target hangs on" in said


def test_a_dead_channel_as_target() -> None:
    net = small()
    net.conv2.bias.data[3] = -1e3
    said = told(net, target="relu2[3]")
    assert "relu2 (ReLU) is off, at zero, in all 256 units that the target hangs on" in said
    assert look(wrapped(net), PICTURE, "saliency", target="relu2[2]").notes == ()


def test_a_layer_behind_the_target_and_one_beside_it() -> None:
    torch = need("torch")
    said = told(small(), gradient_map, layer="relu2", target="relu[2]")
    assert "gradient at relu2 is exactly zero" in said and "lies behind what it reads" in said

    class Beside(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.main, self.extra = small(), torch.nn.Conv2d(3, 2, 3)

        def forward(self, x: Any) -> Any:
            self.extra(x)
            return self.main(x)

    assert "lies beside the way to it" in told(Beside(), gradient_map, layer="extra")


def test_a_target_that_does_not_hang_on_the_picture() -> None:
    net = small()
    net.dense.weight.data[:] = 0
    said = told(net, target="square")
    assert "exactly zero, because" in said and "four random ones leave it as it is" in said
    said = told(net, "occlusion", target="square")  # reads no gradients
    assert said.startswith("the map is zero everywhere: the target does not hang on the picture")
    flat = look(wrapped(small()), PICTURE, "occlusion", window=16, stride=16)
    assert np.ptp(flat.array) == 0 and flat.notes == ()  # one square hides it all: flat, and true


def test_a_layer_of_one_place_and_one_that_is_the_same_everywhere() -> None:
    @visualiser(title="One place", needs={"activations"})
    def one_place(probe: Probe, *, layer: str = "pool") -> Heatmap:
        """The sum over the channels."""
        return Heatmap(probe.activations(layer).sum(-1))

    assert "pool has one place; choose an earlier layer" in told(small(), one_place)
    net = small()
    net.conv.bias.data[:] = -1e3
    said = told(net, one_place, layer="relu")
    assert said == "the map is zero everywhere: relu hands on zero at every place"
    assert "the gradient at relu2 is the same at every place, as before a mean" in told(small(), gradient_map)


def test_a_picture_of_one_colour() -> None:
    said = told(small(), "occlusion", np.full((16, 16, 3), 0.5, np.float32))
    assert said.endswith("the picture is of one colour, so that no place of it differs from another")


def test_what_a_method_cut_off_is_told_where_it_says_nothing_itself() -> None:
    @visualiser(title="Cut", needs={"activations", "gradients"})
    def cut(probe: Probe, *, layer: MapsLayer = "last", talks: bool = False) -> Any:
        """Everything below zero, and that is all there is."""
        empty = Heatmap(np.maximum(-np.abs(probe.gradients(layer)).sum(-1) - 1, 0))
        return (empty, Note("it is empty")) if talks else empty

    assert "what was below zero was cut off by the method" in told(small(), cut)
    assert told(small(), cut, talks=True) == "it is empty"


class Sure(Target):
    """The probability of a class by a softmax."""

    def value(self, scores: Any, activations: Any) -> Any:
        return _softmax(scores)[:, 0]

    def cotangents(self, scores: Any, activations: Any) -> Any:
        chances = _softmax(scores)
        return {"scores": (chances * (np.eye(3)[0] - chances[:, :1])).astype(np.float32)}


def _softmax(scores: Any) -> Any:
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def test_a_saturated_probability_is_told_and_an_open_one_is_not() -> None:
    net, target = small(), Sure(Target.of_class(0).terms, "p(circle)")
    assert look(wrapped(net), PICTURE, "saliency", target=target).notes == ()
    net.dense.bias.data[0] = 30.0
    assert look(wrapped(net), PICTURE, "saliency", target=0).notes == ()  # the score is not saturated
    said = look(wrapped(net), PICTURE, "saliency", target=target).notes
    assert len(said) == 1 and "p(circle) is saturated" in said[0] and "explain the score" in said[0]


def test_gradients_that_float16_makes_zero_are_shown_by_lifting_them() -> None:
    net = small()
    (care,) = look(wrapped(small().half()), PICTURE, "saliency").notes
    assert care.startswith("Read with care: the model computes in float16")
    net.dense.weight.data *= 1e-4
    assert look(wrapped(net), PICTURE, "saliency").notes == ()  # in float32 they are small, and there
    said = told(net.half())
    assert "in float16, and" in said and "too small" in said and "open the model in float32" in said


def test_an_overflow_of_float16_is_told_by_its_layer() -> None:
    net = small()
    net.conv.weight.data *= 4e3
    net.conv2.weight.data *= 4e3
    said = told(net.half())
    assert "they begin at conv2 (Conv2d)" in said and "float16, which ends at 65504" in said


def test_half_precision_is_told_by_the_numbers_alone() -> None:
    torch = need("torch")
    drawn = torch.randn(100, generator=torch.Generator().manual_seed(0))
    assert half_precision(drawn.numpy()) is None
    assert half_precision(drawn.half().float().numpy()) == "float16"
    assert half_precision((drawn * 1e10).bfloat16().float().numpy()) == "bfloat16"
    assert half_precision(np.zeros(3, np.float32)) is None


def test_tokens_behind_the_last_attention() -> None:
    torch = need("torch")
    nn = torch.nn

    class Tokens(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.patch, self.mix = nn.Conv2d(3, 6, 4, 4), nn.MultiheadAttention(6, 1, batch_first=True)
            self.before, self.after, self.dense = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)

        def forward(self, x: Any) -> Any:
            x = self.before(self.patch(x).flatten(2).transpose(1, 2))
            return self.dense(self.after(self.mix(x, x, x, need_weights=False)[0])[:, 0])

    @visualiser(title="Patches", needs={"activations", "gradients"})
    def patches(probe: Probe, *, layer: str = "after") -> Heatmap:
        """The gradients of the last nine tokens."""
        return Heatmap(np.abs(probe.gradients(layer)).max(-1)[-9:].reshape(3, 3))

    said = told(Tokens(), patches)
    assert "only the first token of after reaches the target" in said
    assert "the last layer where they do is before" in said
    assert look(wrapped(Tokens()), PICTURE, patches, layer="before").notes == ()


def test_a_few_extremes_are_counted_and_placed(tiny: Model) -> None:
    values = np.random.default_rng(0).random((40, 40)).astype(np.float32)

    @visualiser(title="Peaks")
    def peaks(probe: Probe, *, height: float = 200.0, own: bool = False) -> Heatmap:
        """Noise, and a peak in it."""
        high = np.array(values)
        high[7, 9] = height
        return Heatmap(high, limits=(0, 1) if own else None)

    image = PICTURE[:8, :8]
    said = look(tiny, image, peaks).notes
    assert len(said) == 1 and said[0].startswith("1 of 1600 places are more than 50 times")
    assert "the largest, 200, is at row 7, column 9" in said[0]
    assert look(tiny, image, peaks, height=20.0).notes == ()
    assert look(tiny, image, peaks, own=True).notes == ()


def test_tiles_that_are_dead_are_no_matter_and_nan_in_them_is() -> None:
    @visualiser(title="Sheets", needs={"activations"})
    def sheets(probe: Probe, *, nan: bool = False) -> Tiles:
        """Two tiles, both flat."""
        return Tiles(np.full((2, 3, 3), np.nan if nan else 0.0), ["a", "b"])

    assert look(wrapped(small()), PICTURE, sheets).notes == ()
    assert "18 of 18 numbers are NaN" in told(small(), sheets, nan=True)


def test_notes_are_in_everything_that_is_saved(tmp_path: Path) -> None:
    net = small()
    net.conv2.bias.data[:] = -1e3
    result = look(wrapped(net), PICTURE, "saliency")
    healthy = Result(result.panels[:1], result.facts, result.pixels)
    note = result.notes[0]
    saved = json.loads(result.save(tmp_path / "a.json").read_text())
    assert saved["panels"][1]["text"] == note
    page = result.save(tmp_path / "a.html").read_text()
    assert "is off, at zero, in all 2048 units" in page
    assert result.image().height > healthy.image().height
    with np.load(result.save(tmp_path / "a.npz")) as held:
        assert json.loads(str(held["manifest"]))["panels"][1]["text"] == note
