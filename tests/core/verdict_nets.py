"""Small PyTorch networks (3×16×16, four classes), one for each row of the table of verdicts; weights are drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


def conv(channels: int, out: int, act: Any = nn.ReLU) -> list[Any]:
    return [nn.Conv2d(channels, out, 3, padding=1), act()]


def pooled(act: Any = nn.ReLU, *between: Any) -> Any:
    """conv → act → max pool → conv → act (4) → global average → dense (7)."""
    return nn.Sequential(
        *conv(3, 8, act), *between, nn.MaxPool2d(2), *conv(8, 12, act),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 4),
    )  # fmt: skip


def flat() -> Any:
    return nn.Sequential(*conv(3, 8), nn.MaxPool2d(2), *conv(8, 12), nn.Flatten(), nn.Linear(12 * 64, 4))


def points() -> Any:
    return nn.Sequential(
        *conv(3, 8), nn.MaxPool2d(4), nn.Conv2d(8, 12, 4), nn.ReLU(), nn.Flatten(), nn.Linear(12, 4)
    )


def few() -> Any:
    stem = nn.Sequential(*conv(3, 8), nn.MaxPool2d(8))
    return nn.Sequential(stem, *conv(8, 12), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 4))


def untrained() -> Any:
    """Batch norms as they begin."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 12, 3), nn.BatchNorm2d(12), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 4),
    )  # fmt: skip


def places() -> Any:
    return nn.Sequential(
        *conv(3, 8), nn.MaxPool2d(2), *conv(8, 12), nn.Conv2d(12, 4, 1), nn.Upsample(scale_factor=2)
    )


class Held(nn.Module):
    """The plain network, held by one whose forward does more."""

    def __init__(self) -> None:
        super().__init__()
        self.body = pooled()

    def forward(self, x: Any) -> Any:
        return self.body(x)


class Shares(Held):
    """Probabilities by a formula that no layer is."""

    def forward(self, x: Any) -> Any:
        y = torch.exp(self.body(x))
        return y / y.sum(1, keepdim=True)


class Detached(Held):
    """A body that was never meant to train."""

    def forward(self, x: Any) -> Any:
        return self.body[7](self.body[:7](x).detach())


class Stem(Held):
    """Its first layers alone were never meant to train."""

    def forward(self, x: Any) -> Any:
        return self.body[3:](self.body[:3](x).detach())


class Writes(Held):
    """Scales the channels in place, by views that autograd refuses."""

    def forward(self, x: Any) -> Any:
        for channel in x.unbind(1):
            channel.mul_(0.5)
        return self.body(x)


class Untaped(Held):
    """Writes into an array that it keeps for that, which autograd forbids to be asked for gradients."""

    def forward(self, x: Any) -> Any:
        y = self.body(x)
        kept = torch.empty_like(y).detach()
        with torch.no_grad():
            torch.mul(y, 2, out=kept)
        return y + kept - kept


class Gate(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze, self.excite = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)

    def forward(self, x: Any) -> Any:
        seen = F.relu(self.squeeze(F.adaptive_avg_pool2d(x, 1)))
        return x * torch.sigmoid(self.excite(seen))


class Noise(nn.Module):
    """Adds noise, in evaluation too."""

    def forward(self, x: Any) -> Any:
        return x + 0.2 * torch.randn_like(x)


class Block(nn.Module):
    """A block of a transformer, norms first."""

    def __init__(self, wide: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(wide), nn.LayerNorm(wide)
        self.attention = nn.MultiheadAttention(wide, 2, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(wide, 32), nn.GELU(), nn.Linear(32, wide))

    def forward(self, x: Any) -> Any:
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    """Sixteen patches of 4×4 pixels and a class token, two blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, 4)
        self.token, self.place = (nn.Parameter(torch.randn(1, n, 16) * 0.3) for n in (1, 17))
        self.blocks = nn.ModuleList(Block(16) for _ in range(2))
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 4)

    def forward(self, x: Any) -> Any:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.place
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


class Quantised(nn.Module):
    """A dense head whose weights are eight bits."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = pooled()[:7], nn.Linear(12, 4)

    def forward(self, x: Any) -> Any:
        return self.head(self.body(x))


def quantised() -> Any:
    import warnings

    net = Quantised().eval()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # torch moves its quantisation elsewhere; files made by this one remain
        return torch.ao.quantization.quantize_dynamic(net, {nn.Linear})


NETS: dict[str, Callable[[], Any]] = {
    "plain": pooled, "flat": flat, "silu": lambda: pooled(nn.SiLU), "tanh": lambda: pooled(nn.Tanh),
    "shares": Shares, "half": lambda: pooled().half(), "trained": pooled, "untrained": untrained,
    "points": points, "few": few, "transformer": Transformer, "detached": Detached, "stem": Stem,
    "writes": Writes, "untaped": Untaped, "quantised": quantised, "gated": lambda: pooled(nn.ReLU, Gate(8)),
    "noisy": lambda: pooled(nn.ReLU, Noise()), "places": places,
}  # fmt: skip


def made(key: str) -> Any:
    """The network with drawn weights, in the mode that its row asks for."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = NETS[key]()
    return net.train() if key == "trained" else net.eval()
