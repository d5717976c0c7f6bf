"""What units see, by the structure and by the gradient: a Keras network in a process of its own for each engine.

Weights and picture are positive and poolings are means, so that no way from a pixel to a unit is lost:
`python receptive_net.py keras OUT.npz` writes both for some units of every layer, and the fields of VGG16.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

import cnnlens
from cnnlens.targets import read_target


def units_of(model: cnnlens.Model, layers: list[str], places: int = 5) -> list[tuple[str, int, int]]:
    """Corners and a few places drawn, of each layer."""
    rng, found = np.random.default_rng(3), []
    for name in layers:
        height, width = model.layer(name).shape[:2]
        drawn = zip(rng.integers(0, height, places), rng.integers(0, width, places), strict=True)
        corners = [(0, 0), (height - 1, width - 1), (0, width - 1)]
        found += [(name, int(i), int(j)) for i, j in [*corners, *drawn]]
    return found


def seen_by(model: cnnlens.Model, name: str, i: int, j: int) -> tuple[int, int, int, int] | None:
    """The box around all pixels that the unit of the first map at (i, j) has a gradient by; None if there are none."""
    x = np.random.default_rng(4).uniform(0.2, 1, (1, model.input.height, model.input.width, 3))
    target = read_target(f"{name}[0,{i},{j}]", model)
    gradient = model.trace(x.astype(np.float32), watch=("input",), target=target).gradients["input"][0]
    found = np.argwhere(gradient.any(-1))
    if not len(found):
        return None
    (y0, x0), (y1, x1) = found.min(0), found.max(0) + 1
    return int(y0), int(x0), int(y1), int(x1)


def in_keras() -> Any:
    """Every padding of Keras, at sides where "same" pads unevenly, with branches and an enlarged end."""
    import keras
    from keras import layers as kl

    x = keras.Input((37, 44, 3))
    y = kl.Conv2D(8, 4, strides=2, padding="same", activation="relu", name="conv")(x)
    y = kl.BatchNormalization(name="norm")(y)
    y = kl.DepthwiseConv2D(3, strides=2, padding="same", name="depthwise")(y)
    y = kl.SeparableConv2D(8, 3, padding="valid", name="separable")(
        kl.ZeroPadding2D(((1, 0), (2, 1)), name="pad")(y)
    )
    y = kl.AveragePooling2D(3, strides=2, padding="same", name="pool")(
        kl.Cropping2D(((1, 0), (0, 1)), name="crop")(y)
    )
    z = kl.Conv2D(8, 3, groups=2, padding="same", name="grouped")(y)
    z = kl.Concatenate(name="concat")([kl.Add(name="add")([z, y]), kl.Conv2D(4, 1, name="one")(y)])
    u = kl.UpSampling2D(2, interpolation="bilinear", name="up")(z)
    t = kl.Conv2DTranspose(12, 4, strides=2, padding="same", name="transposed")(z)
    y = kl.GlobalAveragePooling2D(name="average")(kl.Add(name="joined")([u, t]))
    net = keras.Model(x, kl.Dense(3, name="dense")(y))
    rng = np.random.default_rng(0)
    for layer in net.layers:
        if "norm" not in layer.name:
            for variable in layer.weights:
                variable.assign(rng.uniform(0.1, 1, variable.shape))
    return net


def main(_: str, out: str) -> None:
    """Write the fields of VGG16, and of the network's units what they see by structure and by gradient."""
    import keras

    vgg = cnnlens.wrap(
        keras.applications.VGG16(weights=None, include_top=False, input_shape=(64, 64, 3), pooling="avg"),
        preprocess={"size": 64},
    )
    fields = cnnlens.receptive_fields(vgg)
    found: dict[str, Any] = {
        f"vgg16/{name}": np.array([field.size, field.stride, field.start])
        for name, field in fields.items()
        if field is not None
    }
    model = cnnlens.wrap(in_keras(), preprocess={"height": 37, "width": 44})
    fields = cnnlens.receptive_fields(model)
    found["without"] = np.array([name for name, field in fields.items() if field is None])
    for name, i, j in units_of(model, [name for name, field in fields.items() if field is not None]):
        field = fields[name]
        assert field is not None
        found[f"unit/{name}/{i}/{j}"] = np.array(
            [field.box(i, j), seen_by(model, name, i, j) or (0, 0, 0, 0)]
        )
    np.savez(out, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
