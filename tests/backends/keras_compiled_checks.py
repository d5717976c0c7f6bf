"""What compiled passes must do; `test_keras_compiled.py` runs this file once for each engine that compiles."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import keras
import keras_nets as nets
import numpy as np
import pytest
from keras import layers as kl

from cnnlens.backends import _keras_passes as passes
from cnnlens.backends._engines import array
from cnnlens.backends._keras_asked import Asked, Given
from cnnlens.backends.keras import KerasModel
from cnnlens.targets import read_target
from cnnlens.testing import picture

ENGINE = keras.config.backend()


def pictures(model: KerasModel, count: int = 2) -> Any:
    return np.stack([picture(model, seed) for seed in range(count)])


def error(got: Any, wanted: Any) -> float:
    return float(np.abs(got - wanted).max()) / max(float(np.abs(wanted).max()), 1e-12)


def ends(layer: Any, side: int = 6) -> KerasModel:
    """A network with one layer of somebody's own."""
    x = keras.Input((side, side, 1))
    y = kl.Dense(3, activation="softmax")(kl.Flatten()(layer(kl.Conv2D(2, 3, name="conv")(x))))
    return KerasModel(nets.shaken(keras.Model(x, y, name="own")))


def stepped(model: KerasModel, x: Any, leaves: tuple[str, ...] = ("input",)) -> tuple[Any, Any]:
    """Scores and the gradient of their class 1 at what is fed, step by step."""
    (scores,), pull = model._passes.step_by_step(Asked((), (), leaves), Given(model.input.encode(x)))
    pulled = np.zeros(scores.shape, np.float32)
    pulled[:, 1] = 1
    return array(scores), pull([pulled])[0] if leaves else None


class Counting(kl.Layer):
    """A layer that counts its calls in Python, and says when it is traced."""

    calls = 0

    def call(self, x: Any) -> Any:
        self.calls += 1
        return x * float(self.calls)


class Rated(kl.Layer):
    """A layer with a number of its own, in Python."""

    rate = 2.0

    def call(self, x: Any) -> Any:
        return x * self.rate


class Branching(kl.Layer):
    """A layer whose path hangs on the numbers it is fed."""

    def call(self, x: Any) -> Any:
        return x * 2.0 if float(keras.ops.max(x)) > 100 else keras.ops.tanh(x)

    def compute_output_shape(self, shape: Any) -> Any:
        return shape


class Drawing(kl.Layer):
    """A layer that draws in NumPy."""

    def call(self, x: Any) -> Any:
        return x + np.random.default_rng().standard_normal()


class Batched(kl.Layer):
    """A layer that does something else for one picture than for several."""

    def call(self, x: Any) -> Any:
        return keras.ops.tanh(x) if x.shape[0] == 1 else x * 3.0


@pytest.mark.parametrize(
    "make", [nets.functional, nets.sequential, nets.nested, nets.subclassed, nets.channels_first]
)
def test_compiled_is_as_step_by_step(make: Any) -> None:
    model = KerasModel(make())
    assert model.compiling == 0
    x = pictures(model, 3)
    if make is not nets.channels_first:
        wanted, gradient = stepped(model, x)
        for _ in range(2):
            seen = model.trace(x, watch=("input",), target=1)
            assert error(seen.scores, wanted) < 1e-5
            assert error(seen.gradients["input"], model.input.per_pixel(gradient)) < 1e-4
    model.trace(x, watch=("input",), target=1)
    spent = model.compiling
    model.trace(x, watch=("input",), target=1)
    assert 0 < spent == model.compiling and "passes" not in model.facts


def test_weights_changed_after_a_pass_are_seen() -> None:
    model = KerasModel(nets.functional())
    x = pictures(model)
    ask = {"watch": ("input", "pool"), "target": 2}
    before = model.trace(x, **ask)
    programs = len(model._passes._kept)
    for variable in model.native.variables:
        if "seed" not in variable.name:
            variable.assign(array(variable) * 1.5)
    after = model.trace(x, **ask)
    fresh = KerasModel(model.native).trace(x, **ask)
    assert len(model._passes._kept) == programs, "no program had to be made anew"
    assert error(after.scores, before.scores) > 0.1 and error(after.scores, fresh.scores) < 1e-6
    for name in ask["watch"]:
        assert error(after.gradients[name], fresh.gradients[name]) < 1e-6


def test_weights_changed_between_a_pass_and_its_pull_do_not_count() -> None:
    model = KerasModel(nets.functional())
    fed = model.input.encode(pictures(model))
    pulled = {"scores": np.ones((2, 5), np.float32)}
    wanted = model.forward(fed, ("input",), {}, True).pull(pulled, ("input",))["input"]
    ran = model.forward(fed, ("input",), {}, True)
    kernel = model.native.get_layer("depthwise").kernel
    kernel.assign(array(kernel) * 3)
    assert error(ran.pull(pulled, ("input",))["input"], wanted) < 1e-6


