"""One layer of Keras 1 or 2 → the arguments of the same layer in Keras 3; data in, data out.

What matters in training alone (initialisers, regularisers, constraints) is left out: a trained network's
arrays come from its file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import CannotOpen

#: Old names of layers that are the same thing.
CLASSES = {
    "Convolution2D": "Conv2D",
    "AtrousConv2D": "Conv2D",
    "AtrousConvolution2D": "Conv2D",
    "SeparableConvolution2D": "SeparableConv2D",
    "Deconvolution2D": "Conv2DTranspose",
    "Convolution2DTranspose": "Conv2DTranspose",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    "ThresholdedReLU": "ReLU",
}
#: What layers of Keras 1 called their arguments; (rows, columns) become one argument further down.
_ARGUMENTS = {
    "nb_filter": "filters",
    "border_mode": "padding",
    "subsample": "strides",
    "dim_ordering": "data_format",
    "bias": "use_bias",
    "output_dim": "units",
    "p": "rate",
    "sigma": "stddev",
    "atrous_rate": "dilation_rate",
    "theta": "threshold",
}
_ORDERINGS = {"tf": "channels_last", "th": "channels_first"}
_MERGES = {"sum": "Add", "mul": "Multiply", "concat": "Concatenate", "ave": "Average", "max": "Maximum"}
_TRAINING = ("_initializer", "_regularizer", "_constraint", "_init")
#: Arguments that say nothing about an inference in Keras 3: of the input, of training, of old kernels.
_LEFT_OUT = {
    "*": "batch_input_shape input_dtype input_dim input_length init weights W_learning_rate_multiplier",
    "BatchNormalization": "mode fused virtual_batch_size adjustment renorm renorm_clipping renorm_momentum "
    "synchronized",
    "Conv2DTranspose": "groups output_shape",
    "DepthwiseConv2D": "groups filters",
    "SeparableConv2D": "groups",
    "MultiHeadAttention": "query_shape key_shape value_shape softmax_robust_masking",
    "SpatialDropout2D": "noise_shape trainable",
    "GaussianDropout": "noise_shape",
}
#: Layers that read the order of the channels; Keras 1 did not save it for all of them.
_ORDERED = {"ZeroPadding2D", "Cropping2D", "UpSampling2D", "SpatialDropout2D"}


def convert_layer(kind: str, config: Mapping[str, Any], ordering: str | None) -> tuple[str, dict[str, Any]]:
    """The class and arguments in Keras 3; `ordering` is the one that the rest of the network says."""
    if kind == "Merge":
        return _merge(config)
    name = config.get("name", kind)
    found = {_ARGUMENTS.get(key, key): _plain(value) for key, value in config.items()}
    new = CLASSES.get(kind, kind)
    _check_batch_norm(new, config, name)
    left_out = f"{_LEFT_OUT['*']} {_LEFT_OUT.get(new, '')}".split()
    kept = {k: v for k, v in found.items() if k not in left_out and not k.endswith(_TRAINING)}
    if "data_format" in kept:
        kept["data_format"] = _ORDERINGS.get(kept["data_format"], kept["data_format"])
    if new in _ORDERED:
        kept.setdefault("data_format", ordering or "channels_last")
    _reshape_arguments(new, kept)
    if new == "Lambda":
        _wrap_function(kept)
    return new, kept


def plain_layer(config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of somebody's own layer: all of them, but for what only said the model's input."""
    left_out = ("batch_input_shape", "input_dtype")
    kept = {key: value for key, value in config.items() if key not in left_out}
    return kept | ({"dtype": dtype_name(kept["dtype"])} if "dtype" in kept else {})


def _reshape_arguments(kind: str, kept: dict[str, Any]) -> None:
    """The arguments that changed their form, in place."""
    if "nb_row" in kept:
        kept["kernel_size"] = [kept.pop("nb_row"), kept.pop("nb_col")]
    if "dtype" in kept:
        kept["dtype"] = dtype_name(kept["dtype"])
    if kind == "LeakyReLU" and "alpha" in kept:
        kept["negative_slope"] = kept.pop("alpha")
    if kind == "Flatten":  # Keras 1 flattened what it was given; so does Keras 3, if it is told the default
        kept.setdefault("data_format", "channels_last")
    axis = kept.get("axis")
    if kind == "BatchNormalization" and isinstance(axis, list) and len(axis) == 1:
        kept["axis"] = axis[0]
    padding = kept.get("padding")
    if kind == "ZeroPadding2D" and isinstance(padding, dict):
        sides = [padding.get(f"{side}_pad", 0) for side in ("top", "bottom", "left", "right")]
        kept["padding"] = [sides[:2], sides[2:]]
    if kind == "ZeroPadding2D" and isinstance(padding, list) and len(padding) == 4:
        kept["padding"] = [padding[:2], padding[2:]]


def _wrap_function(kept: dict[str, Any]) -> None:
    """A Lambda's pickled code as Keras 3 expects it; whether it may run is decided elsewhere."""
    for told in ("module", "function_type", "output_shape_type", "output_shape_module"):
        kept.pop(told, None)
    code = kept.get("function")
    if isinstance(code, list) and len(code) == 3:
        inner = dict(zip(("code", "defaults", "closure"), code, strict=True))
        kept["function"] = {"class_name": "__lambda__", "config": inner}


def _check_batch_norm(kind: str, config: Mapping[str, Any], name: str) -> None:
    if kind != "BatchNormalization":
        return
    if config.get("mode"):  # 0: by the statistics of training, as ever since
        raise CannotOpen(
            f"layer {name!r} is a BatchNormalization of Keras 1 in mode {config['mode']}, which normalises "
            "by the picture or batch itself; no layer of Keras 3 does the same"
        )
    if config.get("renorm"):
        raise CannotOpen(
            f"layer {name!r} is a BatchNormalization with renorm, which is not read from old files"
        )


def _merge(config: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    mode, name = config.get("mode", "sum"), config.get("name", "merge")
    if "layers" in config:
        raise CannotOpen(
            f"layer {name!r} joins several inputs at the beginning of the network; cnnlens feeds one picture"
        )
    kept: dict[str, Any] = {"name": name}
    if config.get("mode_type", "raw") != "raw" or mode not in (*_MERGES, "dot", "cos"):
        raise CannotOpen(
            f"layer {name!r} is a Merge by a Python function of its own ({config.get('mode_type', mode)}), "
            "which no file of Keras 1 holds in a form that can be read today"
        )
    if mode in ("dot", "cos"):
        axes = config.get("dot_axes", -1)
        return "Dot", {**kept, "axes": axes, "normalize": mode == "cos"}
    if mode == "concat":
        kept["axis"] = config.get("concat_axis", -1)
    return _MERGES[mode], kept


def dtype_name(dtype: Any) -> Any:
    """A dtype or policy as Keras 3 names it; policies of Keras 2 are objects with a name inside."""
    if isinstance(dtype, dict):
        inner = dtype.get("config")
        dtype = inner.get("name", "float32") if isinstance(inner, dict) else "float32"
    return "float32" if dtype in (None, "_infer", "infer") else dtype


def _plain(value: Any) -> Any:
    """A value without the wrapping of NumPy arrays that some versions of Keras 2 wrote."""
    if isinstance(value, dict) and set(value) == {"type", "value"}:
        return value["value"]
    return value
