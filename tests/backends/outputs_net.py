"""One network with several outputs and places, with equal weights in PyTorch and in Keras, and its targets' values.

Run by `test_outputs_keras.py`, a process for each: `python outputs_net.py torch|keras OUT.npz`.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

import cnnlens
from cnnlens.images import open_image
from cnnlens.targets import read_target
from cnnlens.testing import check_model

SIDE, NAMES = 12, ["cat", "dog", "cow"]
SPEC = {"size": SIDE, "mean": (0.4, 0.5, 0.6), "std": 0.25}
TARGETS = (
    "top1", "dog", "p(dog)", "dog - cat", "p(top1) - p(cow)", "dog@3,10", "dog@0:5,4:12 - cow", "p(cow@3,3)",
    "rows[:,2]", "maps[:,1]", "maps[:,1,2,4]", "rows[:,0] - rows[:,3]", "body[2] - body[1,0,4]",
    "like(other, body)",
)  # fmt: skip


def arrays() -> dict[str, Any]:
    """Kernels and biases, (kh, kw, in, out) and (out,)."""
    rng = np.random.default_rng(4)
    shapes = {"body": (3, 3, 3, 4), "head": (1, 1, 4, 3)}
    drawn = {name: rng.standard_normal(shape).astype(np.float32) * 0.6 for name, shape in shapes.items()}
    return drawn | {
        f"{name}/bias": rng.standard_normal(s[-1]).astype(np.float32) for name, s in shapes.items()
    }


def in_torch() -> Any:
    """A dict of scores at places, maps, and a row of numbers."""
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = nn.Conv2d(3, 4, 3, stride=2), nn.Conv2d(4, 3, 1)

        def forward(self, x: Any) -> Any:
            maps = torch.tanh(self.body(x))
            return {"out": self.head(maps), "maps": maps, "rows": maps.mean((2, 3))}

    net, own = Net(), arrays()
    for name in ("body", "head"):
        part = getattr(net, name)
        part.weight.data = torch.from_numpy(np.moveaxis(own[name], (-1, -2), (0, 1)).copy())
        part.bias.data = torch.from_numpy(own[f"{name}/bias"])
    return net


def in_keras(form: str = "functional") -> Any:
    """The same: from a graph, or with a call() of its own, its scores through a softmax that is undone."""
    import keras
    from keras import layers as kl

    body = kl.Conv2D(4, 3, strides=2, name="body")
    head = kl.Conv2D(3, 1, activation="softmax" if form == "functional" else None, name="head")
    average = kl.GlobalAveragePooling2D()

    def outputs(x: Any) -> Any:
        maps = keras.ops.tanh(body(x))
        return {"out": head(maps), "maps": maps, "rows": average(maps)}

    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__(name="own")
            self.parts = [body, head, average]

        def call(self, x: Any, training: bool = False) -> Any:
            return outputs(x)

    x = keras.Input((SIDE, SIDE, 3))
    net = keras.Model(x, outputs(x)) if form == "functional" else Own()
    net(np.zeros((1, SIDE, SIDE, 3), np.float32))
    own = arrays()
    for name, part in (("body", body), ("head", head)):
        part.set_weights([own[name], own[f"{name}/bias"]])
    return net


def seen(model: cnnlens.Model, targets: tuple[str, ...]) -> dict[str, Any]:
    """The value of each target and its gradients, for a picture."""
    x, other = (np.random.default_rng(seed).random((SIDE, SIDE, 3), np.float32) for seed in (1, 2))
    found: dict[str, Any] = {"scores": model.trace(x[None]).scores}
    for text in targets:
        probe = cnnlens.Probe(model, x, read_target(text, model, lambda _: open_image(other)))
        found[f"{text}: value"] = np.asarray(probe.score)
        found[f"{text}: gradient"] = probe.gradients()
        found[f"{text}: hidden"] = probe.hide([(0, 0, 6, 6), (4, 3, 12, 12)], 0.2)
        found[f"{text}: saliency"] = cnnlens.look(model, probe, "saliency").array
    found["shares"] = cnnlens.look(model, x, "class-probabilities").array
    return found


def checked(native: Any) -> cnnlens.Model:
    """The network as a Model that keeps the contract."""
    model = cnnlens.wrap(native, preprocess=SPEC, labels=NAMES)
    assert {o.path: (o.shape, o.is_scores) for o in model.output_tree} == {
        "out": ((5, 5, 3), True), "maps": ((5, 5, 4), False), "rows": ((4,), False),
    }  # fmt: skip
    check_model(model)
    return model


def main(framework: str, out: str) -> None:
    """Build the network in one framework, check it in all its forms, and write what is seen."""
    if framework == "torch":
        np.savez(out, **seen(checked(in_torch()), TARGETS))
        return
    model = checked(in_keras())
    found = seen(model, TARGETS)
    assert np.isfinite(
        cnnlens.look(model, np.zeros((SIDE, SIDE, 3)), "grad-cam", target="dog@3,3").array
    ).all()
    whole = tuple(text for text in TARGETS if "body" not in text)
    own = checked(in_keras("own"))  # no layer inside can be read, what it returns can
    found |= {f"own/{name}": values for name, values in seen(own, whole).items()}
    tuples(found)
    np.savez(out, **found)


def tuples(found: dict[str, Any]) -> None:
    """Lists of outputs, the second as the scores; a column of numbers a picture; channels first."""
    import keras
    from keras import layers as kl

    x = keras.Input((SIDE, SIDE, 3))
    y = kl.Flatten()(kl.Conv2D(2, 3, name="conv")(x))
    first, second = kl.Dense(3, name="first")(y), kl.Dense(2, activation="sigmoid", name="second")(y)
    listed = keras.Model(x, [first, second])
    assert cnnlens.wrap(listed, preprocess=SPEC).outputs == (3,)
    model = cnnlens.wrap(listed, preprocess=SPEC, output="[1]")
    assert model.outputs == (2,) and model.activation == "sigmoid"
    check_model(model)
    probe = cnnlens.Probe(model, np.full((SIDE, SIDE, 3), 0.3), "[1][:,1]")
    assert np.allclose(probe.score, probe.probabilities[1], rtol=1e-4)
    assert np.allclose(probe.gradients(), probe.towards("p(1)").gradients(), rtol=1e-3, atol=1e-6)
    single = keras.Model(x, keras.ops.squeeze(kl.Dense(1, name="one")(y), -1))
    check_model(cnnlens.wrap(single, preprocess=SPEC))
    z = keras.Input((3, SIDE, SIDE))
    form: dict[str, Any] = {"data_format": "channels_first"}
    maps = kl.Conv2D(3, 3, name="maps", padding="same", **form)(z)
    if keras.config.backend() == "tensorflow":
        return  # its convolutions with channels first need a graphics card
    check_model(cnnlens.wrap(keras.Model(z, maps), preprocess={"size": SIDE}, labels=NAMES))


if __name__ == "__main__":
    main(*sys.argv[1:])
