"""Files as Keras 1.2.2 wrote them, made by hand from its source, and what its networks compute, in NumPy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

SIDE = 8
_REGULARISERS: dict[str, Any] = {
    "W_regularizer": {"name": "WeightRegularizer", "l1": 0.0, "l2": 0.0005},
    "b_regularizer": None, "activity_regularizer": None, "W_constraint": None, "b_constraint": None,
}  # fmt: skip


def conv(name: str, filters: int, side: int, order: str, **told: Any) -> dict[str, Any]:
    """A Convolution2D's configuration."""
    config = {
        "name": name, "trainable": True, "nb_filter": filters, "nb_row": side, "nb_col": side,
        "init": "glorot_uniform", "activation": "linear", "border_mode": "valid", "subsample": [1, 1],
        "dim_ordering": order, "bias": True, **_REGULARISERS, **told,
    }  # fmt: skip
    return config


def dense(name: str, units: int, activation: str) -> dict[str, Any]:
    """A Dense layer's configuration."""
    return {
        "name": name, "trainable": True, "output_dim": units, "init": "he_normal", "activation": activation,
        "bias": True, "input_dim": None, **_REGULARISERS,
    }  # fmt: skip


def save(folder: Path, model: dict[str, Any], weights: dict[str, list[tuple[str, Any]]]) -> Path:
    """model.json and weights.hdf5, in the layout of `save_weights` of Keras 1.2.2."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.json").write_text(json.dumps({**model, "keras_version": "1.2.2"}))
    with h5py.File(folder / "weights.hdf5", "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in weights]
        for name, arrays in weights.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = [key.encode() for key, _ in arrays]
            for key, values in arrays:
                group.create_dataset(key, data=values)
    return folder


def theano_like(folder: Path, end: str = "", **changed: Any) -> tuple[Path, Any, Any]:
    """A Sequential as a bare list, channels first: the folder, a picture (h, w, c), its probabilities.

    Names without an `end` of `:0` are Theano's, whose convolution turns its kernels round.
    """
    rng = np.random.default_rng(3)
    kernel, bias = rng.normal(0, 0.4, (4, 3, 3, 3)), rng.normal(0, 0.3, 4)  # out, in, rows, columns
    gamma, beta, mean = rng.normal(1, 0.2, (3, 4))
    variance = rng.uniform(0.5, 1.5, 4)
    matrix, offset = rng.normal(0, 0.2, (4 * 4 * 4, 5)), rng.normal(0, 0.2, 5)
    first = {"name": "pad", "trainable": True, "batch_input_shape": [None, 3, SIDE, SIDE]}
    pool = {"pool_size": [2, 2], "strides": [2, 2], "border_mode": "valid", "dim_ordering": "th"}
    norm = {"epsilon": 0.001, "mode": 0, "axis": 1, "momentum": 0.99, "gamma_regularizer": None}
    layers = [
        ("ZeroPadding2D", {**first, "input_dtype": "float32", "padding": [1, 1]}),
        ("Convolution2D", conv("conv", 4, 3, "th", activation="hard_sigmoid", **changed)),
        ("BatchNormalization", {"name": "norm", "trainable": True, "beta_regularizer": None, **norm}),
        ("MaxPooling2D", {"name": "pool", "trainable": True, **pool}),
        ("Dropout", {"name": "drop", "trainable": True, "p": 0.5}),
        ("Flatten", {"name": "flat", "trainable": True}),
        ("Dense", dense("out", 5, "linear")),
        ("Activation", {"name": "act", "trainable": True, "activation": "softmax"}),
    ]
    model = {"class_name": "Sequential", "config": [{"class_name": k, "config": c} for k, c in layers]}
    named = {
        "pad": [],
        "conv": [("conv_W", kernel), ("conv_b", bias)],
        "norm": [
            ("norm_gamma", gamma), ("norm_beta", beta), ("norm_running_mean", mean),
            ("norm_running_std", variance),
        ],
        "pool": [], "drop": [], "flat": [],
        "out": [("out_W", matrix), ("out_b", offset)],
        "act": [],
    }  # fmt: skip
    weights = {name: [(key + end, np.float32(v)) for key, v in arrays] for name, arrays in named.items()}
    x = rng.uniform(0, 1, (3, SIDE, SIDE))
    turned = kernel if end else kernel[:, :, ::-1, ::-1]
    windows = sliding_window_view(np.pad(x, ((0, 0), (1, 1), (1, 1))), (3, 3), axis=(1, 2))
    y = np.einsum("oiab,ihwab->ohw", turned, windows) + bias[:, None, None]
    y = np.clip(0.2 * y + 0.5, 0, 1)
    one = (slice(None), None, None)
    y = (y - mean[one]) / np.sqrt(variance[one] + 0.001) * gamma[one] + beta[one]
    y = y.reshape(4, 4, 2, 4, 2).max((2, 4))
    return save(folder, model, weights), np.moveaxis(x, 0, -1), softmax(y.reshape(-1) @ matrix + offset)


def graph(folder: Path) -> tuple[Path, Any, Any]:
    """A Model with Merge layers, a nested Sequential, dilation and a Deconvolution2D, channels last."""
    rng = np.random.default_rng(4)
    sizes = {"a": (3, 3, 3, 4), "b": (3, 3, 3, 4), "up": (2, 2, 8, 3), "in": (1, 1, 3, 3)}
    w = {key: rng.normal(0, 0.4, size) for key, size in sizes.items()}
    up_bias, matrix, offset = rng.normal(0, 0.3, 3), rng.normal(0, 0.3, (3, 5)), rng.normal(0, 0.3, 5)
    alone: dict[str, Any] = {"bias": False, "border_mode": "same"}
    entry = {
        "batch_input_shape": [None, SIDE, SIDE, 3],
        "input_dtype": "float32",
        "sparse": False,
        "name": "x",
    }
    merge = {
        "mode_type": "raw", "dot_axes": -1, "output_shape": None, "output_shape_type": "raw",
        "output_mask": None, "output_mask_type": "raw", "arguments": {},
    }  # fmt: skip
    deconv = conv("up", 3, 2, "tf", subsample=[2, 2], output_shape=[None, 2 * SIDE, 2 * SIDE, 3])
    inner = conv("in", 3, 1, "tf", bias=False, batch_input_shape=[None, 2 * SIDE, 2 * SIDE, 3])
    nested = [
        {"class_name": "Convolution2D", "config": inner},
        {"class_name": "LeakyReLU", "config": {"name": "leaky", "alpha": 0.3}},
    ]
    layers: list[tuple[str, str, Any, list[Any]]] = [
        ("x", "InputLayer", entry, []),
        ("a", "Convolution2D", conv("a", 4, 3, "tf", **alone), [[["x", 0, 0]]]),
        ("b", "AtrousConvolution2D", conv("b", 4, 3, "tf", atrous_rate=[2, 2], **alone), [[["x", 0, 0]]]),
        (
            "sum",
            "Merge",
            {"name": "sum", "mode": "sum", "concat_axis": -1, **merge},
            [[["a", 0, 0], ["b", 0, 0]]],
        ),
        (
            "cat",
            "Merge",
            {"name": "cat", "mode": "concat", "concat_axis": -1, **merge},
            [[["sum", 0, 0], ["a", 0, 0]]],
        ),
        ("up", "Deconvolution2D", deconv, [[["cat", 0, 0]]]),
        ("nested", "Sequential", nested, [[["up", 0, 0]]]),
        (
            "mean",
            "GlobalAveragePooling2D",
            {"name": "mean", "trainable": True, "dim_ordering": "tf"},
            [[["nested", 1, 0]]],
        ),
        ("out", "Dense", dense("out", 5, "softmax"), [[["mean", 0, 0]]]),
    ]
    listed = [{"name": n, "class_name": k, "config": c, "inbound_nodes": i} for n, k, c, i in layers]
    ends = {"input_layers": [["x", 0, 0]], "output_layers": [["out", 0, 0]]}
    model = {"class_name": "Model", "config": {"name": "model_1", "layers": listed, **ends}}
    arrays: dict[str, list[tuple[str, Any]]] = {name: [] for name, *_ in layers}
    arrays |= {
        "a": [("a_W:0", w["a"])], "b": [("b_W:0", w["b"])], "nested": [("in_W:0", w["in"])],
        "up": [("up_W:0", w["up"]), ("up_b:0", up_bias)],
        "out": [("out_W:0", matrix), ("out_b:0", offset)],
    }  # fmt: skip
    weights = {name: [(key, np.float32(v)) for key, v in some] for name, some in arrays.items()}
    x = rng.uniform(0, 1, (SIDE, SIDE, 3))
    a, b = _same(x, w["a"], 1), _same(x, w["b"], 2)
    cat = np.concatenate([a + b, a], -1)
    up = np.einsum("hwi,abio->hawbo", cat, w["up"]).reshape(2 * SIDE, 2 * SIDE, 3) + up_bias
    y = np.einsum("hwi,io->hwo", up, w["in"][0, 0])
    y = np.where(y > 0, y, 0.3 * y).mean((0, 1))
    return save(folder, model, weights), x, softmax(y @ matrix + offset)


def _same(x: Any, kernel: Any, rate: int) -> Any:
    """A 3×3 convolution that keeps the size."""
    padded = np.pad(x, ((rate, rate), (rate, rate), (0, 0)))
    parts = [
        np.einsum("hwi,io->hwo", padded[r * rate : r * rate + SIDE, c * rate : c * rate + SIDE], kernel[r, c])
        for r in range(3)
        for c in range(3)
    ]
    return np.sum(parts, 0)


def softmax(scores: Any) -> Any:
    """Scores → probabilities."""
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()
