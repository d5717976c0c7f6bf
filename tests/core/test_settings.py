"""One declaration gives defaults, parsing, schema and errors; what cannot be served is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest

from cnnlens import Field, Heatmap, KernelsLayer, MapsLayer, Model, Note, Probe, visualiser
from cnnlens.describe import describe_settings
from cnnlens.errors import BadSetting, UnknownName, Unmet
from cnnlens.settings import Settings


def example(
    probe: Probe,
    *,
    window: Annotated[int, Field(ge=2, le=64, description="side of the square")] = 16,
    share: Annotated[float, Field(gt=0, lt=1)] = 0.5,
    fill: Literal["mean", "black"] = "mean",
    smooth: bool = False,
    title: str = "",
    top: int | None = None,
    layer: MapsLayer = "last",
) -> Note:
    """An example."""
    return Note(f"{window} {share} {fill} {smooth} {title} {top} {layer}")


SETTINGS = Settings(example, "example")


def test_text_becomes_values_and_defaults_are_filled_in() -> None:
    parsed = SETTINGS.parse({"window": "8", "smooth": "true", "top": "3", "share": "0.25"})
    assert parsed == {
        "window": 8, "share": 0.25, "fill": "mean", "smooth": True, "title": "", "top": 3, "layer": "last",
    }  # fmt: skip
    assert SETTINGS.defaults["top"] is None


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"window": "1"}, "'window' should be greater than or equal to 2, got '1'"),
        ({"window": 65}, "'window' should be less than or equal to 64, got 65"),
        ({"window": "a"}, "'window' should be a valid integer"),
        ({"fill": "red"}, "'fill' should be 'mean' or 'black', got 'red'"),
        ({"smooth": "perhaps"}, "'smooth' should be a valid boolean"),
    ],
)
def test_a_value_that_is_not_allowed(given: dict[str, Any], told: str) -> None:
    with pytest.raises(BadSetting, match=told):
        SETTINGS.parse(given)


def test_an_unknown_setting_is_offered_the_nearest() -> None:
    with pytest.raises(UnknownName, match="no setting 'wndow' of example; did you mean 'window'"):
        SETTINGS.parse({"wndow": 3})


def test_layers_are_resolved_by_the_model(tiny: Model) -> None:
    assert SETTINGS.resolve({}, tiny)["layer"] == "relu"
    assert SETTINGS.resolve({"layer": "first"}, tiny)["layer"] == "conv"
    assert SETTINGS.resolve({"layer": "pool"}, tiny)["layer"] == "pool"
    with pytest.raises(UnknownName, match="did you mean 'conv'"):
        SETTINGS.resolve({"layer": "conf"}, tiny)
    with pytest.raises(Unmet, match="layer 'dense' has no maps"):
        SETTINGS.resolve({"layer": "dense"}, tiny)
    assert SETTINGS.schema(tiny)["layer"]["choices"] == ["conv", "relu", "pool"]


def test_layers_with_kernels(tiny: Model) -> None:
    def kernels(model: Model, *, layer: KernelsLayer = "last") -> Note:
        return Note(layer)

    own = Settings(kernels, "kernels")
    assert own.resolve({}, tiny)["layer"] == "dense"
    with pytest.raises(Unmet, match="layer 'relu' has no kernels"):
        own.resolve({"layer": "relu"}, tiny)


def test_the_form_says_all_that_a_person_needs() -> None:
    class Stub:
        settings = SETTINGS

    told = {s["name"]: s for s in describe_settings(Stub())}  # type: ignore[arg-type]
    assert told["window"]["type"] == "integer, at least 2, at most 64"
    assert told["window"]["description"] == "side of the square"
    assert told["share"]["bounds"] == {"above": 0.0, "below": 1.0}
    assert told["fill"]["choices"] == ["mean", "black"]
    assert told["smooth"]["kind"] == "boolean"
    assert told["top"]["optional"] and told["top"]["type"] == "integer or none"
    assert told["layer"]["kind"] == "layer"


def unknown_type(probe: Probe, *, where: dict[str, int] = {}) -> Heatmap:  # noqa: B006
    """A type that no form has."""
    raise AssertionError


def no_default(probe: Probe, *, window: int) -> Heatmap:
    """A setting without a default."""
    raise AssertionError


def no_type(probe: Probe, *, window=3) -> Heatmap:  # type: ignore[no-untyped-def]
    """A setting without a type."""
    raise AssertionError


def bad_default(probe: Probe, *, window: Annotated[int, Field(ge=5)] = 3) -> Heatmap:
    """A default outside its own bounds."""
    raise AssertionError


def no_subject(picture: bytes) -> Heatmap:
    """Neither a probe nor a model."""
    raise AssertionError


def no_docstring(probe: Probe) -> Heatmap:
    raise AssertionError


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (unknown_type, "setting 'where' has type dict"),
        (no_default, "'window' has no default"),
        (no_type, "'window' has no type"),
        (bad_default, "greater than or equal to 5, got 3"),
        (no_subject, "the first parameter is a `Probe`"),
        (no_docstring, "no docstring"),
    ],
)
def test_a_signature_that_cannot_be_served_is_refused(function: Callable[..., Any], told: str) -> None:
    with pytest.raises(BadSetting, match=told):
        visualiser(title="Wrong")(function)


def test_an_unknown_need_is_refused() -> None:
    with pytest.raises(BadSetting, match="abilities are"):
        visualiser(title="Wrong", needs={"gradient"})


def test_a_visualiser_is_called_as_the_function_it_is(tiny: Model) -> None:
    wrapped = visualiser(title="Example")(example)
    probe = Probe(tiny, [[[0.5] * 3] * 8] * 8)
    assert wrapped(probe, window=4).text == "4 0.5 mean False  None last"
    assert wrapped.name == "example" and wrapped.description == "An example."
