"""Small Keras networks with every shape of graph; built on whichever engine KERAS_BACKEND names."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers as kl

SIDE = 12


def shaken(model: Any, seed: int = 0) -> Any:
    """The model with weights that are no defaults: batch statistics included."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        values = rng.standard_normal(weight.shape) * 0.3
        weight.assign(np.abs(values) + 0.5 if "variance" in weight.name else values)
    return model


def functional(head: str | None = "softmax") -> Any:
    """Two branches, operations between layers, a ReLU called twice, a fused head."""
    x = keras.Input((SIDE, SIDE, 3))
    relu = kl.ReLU(name="relu")
    y = relu(kl.Conv2D(4, 3, padding="same", name="conv")(x))
    z = kl.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="depthwise")(y)
    z = kl.BatchNormalization(name="norm")(kl.Conv2D(4, 1, name="point")(z))
    y = relu(y + z)
    y = keras.ops.tanh(kl.MaxPooling2D(2, name="pool")(y) * 0.5)
    y = kl.Dropout(0.5, seed=1, name="dropout")(y)
    y = kl.GlobalAveragePooling2D(name="average")(y)
    return shaken(keras.Model(x, kl.Dense(5, activation=head, name="predictions")(y), name="net"))


def sequential() -> Any:
    """A tutorial's network, from bytes to a softmax of its own."""
    return shaken(
        keras.Sequential(
            [
                keras.Input((SIDE, SIDE, 3)),
                kl.Rescaling(1 / 255, name="rescaling"),
                kl.RandomFlip(seed=3, name="flip"),
                kl.Conv2D(4, 3, strides=2, activation="relu", name="conv"),
                kl.Flatten(name="flatten"),
                kl.Dense(3, name="dense"),
                kl.Softmax(name="softmax"),
            ],
            name="tutorial",
        )
    )


def nested(outer_head: bool = True) -> Any:
    """Models in models in a model, one of them called twice, the last with a fused softmax."""
    block_in = keras.Input((SIDE, SIDE, 4))
    block = keras.Model(
        block_in, kl.Conv2D(4, 3, padding="same", activation="relu", name="conv")(block_in), name="block"
    )
    body_in = keras.Input((SIDE, SIDE, 3))
    y = kl.Conv2D(4, 3, padding="same", name="stem")(body_in)
    y = kl.Add(name="add")([block(block(y)), y])
    body = keras.Model(body_in, y, name="body")
    top = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 4)),
            kl.GlobalMaxPooling2D(name="max"),
            kl.Dense(4, activation="softmax", name="dense"),
        ],
        name="top",
    )
    x = keras.Input((SIDE, SIDE, 3))
    return shaken(keras.Model(x, top(body(x, training=False)), name="whole"))


class Subclassed(keras.Model):
    """A network whose call() is Python: Keras has no graph of it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conv = kl.Conv2D(4, 3, name="conv")
        self.drop = kl.Dropout(0.5, seed=2, name="drop")
        self.pool = kl.GlobalAveragePooling2D(name="pool")
        self.dense = kl.Dense(3, activation="softmax", name="dense")

    def call(self, x: Any, training: bool = False) -> Any:
        return self.dense(self.pool(self.drop(keras.ops.relu(self.conv(x)), training=training)))


def subclassed() -> Any:
    """A subclassed network that has seen a picture."""
    model = Subclassed(name="own")
    model(np.zeros((1, SIDE, SIDE, 3), np.float32))
    return shaken(model)


def channels_first() -> Any:
    """The same kind of network with its channels first."""
    first: dict[str, Any] = {"data_format": "channels_first"}
    x = keras.Input((3, SIDE, SIDE))
    y = kl.Conv2D(5, 3, padding="same", name="conv", **first)(x)
    y = kl.BatchNormalization(axis=1, name="norm")(y)
    y = kl.Conv2D(5, 1, name="point", **first)(kl.ReLU(name="relu")(y)) + y
    y = kl.Permute((2, 3, 1), name="permute")(kl.AveragePooling2D(2, name="pool", **first)(y))
    y = kl.GlobalAveragePooling2D(name="average")(y)
    return shaken(keras.Model(x, kl.Dense(3, activation="sigmoid", name="dense")(y), name="first"))


class Failing(kl.Layer):
    """A layer that can be told to fail."""

    fails = False

    def call(self, x: Any) -> Any:
        if self.fails:
            raise RuntimeError("the layer was told to fail")
        return x * 1.0
