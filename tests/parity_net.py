"""One small network with the same weights in PyTorch and in Keras, and what cnnlens reads from it.

Run by `test_parity.py`, a process for each: `python parity_net.py torch|keras OUT.npz`; Keras runs on the
engine that KERAS_BACKEND names.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np

import cnnlens
from cnnlens.panels import panel_array
from cnnlens.pointing import told
from cnnlens.targets import read_target

SIDE, CLASSES = 16, 5
SPEC = {"size": SIDE, "mean": (0.4, 0.5, 0.6), "std": (0.2, 0.25, 0.3), "order": "BGR"}
#: Fewer samples than users get, where the default takes long.
SMALL: dict[str, dict[str, Any]] = {
    "rise": {"masks": 20, "cells": 3},
    "lime": {"samples": 30, "regions": 9},
    "kernel-shap": {"samples": 30, "regions": 9},
    "extremal": {"steps": 10, "cells": 8},
    "maximise": {"steps": 3, "units": "0,2"},
}
LAYERS = ("padding", "conv", "norm", "relu", "depthwise", "project", "add", "pool", "average", "dense")


def arrays() -> dict[str, dict[str, Any]]:
    """The weights as cnnlens hands them out: kernels (kh, kw, in / groups, out)."""
    rng = np.random.default_rng(11)

    def draw(*shape: int) -> Any:
        return rng.standard_normal(shape).astype(np.float32) * 0.5

    return {
        "conv": {"kernel": draw(3, 3, 3, 6), "bias": draw(6)},
        "norm": {"scale": 1 + draw(6), "bias": draw(6), "mean": draw(6), "variance": np.abs(draw(6)) + 0.3},
        "depthwise": {"kernel": draw(3, 3, 1, 12), "bias": draw(12)},
        "project": {"kernel": draw(1, 1, 6, 6)},
        "dense": {"kernel": draw(6, CLASSES), "bias": draw(CLASSES)},
    }


def in_torch(weights: dict[str, dict[str, Any]]) -> Any:
    """Padding by a layer, strided and grouped convolutions, a sum, and a softmax module at the end."""
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.padding = nn.ZeroPad2d(1)
            self.conv = nn.Conv2d(3, 6, 3, stride=2)
            self.norm = nn.BatchNorm2d(6)
            self.relu = nn.ReLU(inplace=True)
            self.depthwise = nn.Conv2d(6, 12, 3, padding=1, groups=6)
            self.project = nn.Conv2d(12, 6, 1, groups=2, bias=False)
            self.pool = nn.MaxPool2d(2)
            self.average = nn.AdaptiveAvgPool2d(1)
            self.dense = nn.Linear(6, CLASSES)
            self.softmax = nn.Softmax(1)

        def forward(self, x: Any) -> Any:
            x = self.relu(self.norm(self.conv(self.padding(x))))
            x = torch.add(x, self.project(self.depthwise(x)))
            return self.softmax(self.dense(self.average(self.pool(x)).flatten(1)))

    net = Net()
    names = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "variance": "running_var"}
    state = net.state_dict()
    for layer, own in weights.items():
        for name, values in own.items():
            laid = np.moveaxis(values, (-1, -2), (0, 1)) if name == "kernel" else values
            state[f"{layer}.{names.get(name, name)}"] = torch.from_numpy(laid.copy())
    net.load_state_dict(state)
    return net


def in_keras(weights: dict[str, dict[str, Any]]) -> Any:
    """The same network, its softmax fused into the last layer."""
    import keras
    from keras import layers as kl

    x = keras.Input((SIDE, SIDE, 3))
    y = kl.Conv2D(6, 3, strides=2, name="conv")(kl.ZeroPadding2D(1, name="padding")(x))
    y = kl.ReLU(name="relu")(kl.BatchNormalization(epsilon=1e-5, name="norm")(y))
    z = kl.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="depthwise")(y)
    z = kl.Conv2D(6, 1, groups=2, use_bias=False, name="project")(z)
    y = kl.MaxPooling2D(2, name="pool")(kl.Add(name="add")([y, z]))
    y = kl.GlobalAveragePooling2D(name="average")(y)
    net = keras.Model(x, kl.Dense(CLASSES, activation="softmax", name="dense")(y))
    for layer, own in weights.items():
        native = net.get_layer(layer)
        for variable, values in zip(native.weights, own.values(), strict=True):
            variable.assign(values.reshape(variable.shape))
    return net


def seen(model: cnnlens.Model) -> dict[str, Any]:
    """Everything that cnnlens reads from a model, as arrays by name."""
    x = np.random.default_rng(12).random((2, SIDE, SIDE, 3), np.float32)
    watched = [name for name in LAYERS if name != "dense"]
    traced = model.trace(x, watch=("input", *watched), target=3)
    found: dict[str, Any] = {"scores": traced.scores, "probabilities": model.probabilities(traced.scores)}
    for name in watched:
        found[f"activations/{name}"] = _flat(traced.activations[name])
        found[f"gradients/{name}"] = _flat(traced.gradients[name])
    found["gradients/input"] = traced.gradients["input"]
    unit = read_target("norm[2,3,4]", model)
    found["gradient of a unit"] = model.trace(x, watch=("input",), target=unit).gradients["input"]
    other = np.random.default_rng(13).random((2, 8, 8, 6), np.float32)
    replaced = model.trace(x, watch=("norm",), target=1, replace={"relu": other})
    found["replaced/scores"], found["replaced/below"] = replaced.scores, replaced.gradients["norm"]
    found["hidden"] = model.hide(x[0], [(0, 0, 5, 5), (3, 4, 9, 16), (12, 12, 16, 16)], (0.1, 0.5, 0.9))
    for layer in arrays():
        found |= {f"weights/{layer}/{name}": values for name, values in model.weights(layer).items()}
    for visualiser in cnnlens.visualisers():
        if visualiser.why_not(model) is not None:
            continue
        for place, panel in enumerate(
            cnnlens.look(model, x[0], visualiser, target=3, **SMALL.get(visualiser.name, {})).panels
        ):
            values = panel_array(panel)
            if values is not None:
                found[f"look/{visualiser.name}/{place}"] = values
    (diagram,) = (
        one for one in cnnlens.look(model, None, "architecture").panels if isinstance(one, cnnlens.Diagram)
    )
    boxes = [
        (one.label, one.detail, one.kind, one.part, one.opens and told(one.opens)) for one in diagram.nodes
    ]
    text = json.dumps([boxes, told(diagram.edges)])
    found["boxes and edges"] = np.frombuffer(text.encode(), np.uint8).astype(np.float32)
    return found


def _flat(values: Any) -> Any:
    """One place is no place: (n, 1, 1, c) is (n, c)."""
    return values[:, 0, 0] if values.shape[1:3] == (1, 1) else values


def main(framework: str, out: str) -> None:
    """Build the network in one framework and write what is seen."""
    native = {"torch": in_torch, "keras": in_keras}[framework](arrays())
    model = cnnlens.wrap(native, preprocess=SPEC)
    np.savez(out, **seen(model), framework=model.framework, activation=str(model.activation))


if __name__ == "__main__":
    main(*sys.argv[1:])
