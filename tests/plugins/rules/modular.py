"""The networks of these tests as modules that other libraries can hook.

zennit and Captum see modules alone, each called once and without children: what a network does in functions
(a sum, zeros about a picture, a mean), in a module that it calls twice, or in ReLU6 is rebuilt here, with the same
weights, from modules of their own.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from zennit.layer import Sum

Made = Callable[[], nn.Module]


class Cut(nn.ReLU):
    """ReLU6 that is an nn.ReLU: Captum clips gradients there alone."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.relu6(x)


class Skip(nn.Module):
    """A sum of two ways as a module that zennit has a rule for; as a function it would double relevance."""

    def __init__(self, body: nn.Module, short: nn.Module | None = None) -> None:
        super().__init__()
        self.body, self.short, self.sum = body, short or nn.Identity(), Sum(-1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.sum(torch.stack([self.body(x), self.short(x)], -1))


class Padded(nn.Conv2d):
    """A convolution with its own zeros about the picture, on some sides more than on others."""

    pads: tuple[int, ...] = (0, 0, 0, 0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(nn.functional.pad(x, self.pads))


def lite0(module: Any, act: Made) -> nn.Module:
    """EfficientNet-Lite0: its convolutions hold a padding module, its blocks call one ReLU6 twice and add."""
    body: list[nn.Module] = [_padded(module._conv_stem), _own(module._bn0), act()]
    for block in module._blocks:
        stages: list[nn.Module] = []
        if block._block_args.expand_ratio != 1:
            stages += [_padded(block._expand_conv), _own(block._bn0), act()]
        stages += [_padded(block._depthwise_conv), _own(block._bn1), act()]
        stages += [_padded(block._project_conv), _own(block._bn2)]
        whole = nn.Sequential(*stages)
        told = block._block_args
        skips = told.id_skip and told.stride == 1 and told.input_filters == told.output_filters
        body.append(Skip(whole) if skips else whole)
    head = [_padded(module._conv_head), _own(module._bn1), act(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*body, *head, _own(module._fc)).eval()


def depthwise(module: Any, act: Made) -> nn.Module:
    """`nets.depthwise` without functions."""
    body: list[nn.Module] = list(_activated(module.stem, act))
    for block in module.blocks:
        parts = (*_activated(block.expand, act), *_activated(block.depthwise, act), *map(_own, block.project))
        whole = nn.Sequential(*parts)
        body.append(Skip(whole) if block.shortcut else whole)
    head = (*_activated(module.head, act), nn.AdaptiveAvgPool2d(1), nn.Flatten(), _own(module.classifier))
    return nn.Sequential(*body, *head).eval()


def residual(module: Any, act: Made) -> nn.Module:
    """`nets.residual` without functions, each of its ReLUs one of its own."""
    body: list[nn.Module] = [_own(module.conv1), _own(module.bn1), act()]
    for block in (module.layer1, module.layer2, module.layer3):
        way = (_own(block.conv1), _own(block.bn1), act(), _own(block.conv2), _own(block.bn2))
        body += [Skip(nn.Sequential(*way), _own(block.downsample)), act()]
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), _own(module.fc)).eval()


def plain(module: Any, act: Made) -> nn.Module:
    """`nets.plain`, whose modules are all its own."""
    return nn.Sequential(*(act() if isinstance(m, nn.ReLU) else _own(m) for m in module)).eval()


MODULAR: dict[str, Callable[[Any, Made], nn.Module]] = {
    "plain": plain, "residual": residual, "depthwise": depthwise, "lite0": lite0,
}  # fmt: skip


def modular(name: str, module: Any, act: Made | None = None) -> nn.Module:
    """The network rebuilt, with activations of `act` or such as it has."""
    usual: Made = nn.ReLU6 if name in ("depthwise", "lite0") else nn.ReLU
    return MODULAR[name](module, act or usual)


def _own(module: Any) -> Any:
    return copy.deepcopy(module)


def _activated(stage: Any, act: Made) -> Iterator[nn.Module]:
    conv, norm, _ = stage
    yield from (_own(conv), _own(norm), act())


def _padded(conv: Any) -> nn.Module:
    made = Padded(
        conv.in_channels, conv.out_channels, conv.kernel_size, tuple(conv.stride), groups=conv.groups,
        bias=conv.bias is not None,
    )  # fmt: skip
    made.load_state_dict(conv.state_dict())
    made.pads = tuple(getattr(conv.static_padding, "padding", (0, 0, 0, 0)))
    return made
