"""The rows of the table of verdicts that are Keras's own; a process on any engine: `python verdict_keras.py row…`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import keras
from keras import layers as kl
from verdict_checks import SPEC, check

import cnnlens


class Subclassed(keras.Model):
    """Its own call decides what runs."""

    def __init__(self) -> None:
        super().__init__(name="subclassed")
        self.conv = kl.Conv2D(8, 3, activation="relu")
        self.pool, self.dense = kl.GlobalAveragePooling2D(), kl.Dense(4)

    def call(self, x: Any) -> Any:
        return self.dense(self.pool(self.conv(x)))


def pooled(dtype: str | None = None, shares: bool = False) -> Any:
    """conv → max pool → conv → global average → dense, and probabilities by a formula that is no layer's."""
    x = keras.Input((16, 16, 3))
    y = kl.Conv2D(8, 3, padding="same", activation="relu", name="conv1", dtype=dtype)(x)
    y = kl.MaxPooling2D(2, name="pool", dtype=dtype)(y)
    y = kl.Conv2D(12, 3, padding="same", name="conv2", dtype=dtype)(y)
    y = kl.ReLU(name="relu2", dtype=dtype)(y)
    y = kl.GlobalAveragePooling2D(name="average", dtype=dtype)(y)
    y = kl.Dense(4, name="logits", dtype=dtype)(y)
    if shares:
        y = keras.ops.exp(y)
        y = y / keras.ops.sum(y, axis=1, keepdims=True)
    return keras.Model(x, y, name="net")


def subclassed() -> Any:
    net = Subclassed()
    net(keras.ops.zeros((1, 16, 16, 3)))
    return net


NETS = {
    "subclassed": subclassed,
    "keras-half": lambda: pooled("mixed_float16"),
    "keras-shares": lambda: pooled(shares=True),
}

if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    found = [text for key in sys.argv[1:] for text in check(cnnlens.wrap(NETS[key](), preprocess=SPEC), key)]
    print("\n".join(found))
    sys.exit(bool(found))
