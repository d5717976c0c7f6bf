"""Honest checkpoints of every kind by their real writers: `python honest_build.py torch|keras FOLDER`.

A process for each framework: the compilers that come with them do not always bear each other.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path
from typing import Any


def build_torch(folder: Path) -> None:
    """A small network, saved in the ways in which people save them."""
    import safetensors.torch
    import torch
    from torch import nn

    torch.manual_seed(3)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)
    ).eval()
    weights = net.state_dict()
    torch.save(weights, folder / "plain.pt")
    torch.save(weights, folder / "legacy.pth", _use_new_zipfile_serialization=False)
    optimiser = torch.optim.Adam(net.parameters())
    net(torch.zeros(2, 3, 8, 8)).sum().backward()
    optimiser.step()
    wrapped: dict[str, Any] = {
        "state_dict": {f"module.{k}": v for k, v in weights.items()}, "optimizer": optimiser.state_dict(),
        "epoch": 12, "best_acc": 0.75, "arch": "small", "args": argparse.Namespace(lr=0.1, data="/data"),
        "note": "x" * 10_000, "steering": "\x1b[31mred\u202e",
    }  # fmt: skip
    torch.save(wrapped, folder / "wrapped.ckpt")
    torch.save(wrapped, folder / "wrapped_legacy.pth.tar", _use_new_zipfile_serialization=False)
    rare = {"w": nn.Parameter(torch.ones(2, 3, dtype=torch.bfloat16)), "u": torch.ones(3, dtype=torch.uint16)}
    torch.save(rare, folder / "parameters.pt")
    torch.save(net, folder / "whole.pt")
    safetensors.torch.save_file(weights, folder / "plain.safetensors", metadata={"format": "pt", "by": "me"})
    torch.jit.script(net).save(str(folder / "program.pt"))
    torch.export.save(torch.export.export(net, (torch.zeros(1, 3, 8, 8),)), folder / "program.pt2")


def build_keras(folder: Path) -> None:
    """A small network with a normalisation, in the three kinds of file that Keras 3 writes."""
    import keras

    layers = [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization(),
              keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(5, activation="softmax")]  # fmt: skip
    net = keras.Sequential(layers, name="small")
    net.compile("adam", "categorical_crossentropy")
    net.save(folder / "model.keras")
    net.save(folder / "model.h5")
    net.save_weights(folder / "model.weights.h5")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    {"torch": build_torch, "keras": build_keras}[sys.argv[1]](Path(sys.argv[2]))
