"""The kit that our own plugins and adapters are tested with, and yours can be.

`check_visualiser(v)` runs a visualiser on small networks with its default and its extreme settings and
holds it to the rules; `check_model(m)` does the same for an adapter. Both raise AssertionError with what was
broken. `tiny_model()` is a network in plain NumPy whose every number can be worked out by hand.
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, get_args

import numpy as np

from .arrays import Array
from .errors import BadInput, CnnlensError, UnknownName
from .look import look
from .model import Model
from .panels import Panel, panel_array
from .settings import Settings
from .tape import CALLS, Call, Tape
from .targets import Target
from .tiny import TinyModel, tiny_torch
from .visualiser import Visualiser

__all__ = ["check_model", "check_visualiser", "picture", "snapshot", "tiny_model", "tiny_torch"]


def tiny_model(**changes: Any) -> Model:
    """A network in NumPy: conv 3×3 → relu → mean pool 2×2 → dense, with fixed weights and three classes."""
    return TinyModel(**changes)


def picture(model: Model, seed: int = 0) -> Array:
    """A random picture of the size that `model` reads, (h, w, c) in [0, 1]."""
    shape = (model.input.height, model.input.width, model.input.channels)
    return np.random.default_rng(seed).random(shape, np.float32)


def check_visualiser(
    chosen: Visualiser[Any, Any], models: Sequence[Model] | None = None, **kept: Any
) -> None:
    """Hold a visualiser to the rules, on `models` or on the small networks that are at hand.

    It answers with legal panels, the same ones when asked again; it leaves the model as it was; extreme
    settings either work or are refused with a CnnlensError; it can be told why it cannot read a model.
    Settings in `kept` stay as they are given: fewer samples, where the default takes long.
    """
    assert chosen.description, f"{chosen.name} has no description"
    assert re.fullmatch(r"[a-z0-9+]+(-[a-z0-9+]+)*", chosen.name), f"{chosen.name} is not in kebab case"
    models = [TinyModel(), *_tiny_natives()] if models is None else models
    ran = 0
    for model in models:
        if chosen.why_not(model) is None:
            ran += 1
            for settings in extreme_settings(chosen.settings):
                if not settings.keys() & kept.keys():
                    _check_answer(chosen, model, settings, kept)
    assert ran, f"{chosen.name} can read none of {[m.name for m in models]}"


def extreme_settings(settings: Settings) -> Iterator[dict[str, Any]]:
    """The defaults, and each setting in turn at each of its ends or choices."""
    yield {}
    for name, schema in settings.schema().items():
        for part in schema.get("anyOf", [schema]):
            if name in settings.layers:
                values: list[Any] = ["first", "last"]
            elif "enum" in part:
                values = part["enum"]
            elif part.get("type") == "boolean":
                values = [True, False]
            else:
                values = [part[end] for end in ("minimum", "maximum") if end in part]
            yield from ({name: value} for value in values)


def _check_answer(
    chosen: Visualiser[Any, Any], model: Model, settings: dict[str, Any], kept: dict[str, Any]
) -> None:
    image: Any = picture(model) if chosen.reads_image else None
    if chosen.reads_several:
        image = [image, picture(model, 1)]
    what = f"{chosen.name} on {model.name} with {settings}"
    before = snapshot(model)
    try:
        first = look(model, image, chosen, **settings, **kept)
        again = look(model, image, chosen, **settings, **kept)
    except CnnlensError as error:
        assert settings, f"{what}: its own defaults are refused: {error}"
        return
    finally:
        assert_untouched(before, snapshot(model), what)
    counts = (len(first.panels), len(again.panels))
    assert counts[0] == counts[1], f"{what}: {counts[0]} panels, then {counts[1]}"
    for one, other in zip(first.panels, again.panels, strict=True):
        assert isinstance(one, get_args(Panel)), f"{what}: {one!r} is no panel"
        _assert_same(one, other, what)


def _assert_same(one: Panel, other: Panel, what: str) -> None:
    values, twin = panel_array(one), panel_array(other)
    if values is None or twin is None:
        assert vars(one) == vars(other), f"{what}: asked twice, it said something else"
    else:
        assert np.array_equal(values, twin, equal_nan=True), f"{what}: asked twice, it gave different values"


def check_model(model: Model, tolerance: float = 2e-2) -> None:
    """Hold an adapter to the contract of `Model`.

    Shapes, copies, gradients against differences of the scores, replacement, the tape against all of these,
    hiding, errors, and that nothing of the model is changed. `tolerance` is for the differences, relative to
    the largest gradient.
    """
    x = picture(model)[None]
    before = snapshot(model)
    plain = model.trace(x)
    assert plain.scores.dtype == np.float32 and plain.scores.shape == (1, *model.outputs)
    names = [layer.name for layer in model.layers]
    assert len(names) == len(set(names)), "layer names repeat"
    if "gradients" in model.can:
        _check_gradient(model, x, tolerance)
    if "activations" in model.can:
        _check_layers(model, x, plain.scores)
    if "tape" in model.can:
        _check_tape(model, x, plain.scores)
    fills = model.hide(x[0], [(0, 0, 2, 2), (1, 1, 3, 4)], 0.25)
    covered = np.repeat(x, 2, 0)
    covered[0, 0:2, 0:2] = covered[1, 1:3, 1:4] = 0.25
    _assert_close(fills, model.trace(covered).scores, "hide")
    _assert_raises(UnknownName, lambda: model.layer("no such layer"))
    _assert_raises(BadInput, lambda: model.trace(x[:, :-1]))
    assert_untouched(before, snapshot(model), model.name)


def _check_layers(model: Model, x: Array, scores: Array) -> None:
    shown = [layer for layer in model.layers if layer.shape]
    seen = model.trace(x, watch=[layer.name for layer in shown]).activations
    for layer in shown:
        shape = seen[layer.name].shape
        assert shape == (1, *layer.shape), f"{layer.name} gives {shape} and says {layer.shape}"
    if "replace" not in model.can:
        return
    for layer in (shown[0], shown[len(shown) // 2], shown[-1]):
        same = model.trace(x, replace={layer.name: seen[layer.name]}).scores
        _assert_close(same, scores, f"{layer.name} replaced by itself")


def _check_tape(model: Model, x: Array, scores: Array) -> None:
    """The tape says what `trace` says: scores, activations, weights, and walked back the gradient."""
    tape = model.tape(x)
    _assert_close(tape.scores, scores, "the tape's scores")
    shown = [name for name in tape.layers if model.layer(name).shape]
    seen = model.trace(x, watch=shown).activations
    for name in shown:
        _assert_close(tape.calls[tape.layers[name]].output, seen[name], f"{name} on the tape")
    for call in tape.calls[1:]:
        _check_call(model, tape, call)
    start = np.zeros_like(tape.scores)
    start[..., 0] = 1
    walked = model.input.per_pixel(tape.walk({len(tape.calls) - 1: start}))
    if scores.ndim == 2:
        gradient = model.trace(x, watch=["input"], target=0).gradients["input"]
        _assert_close(walked, gradient, "the tape walked back")


def _check_call(model: Model, tape: Tape, call: Call) -> None:
    info, inputs, params = call.info, tape.inputs(call), dict(call.params)
    assert info.kind in CALLS, f"{info.name}: {info.kind!r} is no kind of call"
    assert max(info.inputs) < info.index, f"{info.name} reads what comes after it"
    if info.kind == "other":
        return  # it may be of a kind that cannot be run again
    _assert_close(call.run(inputs), call.output, f"{info.name} run again")
    _assert_close(call.run(inputs, params), call.output, f"{info.name} with its own weights")
    shares = call.pull(call.output, inputs)
    assert [s.shape for s in shares] == [i.shape for i in inputs], f"{info.name}: shapes of its shares"
    if "kernel" in params:
        doubled = call.run(inputs, {"kernel": 2 * params["kernel"]})
        bias = params.get("bias", np.zeros(1, np.float32))
        _assert_close(doubled + bias, 2 * call.output, f"{info.name} with twice its kernel")
        own = model.weights(info.name) if info.name in tape.layers else {}
        if own.get("kernel", np.zeros(0)).shape == params["kernel"].shape:
            _assert_close(params["kernel"], own["kernel"], f"{info.name}: its kernel")


def _check_gradient(model: Model, x: Array, tolerance: float) -> None:
    """The gradient along a few directions against central differences of the score."""
    target = Target.of_class(0).pinned(model.trace(x).scores[0])  # the places of an output with places
    gradient = model.trace(x, watch=["input"], target=target).gradients["input"]
    rng, step = np.random.default_rng(1), 1e-3
    for _ in range(4):
        direction = rng.standard_normal(x.shape).astype(np.float32)
        moved = model.trace(np.concatenate([x + step * direction, x - step * direction]))
        ends = target.value(moved.scores, moved.activations)
        slope = float(ends[0] - ends[1]) / (2 * step)
        told = float((gradient * direction).sum())
        size = float(np.abs(gradient).max()) * np.sqrt(x.size)
        near = abs(slope - told) <= tolerance * max(size, 1e-6)
        assert near, f"gradient {told:.4g}, differences {slope:.4g}"


def _assert_close(got: Array, wanted: Array, what: str) -> None:
    error = float(np.abs(got - wanted).max(initial=0)) / max(float(np.abs(wanted).max(initial=0)), 1e-9)
    assert error <= 1e-4, f"{what}: relative error {error:.2g}"


def _assert_raises(kind: type[Exception], act: Callable[[], object]) -> None:
    try:
        act()
    except kind:
        return
    raise AssertionError(f"{kind.__name__} was not raised")


def snapshot(model: Model) -> dict[str, Any]:
    """Everything of a model and of the random numbers that looking must leave as it was."""
    state: dict[str, Any] = {
        "random": random.getstate(),
        "numpy": _hashable(np.random.get_state()),
    }
    if model.framework == "torch":
        state |= _torch_state(model.native)
    elif model.framework.startswith("keras"):
        native = model.native
        state["weights"] = {v.path: _array_of(v.value) for v in native.variables}
        state["trainable"] = [layer.trainable for layer in native._flatten_layers()]
    return state


def _array_of(value: Any) -> Any:
    """A copy of an engine's array as NumPy; torch's has to leave its graph and device first."""
    return np.array(value.detach().cpu() if hasattr(value, "detach") else value)


def _torch_state(module: Any) -> dict[str, Any]:
    torch = sys.modules["torch"]
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    parameters = dict(module.named_parameters())
    return {
        "weights": {k: v.detach().clone().numpy() for k, v in parameters.items()},
        "buffers": {k: v.detach().clone().numpy() for k, v in module.named_buffers()},
        "grad": {k: None if v.grad is None else v.grad.clone().numpy() for k, v in parameters.items()},
        "requires_grad": {k: v.requires_grad for k, v in parameters.items()},
        "training": {k: m.training for k, m in module.named_modules()},
        "hooks": {k: [len(getattr(m, h)) for h in hooks] for k, m in module.named_modules()},
        "modules": {k: id(m) for k, m in module.named_modules()},
        "torch": torch.get_rng_state().numpy(),
        "grad_mode": torch.is_grad_enabled(),
    }


def _hashable(state: Any) -> Any:
    return tuple(part.tobytes() if isinstance(part, np.ndarray) else part for part in state)


def assert_untouched(before: Mapping[str, Any], after: Mapping[str, Any], what: str) -> None:
    """AssertionError that names what changed."""
    for key, value in before.items():
        assert _equal(value, after[key]), f"{what}: {key} of the model or process changed"


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(v, other[k]) for k, v in one.items())
    if isinstance(one, np.ndarray):
        return bool(np.array_equal(one, other, equal_nan=one.dtype.kind == "f"))
    return bool(one == other)


def _tiny_natives() -> list[Model]:
    """The same small network in the frameworks that are already loaded."""
    if "torch" not in sys.modules:
        return []
    from .opening import wrap

    return [wrap(tiny_torch(), preprocess=TinyModel.spec, labels=TinyModel.names, name="tiny torch net")]
