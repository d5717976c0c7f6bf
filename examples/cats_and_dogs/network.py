"""The network that tells cats from dogs: three times convolution, ReLU and pooling, then two dense layers.

One shape, in PyTorch and in Keras, with the same names of layers. Neither framework is imported before its function
is called, so `--arch network.py:in_torch` wants PyTorch alone.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

#: Pictures are squares of so many pixels, three colours each.
SIDE = 128
#: Each block: how many filters, the side of their kernels, and of how many places a side pooling keeps the strongest.
BLOCKS = ((16, 5, 3), (32, 5, 3), (64, 3, 3))
#: Units of the first dense layer.
HIDDEN = 64
CLASSES = ("cat", "dog")


def in_torch(side: int = SIDE, padding: str = "valid") -> Any:
    """The network as a `torch.nn.Sequential`, untrained. Pictures (n, 3, side, side) → scores (n, 2)."""
    from torch import nn

    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = 3
    for block, (filters, kernel, pool) in enumerate(BLOCKS, 1):
        layers[f"conv{block}"] = nn.Conv2d(channels, filters, kernel, padding=padding)
        layers[f"relu{block}"] = nn.ReLU()
        layers[f"pool{block}"] = nn.MaxPool2d(pool)
        channels, side = filters, (side - (kernel - 1 if padding == "valid" else 0)) // pool
    layers["flatten"] = nn.Flatten()
    layers["dense1"] = nn.Linear(channels * side * side, HIDDEN)
    layers["relu4"] = nn.ReLU()
    layers["dense2"] = nn.Linear(HIDDEN, len(CLASSES))
    return nn.Sequential(layers)


def in_keras() -> Any:
    """The network as a `keras.Sequential`, untrained. Pictures (n, 128, 128, 3) → scores (n, 2)."""
    import keras

    model = keras.Sequential([keras.Input((SIDE, SIDE, 3), name="picture")], name="cats_and_dogs")
    for block, (filters, kernel, pool) in enumerate(BLOCKS, 1):
        model.add(keras.layers.Conv2D(filters, kernel, padding="valid", name=f"conv{block}"))
        model.add(keras.layers.ReLU(name=f"relu{block}"))
        model.add(keras.layers.MaxPooling2D(pool, name=f"pool{block}"))
    model.add(keras.layers.Flatten(name="flatten"))
    model.add(keras.layers.Dense(HIDDEN, name="dense1"))
    model.add(keras.layers.ReLU(name="relu4"))
    model.add(keras.layers.Dense(len(CLASSES), name="dense2"))
    return model


def to_keras(trained: Any) -> Any:
    """The PyTorch network's weights in a Keras network of the same shape: each array turned as Keras keeps it.

    A kernel is (out, in, height, width) there and (height, width, in, out) here. `flatten` reads channel by channel
    there and place by place here, so the columns of `dense1` change their order too.
    """
    model = in_keras()
    for layer in model.layers:
        if not layer.weights:
            continue
        module = trained.get_submodule(layer.name)
        weight, bias = module.weight.detach().numpy(), module.bias.detach().numpy()
        if weight.ndim == 4:
            weight = weight.transpose(2, 3, 1, 0)
        elif layer.name == "dense1":
            side = round((weight.shape[1] / BLOCKS[-1][0]) ** 0.5)
            maps = weight.reshape(HIDDEN, BLOCKS[-1][0], side, side)
            weight = maps.transpose(2, 3, 1, 0).reshape(-1, HIDDEN)
        else:
            weight = weight.T
        layer.set_weights([weight, bias])
    return model
