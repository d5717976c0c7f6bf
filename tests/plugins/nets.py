"""Three small PyTorch networks for tests of explanations: 32×32×3, five classes, the same weights every time.

`plain` ends in flatten → dense, `residual` (its one ReLU works in place and is used throughout) and `depthwise`
(inverted residuals, ReLU6) in a global average → dense. Their weights are drawn, not trained; the statistics of
their batch norms are those of a batch of noise, so that nothing dies and nothing explodes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from needs import need

import cnnlens

SIDE, CLASSES = 32, 5
NAMES = ("heron", "kettle", "lynx", "maple", "tram")
SPEC = {"size": SIDE, "mean": (0.45, 0.5, 0.4), "std": (0.25, 0.2, 0.3)}


def plain() -> Any:
    """conv → relu → max pool, three times; flatten → dense → relu → dense. Biases, no batch norm."""
    nn = need("torch").nn
    return _drawn(
        lambda: nn.Sequential(
            *_convolved(nn, 3, 8), nn.MaxPool2d(2), *_convolved(nn, 8, 12), nn.MaxPool2d(2),
            *_convolved(nn, 12, 16), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(16 * 4 * 4, 24), nn.ReLU(), nn.Linear(24, CLASSES),
        ),
        seed=1,
    )  # fmt: skip


def residual() -> Any:
    """A stem and three residual blocks, two of them strided; every ReLU of a block is one module, in place."""
    torch = need("torch")
    nn = torch.nn

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, channels: int, out: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(out)
            self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(out)
            self.relu = nn.ReLU(inplace=True)
            same = stride == 1 and channels == out
            down = (nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))
            self.downsample = nn.Identity() if same else nn.Sequential(*down)

        def forward(self, x: Any) -> Any:
            y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
            y += self.downsample(x)
            return self.relu(y)

    class Residual(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(3, 8, 3, 1, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(8)
            self.relu = nn.ReLU(inplace=True)
            self.layer1 = Block(8, 8, 1)
            self.layer2 = Block(8, 12, 2)
            self.layer3 = Block(12, 16, 2)
            self.avgpool = nn.AdaptiveAvgPool2d(1)
            self.fc = nn.Linear(16, CLASSES)

        def forward(self, x: Any) -> Any:
            x = self.relu(self.bn1(self.conv1(x)))
            x = self.layer3(self.layer2(self.layer1(x)))
            return self.fc(torch.flatten(self.avgpool(x), 1))

    return _drawn(Residual, seed=2)


def depthwise() -> Any:
    """A strided stem and three inverted residual blocks with ReLU6, one of them with a shortcut."""
    torch = need("torch")
    nn = torch.nn

    def activated(channels: int, out: int, kernel: int, stride: int, groups: int) -> Any:
        conv = nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(out), nn.ReLU6(inplace=True))

    class Inverted(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, channels: int, out: int, stride: int) -> None:
            super().__init__()
            wide = channels * 2
            self.expand = activated(channels, wide, 1, 1, 1)
            self.depthwise = activated(wide, wide, 3, stride, wide)
            self.project = nn.Sequential(nn.Conv2d(wide, out, 1, bias=False), nn.BatchNorm2d(out))
            self.shortcut = stride == 1 and channels == out

        def forward(self, x: Any) -> Any:
            y = self.project(self.depthwise(self.expand(x)))
            return x + y if self.shortcut else y

    class Depthwise(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.stem = activated(3, 8, 3, 2, 1)
            self.blocks = nn.Sequential(Inverted(8, 8, 1), Inverted(8, 12, 2), Inverted(12, 16, 1))
            self.head = activated(16, 20, 1, 1, 1)
            self.classifier = nn.Linear(20, CLASSES)

        def forward(self, x: Any) -> Any:
            return self.classifier(self.head(self.blocks(self.stem(x))).mean((2, 3)))

    return _drawn(Depthwise, seed=3)


NETS: dict[str, Callable[[], Any]] = {"plain": plain, "residual": residual, "depthwise": depthwise}


def wrapped(name: str) -> cnnlens.Model:
    """One of the networks as a Model."""
    return cnnlens.wrap(NETS[name](), preprocess=SPEC, labels=NAMES, name=name)


def photo(seed: int = 0) -> Any:
    """A smooth random picture (32, 32, 3) in [0, 1]: blobs of colour, not noise."""
    coarse = np.random.default_rng(seed).random((6, 6, 3))
    at = np.linspace(0, 5, SIDE)
    low, part = np.minimum(at.astype(int), 4), at - np.minimum(at.astype(int), 4)
    rows = coarse[low] * (1 - part)[:, None, None] + coarse[low + 1] * part[:, None, None]
    both = rows[:, low] * (1 - part)[None, :, None] + rows[:, low + 1] * part[None, :, None]
    return both.astype(np.float32)


def _convolved(nn: Any, channels: int, out: int) -> tuple[Any, Any]:
    return nn.Conv2d(channels, out, 3, 1, 1), nn.ReLU()


def _drawn(build: Callable[[], Any], seed: int) -> Any:
    """The network with drawn weights, in evaluation mode; torch's random numbers go on as if nothing were."""
    torch = need("torch")
    nn = torch.nn
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        net = build().train()
        for module in net.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight)
                if module.bias is not None:
                    nn.init.normal_(module.bias, std=0.2)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.6, 1.4)
                nn.init.normal_(module.bias, std=0.3)
                module.momentum = 1.0  # the statistics of the one batch that follows
        net(torch.randn(64, 3, SIDE, SIDE))
        return net.eval()
