"""Targets as text: what is understood, what it evaluates to, and what a wrong one is told."""

from __future__ import annotations

import numpy as np
import pytest

from cnnlens import Model, Target
from cnnlens.errors import BadInput, UnknownName, Unmet
from cnnlens.targets import Term, read_target
from cnnlens.testing import tiny_model

SCORES = np.asarray([[1.0, 5.0, 3.0], [9.0, 0.0, 3.0]], np.float32)


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
    assert read_target(asked, tiny).value(SCORES, {}).tolist() == values


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


def test_the_gradient_of_a_channel_is_that_of_finite_differences(tiny: Model) -> None:
    x = np.random.default_rng(0).random((1, 8, 8, 3)).astype(np.float32)
    target = read_target("conv[1]", tiny)
    gradient = tiny.trace(x, watch=["input"], target=target).gradients["input"]
    step = np.zeros_like(x)
    step[0, 3, 4, 1] = 0.01
    seen = tiny.trace(np.concatenate([x + step, x - step]), watch=["conv"])
    slope = np.subtract(*target.value(seen.scores, seen.activations)) / 0.02
    assert gradient[0, 3, 4, 1] == pytest.approx(slope, rel=1e-3)


def test_pinning_makes_ranks_the_classes_of_one_picture(tiny: Model) -> None:
    pinned = read_target("top1 - top2", tiny).pinned(SCORES[0])
    assert [t.index for t in pinned.terms] == [1, 2]
    assert pinned.label(tiny) == "square − triangle"
    assert Target.of_rank(1).pinned(SCORES[1]).index == 0


def test_words_of_a_name_are_enough_where_they_are_one_class() -> None:
    model = tiny_model(classes=("Egyptian cat", "tabby, tabby cat", "tiger cat"))
    assert read_target("tabby", model).index == 1
    assert read_target("egyptian", model).index == 0
    with pytest.raises(UnknownName, match="'Egyptian cat'"):
        read_target("cat", model)


def test_a_name_wins_over_a_number_and_a_minus_within_a_name() -> None:
    model = tiny_model(classes=("7", "a - b", "b"))
    assert read_target("7", model).index == 0
    assert read_target("a - b", model).index == 1
    assert read_target(2, model).index == 2


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


def test_an_output_with_places_has_no_class() -> None:
    with pytest.raises(Unmet, match="one score each"):
        Target((Term(index=0),), "0").value(np.zeros((1, 4, 4, 3), np.float32), {})
