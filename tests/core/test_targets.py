"""Targets as text: what is understood, what it evaluates to, and what a wrong one is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cnnlens
from cnnlens import Model, Probe, Target
from cnnlens.errors import BadInput, CannotOpen, UnknownName, Unmet
from cnnlens.images import Image, open_image
from cnnlens.targets import ClassScore, Probability, Region, read_target
from cnnlens.testing import picture, tiny_model
from cnnlens.tiny import TinyModel

SCORES = np.asarray([[1.0, 5.0, 3.0], [9.0, 0.0, 3.0]], np.float32)


class Mapper(TinyModel):
    """A network with a score for each of three classes at each of 2 × 4 places, set by hand."""

    outputs = (2, 4, 3)


#: Class 1 wins at five places, class 0 at three, class 2 nowhere.
PLACES = np.zeros((2, 4, 3), np.float32)
PLACES[0, :, 0] = (3, 4, 5, -1)
PLACES[..., 1] = 1
PLACES[..., 2] = np.arange(8).reshape(2, 4) / 10


@pytest.fixture
def mapper() -> Model:
    return Mapper()


@pytest.mark.parametrize(
    ("asked", "values"),
    [
        ("top1", [5.0, 9.0]),
        ("top3", [1.0, 0.0]),
        ("TOP-2", [3.0, 3.0]),
        ("0", [1.0, 9.0]),
        (2, [3.0, 3.0]),
        ("square", [5.0, 0.0]),
        ("Triangle", [3.0, 3.0]),
        ("square - circle", [4.0, -9.0]),
        ("top1 - top2", [2.0, 6.0]),
    ],
)
def test_a_target_evaluates_to(tiny: Model, asked: str | int, values: list[float]) -> None:
    target = read_target(asked, tiny)
    assert target.value(SCORES, {}).tolist() == values and target.unit == "score"


def test_the_cotangent_is_the_derivative_of_the_value(tiny: Model) -> None:
    target = read_target("square - circle", tiny)
    assert target.cotangents(SCORES, {})["scores"].tolist() == [[-1, 1, 0], [-1, 1, 0]]


def test_a_channel_is_the_mean_over_its_map_and_a_unit_is_itself(tiny: Model) -> None:
    maps = np.arange(2 * 6 * 6 * 4, dtype=np.float32).reshape(2, 6, 6, 4)
    channel, unit = read_target("relu[2]", tiny), read_target("relu[2, 1,5]", tiny)
    assert channel.layers == unit.layers == ("relu",)
    assert channel.value(SCORES, {"relu": maps}).tolist() == maps[..., 2].mean((1, 2)).tolist()
    assert unit.value(SCORES, {"relu": maps}).tolist() == maps[:, 1, 5, 2].tolist()
    pull = channel.cotangents(SCORES, {"relu": maps})["relu"]
    assert np.allclose(pull.sum((1, 2, 3)), 1) and np.allclose(pull[..., 2], 1 / 36)
    assert unit.cotangents(SCORES, {"relu": maps})["relu"].sum() == 2


def test_a_unit_minus_a_unit(tiny: Model) -> None:
    maps = np.random.default_rng(0).random((2, 6, 6, 4)).astype(np.float32)
    target = read_target("relu[1] - conv[2,0,3]", tiny)
    seen = {"relu": maps, "conv": maps * 2}
    wanted = maps[..., 1].mean((1, 2)) - 2 * maps[:, 0, 3, 2]
    np.testing.assert_allclose(target.value(SCORES, seen), wanted, rtol=1e-6)
    assert target.layers == ("relu", "conv") and target.unit == "activation"
    same = read_target("relu[1] - relu[2]", tiny).cotangents(SCORES, seen)["relu"]
    assert np.allclose(same[..., 1], 1 / 36) and np.allclose(same[..., 2], -1 / 36)


@pytest.mark.parametrize("asked", ["conv[1]", "p(square)", "p(top1) - p(circle)", "relu[0] - conv[1]"])
def test_the_gradient_is_that_of_finite_differences(tiny: Model, asked: str) -> None:
    x = np.random.default_rng(0).random((1, 8, 8, 3)).astype(np.float32)
    target = read_target(asked, tiny).pinned(tiny.trace(x).scores[0])
    gradient = tiny.trace(x, watch=["input"], target=target).gradients["input"]
    step = np.zeros_like(x)
    step[0, 3, 4, 1] = 1e-3
    seen = tiny.trace(np.concatenate([x + step, x - step]), watch=["conv", "relu"])
    values = [term.value(seen.scores, seen.activations) for term in target.terms]
    slope = sum(w * np.subtract(*v) for w, v in zip(target.weights, values, strict=True)) / 2e-3
    assert gradient[0, 3, 4, 1] == pytest.approx(float(slope), rel=1e-2, abs=1e-6)


# -- probabilities ------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", None])
def test_a_probability_is_what_the_last_activation_makes_of_the_scores(activation: str | None) -> None:
    model = tiny_model(activation=activation)
    target = read_target("p(top1)", model)
    chances = model.probabilities(SCORES)
    np.testing.assert_allclose(target.value(SCORES, {}), chances.max(1), rtol=1e-6)
    assert target.unit == "probability" and target.pinned(SCORES[0]).label(model) == "p(square)"


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", None])
def test_the_cotangent_of_a_probability_is_that_of_differences_in_double_precision(
    activation: str | None,
) -> None:
    rng, step = np.random.default_rng(3), 1e-6
    scores = rng.standard_normal((2, 2, 3, 5))
    term = Probability(ClassScore(2, None, Region((0, 2), (1, 3))), activation)
    pull = term.cotangents(scores.astype(np.float32), {})["scores"]
    for _ in range(5):
        direction = rng.standard_normal(scores.shape)
        ends = [term.value(scores + sign * step * direction, {}) for sign in (1, -1)]  # type: ignore[arg-type]
        np.testing.assert_allclose(
            (pull * direction).sum((1, 2, 3)), (ends[0] - ends[1]) / (2 * step), rtol=1e-4
        )


def test_in_probabilities_every_class_is_one_and_a_unit_has_none(tiny: Model) -> None:
    target = read_target("square - circle", tiny).in_probabilities("softmax")
    assert target.value(SCORES, {}).tolist() == read_target("p(1) - p(0)", tiny).value(SCORES, {}).tolist()
    again = target.in_probabilities("softmax")
    assert again == target, "a probability of a probability is itself"
    with pytest.raises(Unmet, match="no probability"):
        read_target("conv[1]", tiny).in_probabilities("softmax")


def test_the_fall_of_a_probability_is_measured_once(tiny: Model) -> None:
    probe = Probe(tiny, picture(tiny), "p(square)")
    assert probe.value(probability=True) == probe.score == pytest.approx(float(probe.probabilities[1]))
    boxes = [(0, 0, 4, 4), (2, 2, 8, 8)]
    assert np.array_equal(probe.hide(boxes, 0.0, probability=True), probe.hide(boxes, 0.0))
    facts = cnnlens.look(tiny, picture(tiny), "saliency", target="p(square)").facts
    assert facts["target_unit"] == "probability" and facts["probability"] == facts["score"]


# -- places -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "value"),
    [
        ("circle", 4.0),  # where it wins: 3, 4, 5
        ("triangle", 0.35),  # it wins nowhere: all places
        ("top1", 1.0),  # square wins the most
        ("top2", 4.0),
        ("circle@0,5", 5.0),  # pixels of 8 × 8 on a grid of 2 × 4
        ("circle@0:4,0:8", 11 / 4),
        ("circle @ 0:1 , 0:3", 3.5),
        ("top1@0,0", 3.0),
        ("circle - square", 3.0),  # both where circle wins
        ("square - circle", 1 + 1 / 5),
        ("circle@0,0 - square", 2.0),
        ("triangle - circle@7,7", 0.7),
        ("circle@0,0 - circle@0,2", -1.0),
    ],
)
def test_an_output_with_places(mapper: Model, asked: str, value: float) -> None:
    target = read_target(asked, mapper)
    pinned = target.pinned(PLACES)
    for one in (target, pinned):
        assert one.value(PLACES[None], {}) == pytest.approx([value])
    pull = pinned.cotangents(PLACES[None], {})["scores"]
    assert (pull * PLACES).sum() == pytest.approx(value), "the target is linear at fixed places"
    assert len({target, pinned, read_target(asked, mapper)}) <= 2, "it is a key of a memory"


def test_the_places_of_one_picture_are_those_of_all_when_pinned(mapper: Model) -> None:
    pinned = read_target("circle", mapper).pinned(PLACES)
    other = PLACES[:, ::-1].copy()
    assert pinned.value(np.stack([PLACES, other]), {}) == pytest.approx([4.0, 8 / 3])
    assert read_target("circle", mapper).value(other[None], {}) == pytest.approx([4.0])


def test_that_a_class_wins_nowhere_is_said(mapper: Model) -> None:
    label = read_target("triangle", mapper).pinned(PLACES).label(mapper)
    assert label == "triangle (all places: triangle wins nowhere)"
    assert read_target("circle@0:4,0:8", mapper).pinned(PLACES).label(mapper) == "circle@0:4,0:8"
    assert read_target("top1", mapper).pinned(PLACES).label(mapper) == "square"
    assert read_target("top1", mapper).pinned(PLACES).index is None, "it is not one score"


def test_a_single_class_wins_above_zero(mapper: Model) -> None:
    alone = np.asarray([[[-1.0], [2.0]], [[4.0], [-3.0]]], np.float32)
    assert Target.of_class(0).value(alone[None], {}) == pytest.approx([3.0])
    assert Target.of_class(0).value(-np.abs(alone)[None], {}) == pytest.approx([-2.5])


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("circle@8,0", "8 pixels there, 8 is not within it"),
        ("circle@4:2,0", "4:2 is not within it"),
        ("circel@1,1", "did you mean 'circle'"),
    ],
)
def test_a_wrong_place_is_told_what_would_do(mapper: Model, asked: str, told: str) -> None:
    with pytest.raises((BadInput, UnknownName), match=told):
        read_target(asked, mapper)


# -- likeness -----------------------------------------------------------------------------------


def test_a_likeness_is_one_to_the_picture_itself_and_its_gradient_vanishes(tiny: Model) -> None:
    x = picture(tiny)
    target = read_target("like(it)", tiny, lambda _: open_image(x))
    assert target.layers == ("pool",) and target.unit == "similarity"  # what goes into the dense layer
    probe = Probe(tiny, x, target)
    assert probe.score == pytest.approx(1, abs=1e-6) and np.abs(probe.gradients()).max() < 1e-6
    other = Probe(tiny, picture(tiny, 1), target)
    assert -1 <= other.score < 0.999 and np.abs(other.gradients()).max() > 1e-4
    again = read_target("like(it)", tiny, lambda _: open_image(x))
    assert again == target and hash(again) == hash(target)
    assert target.label(tiny) == "like(array, pool)"
    assert read_target("like(it, conv)", tiny, lambda _: open_image(x)) != target


def test_a_likeness_opens_what_it_names_and_nothing_else(tiny: Model) -> None:
    asked: list[str] = []

    def open(name: str) -> Image:
        asked.append(name)
        return open_image(picture(tiny))

    for text in ("like(a, b.jpg)", "like(a (1).png, conv)", "like(a.png) - like(b.png, conv)"):
        read_target(text, tiny, open)
    assert asked == ["a, b.jpg", "a (1).png", "a.png", "b.png"]
    with pytest.raises(UnknownName, match="no layer 'convv'"):
        read_target("like(a.png, convv)", tiny, open)


def test_without_leave_no_text_opens_a_picture(tiny: Model, tmp_path: Any) -> None:
    with pytest.raises(BadInput, match="no picture may be opened"):
        read_target("like(/etc/passwd)", tiny)
    with pytest.raises(BadInput, match="no picture may be opened"):
        Probe(tiny, picture(tiny), "like(/etc/passwd)")
    with pytest.raises(BadInput, match="no picture may be opened"):
        Probe(tiny, picture(tiny)).towards("like(/etc/passwd)")
    with pytest.raises(CannotOpen, match="no such picture"):  # `look` is called by who may open it
        cnnlens.look(tiny, picture(tiny), "saliency", target=f"like({tmp_path / 'none.png'})")


# -- names and errors ---------------------------------------------------------------------------


def test_pinning_makes_ranks_the_classes_of_one_picture(tiny: Model) -> None:
    pinned = read_target("top1 - top2", tiny).pinned(SCORES[0])
    assert pinned.terms == (ClassScore(1), ClassScore(2))
    assert pinned.label(tiny) == "square − triangle"
    assert Target.of_rank(1).pinned(SCORES[1]).index == 0


def test_words_of_a_name_are_enough_where_they_are_one_class() -> None:
    model = tiny_model(classes=("Egyptian cat", "tabby, tabby cat", "tiger cat"))
    assert read_target("tabby", model).index == 1
    assert read_target("egyptian", model).index == 0
    with pytest.raises(UnknownName, match="'Egyptian cat'"):
        read_target("cat", model)


def test_a_name_wins_over_a_number_and_all_that_has_a_meaning_elsewhere() -> None:
    model = tiny_model(classes=("7", "a - b", "b"))
    assert read_target("7", model).index == 0
    assert read_target("a - b", model).index == 1
    assert read_target(2, model).index == 2
    assert read_target("a - b - b", model).terms == (ClassScore(1), ClassScore(2))
    odd = tiny_model(classes=("p(x)", "conv[1]", "dog@1,1"))
    assert [read_target(name, odd).index for name in ("p(x)", "conv[1]", "dog@1,1")] == [0, 1, 2]
    assert read_target("p(p(x))", odd).terms == (Probability(ClassScore(0)),)
    assert read_target("p(dog@1,1) - p(conv[1])", odd).label(odd) == "p(dog@1,1) − p(conv[1])"


@pytest.mark.parametrize(
    ("asked", "error", "told"),
    [
        ("sqare", UnknownName, "did you mean 'square'"),
        ("3", BadInput, "numbered 0 to 2"),
        ("top4", BadInput, "top4 of 3 classes"),
        ("top0", BadInput, "begin with top1"),
        ("circle - rhombus", UnknownName, "no class 'rhombus'"),
        ("relu[4]", BadInput, "no channel 4"),
        ("relu[0,6,0]", BadInput, "no place"),
        ("rellu[0]", UnknownName, "did you mean 'relu'"),
        ("relu[0] - relu[9]", BadInput, "no channel 9"),
        ("relu[0] - rellu[1]", UnknownName, "did you mean 'relu'"),
        ("p(sqare)", UnknownName, "did you mean 'square'"),
        ("p(relu[0])", UnknownName, "no class 'relu[0]'"),
        ("circle - p(square)", BadInput, "a score and a probability have no difference"),
        ("relu[0] - circle", BadInput, "an activation and a score"),
        ("circle@1,1", BadInput, "leave out @1,1"),
        ("logits[:,1]", UnknownName, "no output 'logits' of tiny; it has none"),
        ("box0", UnknownName, "no class 'box0'"),
    ],
)
def test_a_wrong_target_is_told_what_would_do(
    tiny: Model, asked: str, error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told.replace("[", r"\[")):
        read_target(asked, tiny)


def test_two_classes_of_one_name_are_asked_by_number() -> None:
    model = tiny_model(classes=("crane", "crane", "ship"))
    with pytest.raises(BadInput, match=r"ask by number, \[0, 1\]"):
        read_target("crane", model)


def test_without_names_only_numbers_and_ranks() -> None:
    model = tiny_model(classes=None)
    assert read_target("1", model).label(model) == "1"
    with pytest.raises(UnknownName, match="--labels"):
        read_target("cat", model)