def test_what_a_layer_holds_in_python_is_seen_when_it_changes() -> None:
    layer = Rated()
    model = ends(layer)
    x = pictures(model)
    model.trace(x)
    layer.rate = 5.0
    assert error(model.trace(x).scores, stepped(model, x)[0]) < 1e-6
    relu = model.native.get_layer("conv")
    relu.activation = keras.activations.tanh
    assert error(model.trace(x).scores, stepped(model, x)[0]) < 1e-6
    Rated.rate = 7.0
    del layer.rate
    try:
        assert error(model.trace(x).scores, stepped(model, x)[0]) < 1e-6
    finally:
        Rated.rate = 2.0
    assert "passes" not in model.facts


@pytest.mark.parametrize(
    ("layer", "reason"), [(Counting, "change with every pass"), (Drawing, "other numbers")]
)
def test_what_cannot_be_compiled_rightly_is_not(layer: Any, reason: str) -> None:
    model = ends(layer())
    x = pictures(model)
    first, second = model.trace(x), model.trace(x)
    assert reason in model.facts["passes"] and "step by step" in model.facts["passes"]
    assert error(first.scores, second.scores) > 1e-3, "each pass counts, or draws, as it does by itself"


def test_a_path_that_hangs_on_numbers_runs_step_by_step() -> None:
    model = ends(Branching())
    x = pictures(model)
    plain = model.trace(x)
    assert "cannot be compiled" in model.facts["passes"] and model.compiling == 0
    assert np.array_equal(plain.scores, stepped(model, x, leaves=())[0])


def test_a_path_that_hangs_on_the_batch_is_followed() -> None:
    model = ends(Batched())
    x = pictures(model, 3)
    for count in (3, 1, 2, 1):
        assert error(model.trace(x[:count]).scores, stepped(model, x[:count])[0]) < 1e-6, count
    assert "passes" not in model.facts


def test_draws_are_as_step_by_step_and_nothing_is_spent() -> None:
    x = keras.Input((6, 6, 1))
    y = kl.Flatten()(kl.Dropout(0.5, seed=4)(x, training=True))
    native = nets.shaken(keras.Model(x, kl.Dense(2)(y)))
    model = KerasModel(native)
    at = pictures(model)
    before = [array(v) for v in native.variables]
    wanted = stepped(model, at)[0]
    for _ in range(3):
        assert error(model.trace(at).scores, wanted) < 1e-6
        assert np.abs(model.trace(at, watch=("input",), target=0).gradients["input"]).max() > 0
    assert all(np.array_equal(array(v), b) for v, b in zip(native.variables, before, strict=True))
    assert "passes" not in model.facts


def test_only_so_many_programs_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "KEPT", 3)
    model = KerasModel(nets.functional())
    x = pictures(model, 1)
    names = [layer.name for layer in model.layers][:5]
    for name in names:
        model.trace(x, watch=(name,))
    kept = [key[0].read for key in model._passes._kept]
    assert kept == [(name,) for name in names[-3:]]
    model.trace(x, watch=(names[-3],))
    assert [key[0].read for key in model._passes._kept][-1] == (names[-3],), "the last used goes last"


def test_a_unit_after_a_class_is_pulled_on_by_itself() -> None:
    model = KerasModel(nets.functional())
    x = pictures(model)
    ask = ("input", "conv")
    model.trace(x, watch=ask, target=1)
    unit = read_target("conv[1,4,5]", model)
    got = [model.trace(x, watch=ask, target=unit).gradients["input"] for _ in range(2)]
    wanted = KerasModel(model.native).trace(x, watch=ask, target=unit).gradients["input"]
    assert np.array_equal(got[0], got[1]) and wanted.any() and error(got[0], wanted) < 1e-6
    again = model.trace(x, watch=ask, target=1).gradients["input"]
    assert error(again, model.input.per_pixel(stepped(model, x)[1])) < 1e-4


def test_scores_that_are_not_asked_have_no_part_in_a_gradient() -> None:
    x = keras.Input((6, 6, 1))
    y = kl.Conv2D(2, 3, name="conv")(x)
    native = keras.Model(x, kl.Dense(2)(kl.Flatten()(keras.ops.sqrt(y * 0.0))))  # its slope is infinite
    model = KerasModel(nets.shaken(native))
    unit = read_target("conv[1,2,2]", model)
    for _ in range(2):
        found = model.trace(pictures(model), watch=("input",), target=unit).gradients["input"]
        assert np.isfinite(found).all() and found.any()


@pytest.mark.skipif(ENGINE != "tensorflow", reason="only TensorFlow compiles for batches of every size")
def test_another_batch_is_not_another_trace() -> None:
    traced = []
    model = KerasModel(nets.functional())
    run, body = model._body.run, model._body
    body.run = lambda *given: traced.append(1) or run(*given)  # type: ignore[method-assign,func-returns-value]
    for count in (1, 2, 5, 3, 1):
        x = pictures(model, count)
        model.trace(x, watch=("input", "pool"), target=1)
        model.trace(x)
    assert len(traced) == 2


def test_a_model_is_let_go_of() -> None:
    native = nets.functional()
    model = KerasModel(native)
    x = pictures(model)
    model.trace(x, watch=("input", "pool"), target=1)
    model.trace(x, replace={"pool": np.zeros((2, 6, 6, 4), np.float32)})
    held = weakref.ref(model), weakref.ref(native)
    del model, native
    keras.backend.clear_session()
    gc.collect()
    assert [ref() for ref in held] == [None, None]
