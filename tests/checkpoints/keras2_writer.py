"""Keras 2 writes its files: run with a folder, it leaves checkpoints and what each of them predicts."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tf_keras as keras
from tf_keras import layers as kl

SIDE = 12
FOLDER = Path(sys.argv[1])
PICTURES = np.random.default_rng(5).uniform(0, 1, (2, SIDE, SIDE, 3)).astype(np.float32)
predictions: dict[str, Any] = {"x": PICTURES}


def shaken(model: Any) -> Any:
    rng = np.random.default_rng(0)
    model.set_weights(
        [
            rng.uniform(0.5, 1.5, v.shape) if "variance" in v.name else rng.normal(0, 0.3, v.shape)
            for v in model.weights
        ]
    )
    return model


def sequential() -> Any:
    return keras.Sequential(
        [
            kl.Rescaling(1 / 255.0, input_shape=(SIDE, SIDE, 3)),
            kl.ZeroPadding2D(1),
            kl.Conv2D(4, 3, activation="hard_sigmoid", kernel_regularizer="l2"),
            kl.BatchNormalization(),
            kl.DepthwiseConv2D(3, padding="same"),
            kl.SeparableConv2D(6, 3, strides=2, padding="same", use_bias=False),
            kl.LeakyReLU(alpha=0.2),
            kl.ThresholdedReLU(theta=0.1),
            kl.SpatialDropout2D(0.2),
            kl.MaxPooling2D(),
            kl.Dropout(0.3),
            kl.Flatten(),
            kl.Dense(5),
            kl.Activation("softmax"),
        ],
        name="old_sequential",
    )


def graph() -> Any:
    """Branches, a nested model called twice and frozen in part, Normalization, a transposed convolution."""
    x = kl.Input((SIDE, SIDE, 3), name="picture")
    y = kl.Normalization(mean=[0.4, 0.5, 0.6], variance=[0.1, 0.2, 0.3])(x)
    scaling = keras.initializers.VarianceScaling(2.0)
    inner = keras.Sequential(
        [
            kl.Conv2D(3, 3, padding="same", input_shape=(SIDE, SIDE, 3), kernel_initializer=scaling),
            kl.BatchNormalization(trainable=False),
            kl.PReLU(shared_axes=[1, 2]),
        ],
        name="inner",
    )
    start = kl.Input((SIDE, SIDE, 3))
    other = keras.Model(start, kl.Conv2D(3, 1, groups=3)(start), name="other")
    a, b = inner(y), other(inner(y))
    z = kl.Concatenate()([kl.Add()([a, b]), kl.Multiply()([a, b]), kl.Conv2D(4, 1)(y)])
    z = kl.Conv2DTranspose(3, 3, strides=2)(kl.ReLU(max_value=6.0)(z))
    z = kl.BatchNormalization()(kl.UpSampling2D(2, interpolation="bilinear")(z), training=False)
    z = kl.GlobalAveragePooling2D()(kl.LayerNormalization()(z))
    return keras.Model(x, kl.Dense(5, activation="softmax", name="probs")(z), name="old_graph")


def first() -> Any:
    """Channels first: TensorFlow on a CPU does not run it, so nothing is predicted here."""
    keep: dict[str, Any] = {"data_format": "channels_first"}
    layers = [kl.Conv2D(4, 3, input_shape=(3, SIDE, SIDE), **keep), kl.Flatten(**keep), kl.Dense(3)]
    return keras.Sequential(layers, name="first")


class Scale(kl.Layer):
    def __init__(self, times: float = 2.0, **told: Any) -> None:
        super().__init__(**told)
        self.times = times

    def build(self, shape: Any) -> None:
        self.slope = self.add_weight(name="slope", shape=(shape[-1],))
        self.shift = self.add_weight(name="shift", shape=(shape[-1],))

    def call(self, x: Any) -> Any:
        return self.times * x * self.slope + self.shift

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "times": self.times}


def own() -> Any:
    def twice(x: Any) -> Any:
        return 2.0 * x

    registered = keras.utils.register_keras_serializable("guest")(type("Shift", (Scale,), {}))
    return keras.Sequential(
        [
            kl.Conv2D(4, 3, input_shape=(SIDE, SIDE, 3)),
            Scale(3.0),
            registered(0.5),
            kl.Activation(twice),
            kl.GlobalAveragePooling2D(),
            kl.Dense(5),
        ],
        name="own",
    )


def code() -> Any:
    layers = [kl.Lambda(lambda t: t * 2.0, input_shape=(SIDE, SIDE, 3)), kl.Conv2D(4, 3), kl.Flatten()]
    return keras.Sequential([*layers, kl.Dense(3)], name="code")


def calls() -> Any:
    x = kl.Input((SIDE, SIDE, 3))
    y = kl.Conv2D(4, 3)(x) * 2.0 + 1.0
    return keras.Model(x, kl.GlobalAveragePooling2D()(y[:, 1:]), name="calls")


def adapted() -> Any:
    normal = kl.Normalization(name="normal")
    normal.adapt(PICTURES)
    x = kl.Input((SIDE, SIDE, 3))
    return keras.Model(x, kl.Dense(3)(kl.Flatten()(normal(x))), name="adapted")


def half() -> Any:
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    layers = [kl.Conv2D(4, 3, input_shape=(SIDE, SIDE, 3)), kl.BatchNormalization(), kl.Flatten()]
    model = keras.Sequential([*layers, kl.Dense(5, activation="softmax", dtype="float32")], name="half")
    keras.mixed_precision.set_global_policy("float32")
    return model


for make in (sequential, graph, first, own, code, calls, adapted, half):
    model = make()
    model = model if make is adapted else shaken(model)
    name = make.__name__
    for suffix in (".h5", ".keras"):
        model.save(FOLDER / (name + suffix))
    if make in (sequential, graph):
        for folder, file in (("legacy", f"{name}.h5"), ("places", f"{name}.weights.h5")):
            (FOLDER / folder).mkdir(exist_ok=True)
            model.save_weights(FOLDER / folder / file)
            (FOLDER / folder / f"{name}.json").write_text(model.to_json())
    if make is not first:
        predictions[name] = np.asarray(model.predict(PICTURES, verbose=0), np.float32)
np.savez(FOLDER / "predictions.npz", **predictions)
