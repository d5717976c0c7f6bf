"""A small network with all that LRP and DeepLIFT must get right, and both of them written out slowly for it.

Six by six pixels of two colours: a convolution with batch norm, a grouped one, a ReLU that works in place and is
called three times, a sum, a concatenation, a maximum over windows that overlap, a gate by a sigmoid, a global mean, a
dense layer. Every layer is a dense matrix here, found by feeding it one unit at a time, and every neuron is walked
by a loop of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

SIDE, SPEC = 6, {"size": 6, "mean": (0.4, 0.5), "std": (0.3, 0.2), "channels": 2}
Values = np.ndarray


class Small(nn.Module):
    """What is described above."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.conv3 = nn.Conv2d(4, 2, 1)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(3, stride=1)
        self.gate = nn.Linear(6, 6)
        self.fc = nn.Linear(6, 3)

    def forward(self, x: Any) -> Any:
        a = self.relu(self.bn1(self.conv1(x)))
        b = self.conv2(a)
        b += a
        b = self.relu(b)
        c = self.relu(self.conv3(b))
        d = self.pool(torch.cat([b, c], 1))
        e = d * torch.sigmoid(self.gate(d.mean((2, 3))))[..., None, None]
        return self.fc(e.mean((2, 3)))


def small(seed: int = 0) -> Small:
    """Drawn in double precision, its batch norm with statistics of its own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = Small().double()
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.normal_(std=0.5)
            net.bn1.running_mean.normal_()
            net.bn1.running_var.uniform_(0.5, 2.0)
    return net.eval()


class Affine:
    """A layer as y = W·x + b over flat values."""

    def __init__(self, layer: Any, shape: tuple[int, ...]) -> None:
        size = int(np.prod(shape))
        with torch.no_grad():
            self.bias: Values = layer(torch.zeros(1, *shape).double()).numpy().ravel()
            units = torch.eye(size).double().reshape(size, *shape)
            rows = [layer(unit[None]).numpy().ravel() - self.bias for unit in units]
        self.weights: Values = np.stack(rows, 1)
        self.weights[np.abs(self.weights) < 1e-12] = 0

    def __call__(self, x: Values) -> Values:
        return self.weights @ x + self.bias


class Twin:
    """The network on one picture, flat array by flat array."""

    def __init__(self, net: Small, fed: Values) -> None:
        self.a1 = Affine(lambda x: net.bn1(net.conv1(x)), (2, 6, 6))
        self.a2, self.a3 = Affine(net.conv2, (4, 6, 6)), Affine(net.conv3, (4, 6, 6))
        self.gate, self.fc = Affine(net.gate, (6,)), Affine(net.fc, (6,))
        self.x = fed.ravel()
        self.z1 = self.a1(self.x)
        self.a = np.maximum(self.z1, 0)
        self.z2 = self.a2(self.a)
        self.sum = self.z2 + self.a
        self.b = np.maximum(self.sum, 0)
        self.z3 = self.a3(self.b)
        self.c = np.maximum(self.z3, 0)
        self.both = np.concatenate([self.b, self.c])
        maps = self.both.reshape(6, 6, 6)
        self.at = [  # of each window of each map: where its maximum is, in `both`
            ch * 36 + max(((y + i) * 6 + x + j for i in range(3) for j in range(3)), key=lambda k: maps[ch].flat[k])
            for ch in range(6) for y in range(4) for x in range(4)
        ]  # fmt: skip
        self.d = self.both[self.at]
        self.means = self.d.reshape(6, 16).mean(1)
        self.zg = self.gate(self.means)
        self.g = 1 / (1 + np.exp(-self.zg))
        self.e = (self.d.reshape(6, 16) * self.g[:, None]).ravel()
        self.m = self.e.reshape(6, 16).mean(1)
        self.scores = self.fc(self.m)
