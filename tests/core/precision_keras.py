"""A lower precision on each of Keras's engines; a process on any: `python precision_keras.py`."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers as kl

import cnnlens
from cnnlens.errors import Unmet

SPEC = {"size": 16, "mean": (0.5,) * 3, "std": (0.25,) * 3}


def net() -> keras.Model:
    """conv → batch norm → relu → depthwise conv → average → dense."""
    x = keras.Input((16, 16, 3))
    y = kl.Conv2D(8, 3, name="conv")(x)
    y = kl.ReLU(name="relu")(kl.BatchNormalization(name="norm")(y))
    y = kl.DepthwiseConv2D(3, name="deep")(y)
    return keras.Model(x, kl.Dense(4, name="logits")(kl.GlobalAveragePooling2D()(y)), name="net")


def main() -> None:
    """Lowered where Keras runs on PyTorch, refused in words elsewhere."""
    keras.utils.set_random_seed(0)
    native, picture = net(), np.random.default_rng(0).random((16, 16, 3), np.float32)
    plain = cnnlens.wrap(native, preprocess=SPEC)
    same = cnnlens.wrap(native, preprocess=SPEC, precision="fp32")
    assert same.precision == "float32" and same.in_full is same
    assert np.array_equal(same.trace(picture[None]).scores, plain.trace(picture[None]).scores)
    try:
        low = cnnlens.wrap(native, preprocess=SPEC, precision="bf16")
    except Unmet as error:
        print(error)
        return
    before = [np.array(one) for one in native.get_weights()]
    result = cnnlens.look(low, picture, "saliency")
    told = result.facts["precision"]
    assert told["computed_in"] == "bfloat16" and 0.9 < told["gradient_correlation"] < 1, told
    probe = cnnlens.Probe(low, picture)
    assert probe.score != probe.in_full.score == cnnlens.Probe(plain, picture, probe.target).score
    assert all(np.array_equal(a, b) for a, b in zip(before, native.get_weights(), strict=True))
    assert all(one.dtype == "float32" for one in native.variables)
    assert np.allclose(low.tape(picture[None]).scores, plain.trace(picture[None]).scores, atol=1e-6)
    cnnlens.look(low, picture, "lrp")
    cnnlens.look(low, picture, "rise", cells=3, masks=24)
    print("lowered")


if __name__ == "__main__":
    main()
