"""Configurations of Keras 1 and 2 become those of Keras 3: data in, data out, no framework."""

from __future__ import annotations

from typing import Any

import pytest

from cnnlens.checkpoints.keras_legacy import OLD_HARD_SIGMOID, convert_model
from cnnlens.errors import CannotOpen

LAYERS = {
    "Conv2D", "Conv2DTranspose", "SeparableConv2D", "Dense", "Activation", "BatchNormalization", "ReLU",
    "LeakyReLU", "Add", "Concatenate", "Dot", "ZeroPadding2D", "Flatten", "Dropout", "TimeDistributed",
    "MultiHeadAttention", "Lambda", "GaussianNoise",
}  # fmt: skip


def converted(*layers: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The layers of a Sequential, after its input."""
    listed = [{"class_name": kind, "config": {"name": kind.lower(), **config}} for kind, config in layers]
    listed[0]["config"].setdefault("batch_input_shape", [None, 8, 8, 3])
    found = convert_model({"class_name": "Sequential", "config": listed}, LAYERS.__contains__).config
    assert found["config"]["layers"][0]["class_name"] == "InputLayer"
    return found["config"]["layers"][1:]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("kind", "given", "new", "wanted"),
    [
        ("Convolution2D", {"nb_filter": 4, "nb_row": 3, "nb_col": 5, "border_mode": "same",
                           "subsample": [2, 1], "dim_ordering": "th", "bias": False,
                           "init": "glorot_uniform", "W_regularizer": {}},
         "Conv2D", {"filters": 4, "kernel_size": [3, 5], "padding": "same", "strides": [2, 1],
                    "data_format": "channels_first", "use_bias": False}),
        ("AtrousConvolution2D", {"atrous_rate": [2, 2]}, "Conv2D", {"dilation_rate": [2, 2]}),
        ("Dense", {"output_dim": 3, "input_dim": 9, "init": "zero"}, "Dense", {"units": 3}),
        ("Dropout", {"p": 0.5}, "Dropout", {"rate": 0.5}),
        ("GaussianNoise", {"sigma": 0.1}, "GaussianNoise", {"stddev": 0.1}),
        ("LeakyReLU", {"alpha": {"type": "ndarray", "value": 0.3}}, "LeakyReLU", {"negative_slope": 0.3}),
        ("ThresholdedReLU", {"theta": 1.5}, "ReLU", {"threshold": 1.5}),
        ("BatchNormalization", {"mode": 0, "axis": 1, "epsilon": 0.1}, "BatchNormalization",
         {"axis": 1, "epsilon": 0.1}),
        ("BatchNormalizationV1", {"axis": [3], "fused": True, "gamma_initializer": {}}, "BatchNormalization",
         {"axis": 3}),
        ("ZeroPadding2D", {"padding": {"top_pad": 1, "left_pad": 2}}, "ZeroPadding2D",
         {"padding": [[1, 0], [2, 0]], "data_format": "channels_last"}),
        ("ZeroPadding2D", {"padding": [1, 2, 3, 4]}, "ZeroPadding2D",
         {"padding": [[1, 2], [3, 4]], "data_format": "channels_last"}),
        ("Flatten", {}, "Flatten", {"data_format": "channels_last"}),
        ("Merge", {"mode": "concat", "concat_axis": 1, "mode_type": "raw"}, "Concatenate", {"axis": 1}),
        ("Merge", {"mode": "cos", "dot_axes": 1}, "Dot", {"axes": 1, "normalize": True}),
        ("Dense", {"units": 2, "dtype": {"class_name": "Policy", "config": {"name": "mixed_float16"}}},
         "Dense", {"units": 2, "dtype": "mixed_float16"}),
    ],
)  # fmt: skip
def test_arguments(kind: str, given: dict[str, Any], new: str, wanted: dict[str, Any]) -> None:
    (found,) = converted((kind, given))
    assert found["class_name"] == new and found["module"] == "keras.layers"
    assert {k: v for k, v in found["config"].items() if k != "name"} == wanted


def test_functions_by_name() -> None:
    names = [
        layer["config"]["activation"]["config"]
        for layer in converted(
            ("Activation", {"activation": "hard_sigmoid"}),
            ("Activation", {"activation": "softmax_v2"}),
            (
                "Activation",
                {"activation": {"class_name": "function", "config": "relu", "module": "builtins"}},
            ),
        )
    ]
    assert names == [OLD_HARD_SIGMOID, "softmax", "relu"]


def test_the_order_of_channels_that_keras_1_did_not_save() -> None:
    padding, _ = converted(("ZeroPadding2D", {"padding": [1, 1]}), ("Convolution2D", {"dim_ordering": "th"}))
    assert padding["config"]["data_format"] == "channels_first"


def test_a_layer_within_a_layer() -> None:
    inner = {"class_name": "Convolution2D", "config": {"name": "c", "nb_filter": 2, "nb_row": 1, "nb_col": 1}}
    (found,) = converted(("TimeDistributed", {"layer": inner}))
    assert found["config"]["layer"]["class_name"] == "Conv2D"


def test_somebodys_own_layer_is_left_as_it_is() -> None:
    (found,) = converted(("guest>Own", {"units": 3, "kernel_initializer": "zeros", "dtype": "float32"}))
    wanted = {"name": "guest>own", "units": 3, "kernel_initializer": "zeros", "dtype": "float32"}
    assert found == {"module": None, "class_name": "Own", "registered_name": "guest>Own", "config": wanted}


def graph(*layers: tuple[str, str, Any, list[Any]], outputs: Any) -> dict[str, Any]:
    entry = ("x", "InputLayer", {"batch_input_shape": [None, 8, 8, 3], "name": "x"}, [])
    listed = [
        {"name": name, "class_name": kind, "config": config, "inbound_nodes": nodes}
        for name, kind, config, nodes in (entry, *layers)
    ]
    ends = {"input_layers": [["x", 0, 0]], "output_layers": outputs}
    return {"class_name": "Model", "config": {"name": "m", "layers": listed, **ends}}


def history(node: dict[str, Any]) -> list[Any]:
    return [one["config"]["keras_history"] for one in node["args"]]


def test_calls_of_nested_models_are_counted_from_nought() -> None:
    inner = [{"class_name": "Flatten", "config": {"name": "f", "batch_input_shape": [None, 8, 8, 3]}}]
    config = graph(
        ("n", "Sequential", inner, [[["x", 0, 0]], [["x", 0, 0]]]),
        ("d", "Dense", {"name": "d", "units": 2}, [[["n", 2, 0, {}]]]),
        outputs=[["n", 1, 0], ["d", 0, 0]],
    )
    found = convert_model(config, LAYERS.__contains__).config["config"]
    assert history(found["layers"][2]["inbound_nodes"][0]) == [["n", 1, 0]]
    assert found["output_layers"] == [["n", 0, 0], ["d", 0, 0]] and found["input_layers"] == ["x", 0, 0]


def test_tensors_and_constants_among_the_arguments_of_a_call() -> None:
    told = {"value": ["x", 0, 0], "training": False, "scale": ["_CONSTANT_VALUE", -1, 2.0]}
    config = graph(("a", "MultiHeadAttention", {"name": "a"}, [[["x", 0, 0, told]]]), outputs=[["a", 0, 0]])
    (node,) = convert_model(config, LAYERS.__contains__).config["config"]["layers"][1]["inbound_nodes"]
    assert node["kwargs"]["value"]["config"]["keras_history"] == ["x", 0, 0]
    assert node["kwargs"]["training"] is False and node["kwargs"]["scale"] == 2.0


@pytest.mark.parametrize(
    ("kind", "config", "told"),
    [
        ("BatchNormalization", {"mode": 1}, "Keras 1 in mode 1"),
        ("BatchNormalization", {"renorm": True}, "with renorm"),
        ("Merge", {"mode": "AQAA", "mode_type": "lambda"}, "by a Python function of its own"),
        ("Merge", {"mode": "sum", "layers": []}, "joins several inputs"),
        ("InputLayer", {"batch_input_shape": [None, 3], "sparse": True}, "sparse or ragged"),
        ("Dense", None, "is damaged"),
    ],
)
def test_what_has_no_counterpart_is_named(kind: str, config: Any, told: str) -> None:
    layer = {"class_name": kind, "config": config and {"name": "one", **config}}
    with pytest.raises(CannotOpen, match=told):
        convert_model({"class_name": "Sequential", "config": [layer]}, LAYERS.__contains__)


@pytest.mark.parametrize(
    "config", [None, [], {}, {"class_name": "Model"}, {"class_name": "Model", "config": 3}]
)
def test_configurations_of_something_else(config: Any) -> None:
    with pytest.raises(CannotOpen, match="not that of a Keras model"):
        convert_model(config, LAYERS.__contains__)


def test_a_subclassed_model_holds_no_architecture() -> None:
    with pytest.raises(CannotOpen, match=r"the model is a Own, whose own code.*--arch"):
        convert_model({"class_name": "Own", "config": {"width": 3}}, LAYERS.__contains__)
