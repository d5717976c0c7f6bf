"""The receptive field of the theory is the set of pixels with a gradient: held on hundreds of nets that are drawn.

Weights, biases and pictures are positive and poolings are means, so that no way from a pixel to a unit is lost or
cancelled. Where dilation, strides beyond the kernel or branches that do not lie within one another leave holes, the box
is compared with the one around all pixels that have a gradient, else with the very set of them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from engines import run_on
from needs import need

import cnnlens

CASES = range(300)  #: nets, each asked at several units
MAXIMA = range(60)
UNITS = 6
CHANNELS = 4


@dataclass
class Drawn:
    """A net that is drawn module by module; `whole` says that no field has holes."""

    rng: np.random.Generator
    sides: list[int]
    channels: int = 3
    whole: bool = True
    modules: list[Any] = field(default_factory=list)

    def any_of(self, *values: Any) -> Any:
        return values[int(self.rng.integers(len(values)))]

    def two(self, *values: Any) -> tuple[Any, Any]:
        return self.any_of(*values), self.any_of(*values)

    def put(self, module: Any, channels: int | None = None) -> bool:
        """Add a module if what it hands on still has places, no fewer than two along each axis."""
        torch = need("torch")
        try:
            out = module(torch.zeros(1, self.channels, *self.sides)).shape
        except RuntimeError:  # a kernel larger than the map, a crop of all of it
            return False
        if min(out[2:]) < 2 or max(out[2:]) > 40:
            return False
        self.modules.append(module)
        self.channels, self.sides = out[1], list(out[2:])
        return True

    def convolution(self) -> None:
        nn = need("torch").nn
        kernel, dilation, stride = self.two(1, 2, 3, 4, 5), self.two(1, 1, 1, 2, 3), self.two(1, 1, 1, 2, 3)
        padding = self.any_of("same", "valid", self.two(0, 1, 2), self.two(0, 1, 3))
        stride = (1, 1) if padding == "same" else stride
        groups = 1 if self.channels == 3 else self.any_of(1, 2, CHANNELS)
        made = nn.Conv2d(self.channels, CHANNELS, kernel, stride, padding, dilation, groups)
        if self.put(made):
            gaps = any(k > 1 and d > 1 for k, d in zip(kernel, dilation, strict=True))
            self.whole &= not gaps and all(s <= k for s, k in zip(stride, kernel, strict=True))

    def pad_or_crop(self) -> None:
        nn = need("torch").nn
        self.put(nn.ZeroPad2d(tuple(int(n) for n in self.rng.integers(-1, 4, 4))))

    def mean(self) -> None:
        nn = need("torch").nn
        kernel, stride = self.two(2, 3, 4), self.two(1, 2, 3)
        padding = tuple(self.any_of(0, k // 2) for k in kernel)
        counted, up = bool(self.any_of(0, 1)), bool(self.any_of(0, 1))
        if self.put(nn.AvgPool2d(kernel, stride, padding, ceil_mode=up, count_include_pad=counted)):
            self.whole &= all(s <= k for s, k in zip(stride, kernel, strict=True))

    def maximum(self) -> None:
        nn = need("torch").nn
        kernel, dilation = self.two(2, 3), self.any_of(1, 1, 2)
        if self.put(nn.MaxPool2d(kernel, self.two(1, 2), 1, dilation, ceil_mode=bool(self.any_of(0, 1)))):
            self.whole = False

    def adaptive(self) -> None:
        nn = need("torch").nn
        parts = [self.any_of(*(n for n in (2, 3, 4, 5, side) if side % n == 0)) for side in self.sides]
        self.put(nn.AdaptiveAvgPool2d(tuple(parts)))

    def residual(self) -> None:
        """Two ways of one stride, added or put side by side."""
        nn = need("torch").nn
        stride = self.any_of(1, 1, 2)

        def way(kernel: tuple[int, int], dilation: int) -> Any:
            around = [(k - 1) * dilation for k in kernel]
            before = [self.any_of(n // 2, n - n // 2) if stride == 1 else n // 2 for n in around]
            pads = (before[1], around[1] - before[1], before[0], around[0] - before[0])
            groups = self.any_of(1, self.channels)
            made = nn.Conv2d(self.channels, self.channels, kernel, stride, 0, dilation, groups)
            return nn.Sequential(nn.ZeroPad2d(pads), made, nn.ReLU())

        dilation = self.any_of(1, 1, 2)
        short = nn.Identity() if stride == 1 and self.any_of(0, 1) else way(self.two(1, 2, 3), 1)
        if self.put(_joined(way(self.two(1, 3, 4, 5), dilation), short, self.any_of("add", "concat"))):
            self.whole &= dilation == 1 and isinstance(short, nn.Identity)

    def enlarged(self) -> None:
        nn = need("torch").nn
        kernel = self.any_of(2, 3, 4)
        self.put(self.any_of(
            nn.Upsample(scale_factor=2, mode="nearest"), nn.Upsample(scale_factor=2, mode="bilinear"),
            nn.ConvTranspose2d(self.channels, CHANNELS, kernel, 2, self.any_of(0, 1)),
        ))  # fmt: skip
        if isinstance(self.modules[-1], nn.ConvTranspose2d) and self.modules[-1].kernel_size[0] == 3:
            self.whole = False  # every other place has one tap, those between two

    def placewise(self) -> None:
        nn = need("torch").nn
        self.put(self.any_of(nn.ReLU(inplace=True), nn.BatchNorm2d(self.channels), nn.Softplus(), nn.Dropout()))


def _joined(way: Any, short: Any, join: str) -> Any:
    torch = need("torch")

    class Joined(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.way, self.short = way, short

        def forward(self, x: Any) -> Any:
            both = self.way(x), self.short(x)
            return both[0] + both[1] if join == "add" else torch.cat(both, 1)

    return Joined()


def drawn(seed: int, *kinds: str) -> tuple[Drawn, Any, cnnlens.Model]:
    """A net of modules of these kinds, as a torch module in double precision and as a Model."""
    torch = need("torch")
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    sides = [int(n) for n in rng.integers(18, 33, 2)]
    net = Drawn(rng, list(sides))
    net.convolution()
    for _ in range(int(rng.integers(2, 6))):
        getattr(net, kinds[int(rng.integers(len(kinds)))])()
    nn = torch.nn
    whole = nn.Sequential(*net.modules, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(net.channels, 2)).eval()
    for name, values in whole.state_dict().items():
        if values.is_floating_point() and "running" not in name:
            values.uniform_(0.2, 1).div_(max(1, values[0].numel()))  # as large as what it is fed, however deep
    return net, whole, cnnlens.wrap(whole, preprocess={"height": sides[0], "width": sides[1]})


def outputs(net: Drawn, whole: Any, x: Any) -> list[Any]:
    """What each of the drawn modules hands on."""
    found = []
    for module in whole[: len(net.modules)]:
        x = module(x)
        found.append(x)
        x = x.clone()  # the next may work in place
    return found


def touched(x: Any, unit: Any) -> Any:
    """The pixels (h, w) that a unit, of a batch of pictures or of one, has a gradient by."""
    (gradient,) = need("torch").autograd.grad(unit.sum(), x, retain_graph=True)
    return gradient.ne(0).any(0).any(0).numpy()


def hull(mask: Any) -> tuple[int, int, int, int] | None:
    places = np.argwhere(mask)
    if not len(places):
        return None
    (y0, x0), (y1, x1) = places.min(0), places.max(0) + 1
    return int(y0), int(x0), int(y1), int(x1)


def places_of(rng: np.random.Generator, shape: Any) -> tuple[int, int]:
    """A place of a map, a corner or a border often."""
    i, j = (int(rng.choice([0, side - 1, *rng.integers(0, side, 3)])) for side in shape[2:])
    return i, j


ALL = ("convolution", "pad_or_crop", "mean", "adaptive", "residual", "enlarged", "placewise", "convolution")


def test_fields_are_the_pixels_with_a_gradient() -> None:
    torch = need("torch")
    units = exact = empty = without = 0
    for seed in CASES:
        net, whole, model = drawn(seed, *ALL)
        fields = cnnlens.receptive_fields(model)
        whole.double()
        x = torch.from_numpy(net.rng.uniform(0.2, 1, (1, 3, model.input.height, model.input.width)))
        maps = outputs(net, whole, x.requires_grad_())
        for _ in range(UNITS):
            n = int(net.rng.integers(len(maps)))
            at = fields[str(n)]
            if at is None:
                without += 1
                continue
            i, j = places_of(net.rng, maps[n].shape)
            mask = touched(x, maps[n][0, :, i, j])  # of all channels: each may read one way or one group alone
            y0, x0, y1, x1 = at.box(i, j)
            wanted = None if y0 == y1 or x0 == x1 else (y0, x0, y1, x1)
            assert hull(mask) == wanted, (seed, n, i, j, net.modules[: n + 1])
            if net.whole and wanted:
                assert mask[y0:y1, x0:x1].all(), (seed, n, i, j, net.modules[: n + 1])
                exact += 1
            units, empty = units + 1, empty + (wanted is None)
    assert units > 1200 and exact > 200 and without < units / 10, (units, exact, empty, without)
