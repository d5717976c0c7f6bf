"""Pictures of six classes that differ in colour, brightness and shape, and nets that learn them in seconds."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

NAMES = ("blue disc", "blue square", "dark disc", "light disc", "red disc", "red square")
_COLOURS = {"blue": (95, 110, 170), "red": (170, 110, 95), "dark": (100, 100, 100), "light": (160, 160, 160)}
SIDE = 16
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def pictures(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """`count` pictures (n, 16, 16, 3) of 8 bits and their classes, as many of each."""
    rng = np.random.default_rng(seed)
    truths = np.arange(count) % len(NAMES)
    found = rng.normal(128, 20, (count, SIDE, SIDE, 3)) + rng.normal(0, 12, (count, 1, 1, 3))
    y, x = np.mgrid[:SIDE, :SIDE]
    for picture, truth in zip(found, truths, strict=True):
        colour, shape = NAMES[truth].split()
        cy, cx, r = *rng.uniform(6, 10, 2), rng.uniform(3, 6)
        apart = np.hypot(y - cy, x - cx) if shape == "disc" else np.maximum(abs(y - cy), abs(x - cx)) * 1.15
        inside = apart < r
        picture[inside] = rng.normal(_COLOURS[colour], 30, (inside.sum(), 3))
    return np.clip(found, 0, 255).astype(np.uint8), truths


def write(folder: Path, per_class: int, seed: int = 1, names: tuple[str, ...] = NAMES) -> Path:
    """A folder with a sub-folder for each class."""
    found, truths = pictures(per_class * len(names), seed)
    for number, (picture, truth) in enumerate(zip(found, truths, strict=True)):
        (folder / names[truth]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / names[truth] / f"{number}.png")
    return folder


def fed(eight: np.ndarray, how: str) -> np.ndarray:
    """Written out by hand, so that nothing of cnnlens decides what is right."""
    values = eight.astype(np.float32)
    if how == "-1..1 BGR":
        return values[..., ::-1] / 127.5 - 1
    if how == "caffe":
        return values[..., ::-1] - np.asarray([103.939, 116.779, 123.68], np.float32)
    if how == "unit":
        return values / 255
    if how == "imagenet":
        mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
        return ((values / 255 - mean) / std).astype(np.float32)
    raise ValueError(how)


@functools.cache
def torch_net(how: str) -> Any:
    """A small net trained on pictures that were prepared as `how` says; the same one when asked again."""
    import torch
    from torch import nn

    eight, truths = pictures(900, seed=0)
    x = torch.from_numpy(np.moveaxis(fed(eight, how), -1, 1).copy())
    t = torch.from_numpy(truths)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so small a net is slower on two
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(3, 12, 5, stride=2), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 16, 3), nn.ReLU(),
            nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.1), nn.Linear(64, len(NAMES)),
        )  # fmt: skip
        optimiser = torch.optim.Adam(net.parameters(), 5e-3)
        for _ in range(150):
            some = torch.randint(0, len(x), (48,))
            loss = nn.functional.cross_entropy(net(x[some]), t[some])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    torch.set_num_threads(threads)
    return net.eval()


def keras_net(how: str) -> Any:
    """The like in Keras, on whatever engine it runs; a softmax ends it."""
    import keras

    keras.utils.set_random_seed(0)
    eight, truths = pictures(900, seed=0)
    layers = keras.layers
    net = keras.Sequential([
        keras.Input((SIDE, SIDE, 3)),
        layers.Conv2D(12, 5, strides=2), layers.BatchNormalization(momentum=0.9), layers.ReLU(),
        layers.Conv2D(16, 3, activation="relu"), layers.AveragePooling2D(2), layers.Flatten(),
        layers.Dense(len(NAMES), activation="softmax"),
    ])  # fmt: skip
    net.compile(keras.optimizers.Adam(5e-3), "sparse_categorical_crossentropy")
    net.fit(fed(eight, how).copy(), truths, batch_size=48, epochs=8, verbose=0)
    return net
