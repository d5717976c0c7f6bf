"""The receptive field of the theory is the set of pixels with a gradient: held on hundreds of nets that are drawn.

Weights, biases and pictures are positive and poolings are means, so that no way from a pixel to a unit is lost or
cancelled. Where dilation, strides beyond the kernel or branches that do not lie within one another leave holes, the box
is compared with the one around all pixels that have a gradient, else with the very set of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from engines import run_on
from needs import need

import cnnlens

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # which is meant

CASES = range(250)  #: nets, each asked at several units
MAXIMA = range(40)
UNITS = 6
CHANNELS = 4


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """On nets so small several threads wait for each other ten times as long as they work."""
    torch = need("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass
class Drawn:
    """A net that is drawn module by module; `whole` says that no field has holes."""

    rng: np.random.Generator
    sides: list[int]
    channels: int = 3
    whole: bool = True
    modules: list[Any] = field(default_factory=list)
    wholes: list[bool] = field(default_factory=list)  # of each module's output

    def any_of(self, *values: Any) -> Any:
        return values[int(self.rng.integers(len(values)))]

    def two(self, *values: Any) -> tuple[Any, Any]:
        return self.any_of(*values), self.any_of(*values)

    def put(self, module: Any, whole: bool = True) -> bool:
        """Add a module if what it hands on still has places, no fewer than two along each axis."""
        torch = need("torch")
        try:
            out = module(torch.zeros(1, self.channels, *self.sides)).shape
        except RuntimeError:  # a kernel larger than the map, a crop of all of it
            return False
        if min(out[2:]) < 2 or max(out[2:]) > 40:
            return False
        self.modules.append(module)
        self.whole &= whole
        self.wholes.append(self.whole)
        self.channels, self.sides = out[1], list(out[2:])
        return True

    def convolution(self) -> None:
        nn = need("torch").nn
        kernel, dilation, stride = self.two(1, 2, 3, 4, 5), self.two(1, 1, 1, 2, 3), self.two(1, 1, 1, 2, 3)
        padding = self.any_of("same", "valid", self.two(0, 1, 2), self.two(0, 1, 3))
        stride = (1, 1) if padding == "same" else stride
        groups = 1 if self.channels == 3 else self.any_of(1, 2, CHANNELS)
        gaps = any(k > 1 and d > 1 for k, d in zip(kernel, dilation, strict=True)) or _leaps(kernel, stride)
        self.put(nn.Conv2d(self.channels, CHANNELS, kernel, stride, padding, dilation, groups), not gaps)

    def pad_or_crop(self) -> None:
        nn = need("torch").nn
        self.put(nn.ZeroPad2d(tuple(int(n) for n in self.rng.integers(-1, 4, 4))))

    def mean(self) -> None:
        nn = need("torch").nn
        kernel, stride = self.two(2, 3, 4), self.two(1, 2, 3)
        padding = tuple(self.any_of(0, k // 2) for k in kernel)
        counted, up = bool(self.any_of(0, 1)), bool(self.any_of(0, 1))
        made = nn.AvgPool2d(kernel, stride, padding, ceil_mode=up, count_include_pad=counted)
        self.put(made, not _leaps(kernel, stride))

    def maximum(self) -> None:
        nn = need("torch").nn
        kernel, dilation = self.two(2, 3), self.any_of(1, 1, 2)
        self.put(nn.MaxPool2d(kernel, self.two(1, 2), 1, dilation, ceil_mode=bool(self.any_of(0, 1))), False)

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
        nested = dilation == 1 and isinstance(short, nn.Identity)
        self.put(_joined(way(self.two(1, 3, 4, 5), dilation), short, self.any_of("add", "concat")), nested)

    def enlarged(self) -> None:
        nn = need("torch").nn
        kernel = self.any_of(2, 3, 4)
        by_weights = nn.ConvTranspose2d(self.channels, CHANNELS, kernel, 2, self.any_of(0, 1))
        self.put(
            self.any_of(by_weights, nn.Upsample(scale_factor=2), nn.Upsample(scale_factor=2, mode="bilinear"))
        )

    def placewise(self) -> None:
        nn = need("torch").nn
        self.put(
            self.any_of(nn.ReLU(inplace=True), nn.BatchNorm2d(self.channels), nn.Softplus(), nn.Dropout())
        )


def _leaps(kernel: tuple[int, int], stride: tuple[int, int]) -> bool:
    return any(s > k for s, k in zip(stride, kernel, strict=True))


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
    whole = nn.Sequential(
        *net.modules, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(net.channels, 2)
    ).eval()
    for name, values in whole.state_dict().items():
        if values.is_floating_point() and "running" not in name:
            values.uniform_(0.2, 1).div_(
                max(1, values[0].numel())
            )  # as large as what it is fed, however deep
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


def _reads_padding_alone(fields: Any, n: int) -> bool:
    """Whether some place up to the n-th module reads nothing of the picture, along either axis."""
    upto = [one for name, one in fields.items() if one is not None and int(name.split(".")[0]) <= n]
    return any(first == end for one in upto for span in (one.rows, one.columns) for first, end in span.seen)


def test_fields_are_the_pixels_with_a_gradient() -> None:
    torch = need("torch")
    units = exact = empty = loose = without = 0
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
            mask = touched(
                x, maps[n][0, :, i, j]
            )  # of all channels: each may read one way or one group alone
            y0, x0, y1, x1 = at.box(i, j)
            wanted = None if y0 == y1 or x0 == x1 else (y0, x0, y1, x1)
            case = (seed, n, i, j, net.modules[: n + 1])
            units, empty = units + 1, empty + (wanted is None)
            if (
                hull(mask) != wanted
            ):  # one of two ways that are joined sees nothing, and stands in the box of both
                joined = any(type(one).__name__ == "Joined" for one in net.modules[: n + 1])
                assert joined and _reads_padding_alone(fields, n) and _holds(wanted, hull(mask)), case
                loose += 1
            elif net.wholes[n] and wanted:
                assert mask[y0:y1, x0:x1].all(), case
                exact += 1
    assert units > 1200 and exact > 200 and empty > 5, (units, exact, empty)
    assert loose < units / 100 and without < units / 4, (units, loose, without)


def _holds(outer: Any, inner: Any) -> bool:
    return inner is None or bool(
        np.all(np.less_equal(outer[:2], inner[:2]) & np.greater_equal(outer[2:], inner[2:]))
    )


def test_a_way_that_sees_padding_alone_only_makes_the_box_larger() -> None:
    """Row 0 of the second module is padding, and the short way reads nothing else there, one column farther."""
    torch = need("torch")
    nn = torch.nn
    short = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 0)), nn.Conv2d(3, 3, (1, 2)))
    way = nn.Conv2d(3, 3, (5, 1), padding=(2, 0))
    net = nn.Sequential(
        nn.Conv2d(3, 3, 1, padding=(2, 0)), _joined(way, short, "add"), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(3, 2),
    ).eval()  # fmt: skip
    for values in net.parameters():
        values.data.uniform_(0.2, 1)
    field_ = cnnlens.receptive_fields(cnnlens.wrap(net, preprocess={"size": 8}))["1"]
    assert field_ is not None
    x = torch.rand(1, 3, 8, 8).add_(0.1).requires_grad_()
    told = [(field_.box(i, 3), hull(touched(x, net[:2](x)[0, :, i, 3]))) for i in (0, 2)]
    assert told == [((0, 3, 1, 5), (0, 3, 1, 4)), ((0, 3, 3, 5), (0, 3, 3, 5))]


def test_of_maxima_it_is_what_some_picture_lets_through() -> None:
    """One picture shows the winners alone; over many every pixel of the box's sides is one for some picture."""
    torch = need("torch")
    units = tight = 0
    for seed in MAXIMA:
        net, whole, model = drawn(seed, "maximum", "convolution", "pad_or_crop", "placewise", "maximum")
        fields = cnnlens.receptive_fields(model)
        whole.double()
        x = torch.from_numpy(net.rng.uniform(0.01, 1, (64, 3, model.input.height, model.input.width)))
        maps = outputs(net, whole, x.requires_grad_())
        for _ in range(3):
            n = int(net.rng.integers(len(maps)))
            at = fields[str(n)]
            if at is None:
                continue
            i, j = places_of(net.rng, maps[n].shape)
            found = hull(touched(x, maps[n][:, :, i, j]))
            y0, x0, y1, x1 = at.box(i, j)
            wanted = None if y0 == y1 or x0 == x1 else (y0, x0, y1, x1)
            assert _holds(wanted, found), (seed, n, i, j, net.modules[: n + 1])
            units, tight = units + 1, tight + (found == wanted)
    assert units > 90 and tight > 0.9 * units, (units, tight)


KERAS = """
import json, sys
sys.path[:0] = ["tests", "tests/plugins"]
import keras, numpy as np, cnnlens
from keras import layers as kl
from receptive_net import seen_by
keras.utils.set_random_seed(0)
told = []
for seed in range(24):
    rng = np.random.default_rng(seed)
    of = lambda *values: values[int(rng.integers(len(values)))]
    sides = [int(n) for n in rng.integers(18, 33, 2)]
    i = x = keras.Input((*sides, 3))
    for _ in range(int(rng.integers(2, 5))):
        kind = of("conv", "conv", "depthwise", "separable", "mean", "pad", "crop", "both")
        two = of(2, 3, 4), of(1, 3, 5)
        padding, stride = of("same", "valid"), of(1, 1, 2)
        shape = x.shape
        if min(shape[1:3]) < 6:
            break
        if kind == "conv":
            x = kl.Conv2D(4, two, stride, padding, dilation_rate=1 if stride > 1 else of(1, 2), activation="relu")(x)
        elif kind == "depthwise":
            x = kl.DepthwiseConv2D(3, stride, padding)(x)
        elif kind == "separable":
            x = kl.SeparableConv2D(4, 3, stride, padding)(x)
        elif kind == "mean":
            x = kl.AveragePooling2D(of(2, 3), stride, padding)(x)
        elif kind == "pad":
            x = kl.ZeroPadding2D(((of(0, 1, 2), of(0, 1)), (of(0, 1), of(0, 3))))(x)
        elif kind == "crop":
            x = kl.Cropping2D(((of(0, 1), of(0, 1)), (of(0, 1), of(0, 1))))(x)
        else:
            ways = [kl.Conv2D(4, side, stride, "same")(x) for side in (of(1, 3), of(2, 5))]
            x = of(kl.Add(), kl.Concatenate())(ways)
    net = keras.Model(i, kl.Dense(2)(kl.GlobalAveragePooling2D()(x)))
    for values in net.weights:
        values.assign(rng.uniform(0.2, 1, values.shape) / max(1, np.prod(values.shape[:-1])))
    model = cnnlens.wrap(net, preprocess={"height": sides[0], "width": sides[1]})
    fields = cnnlens.receptive_fields(model)
    names = [name for name, field in fields.items() if field and "concat" not in name and "input" not in name]
    for _ in range(4):
        name = of(*names)
        height, width = model.layer(name).shape[:2]
        at = of(0, height - 1, height // 2), of(0, width - 1, width // 2)
        told.append([seed, name, at, fields[name].box(*at), seen_by(model, name, *at)])
print(json.dumps(told))
"""


def test_fields_of_drawn_nets_in_keras() -> None:
    done = run_on("torch", "-c", KERAS)
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert len(told) == 96
    for seed, name, at, (y0, x0, y1, x1), found in told:
        assert found == (None if y0 == y1 or x0 == x1 else [y0, x0, y1, x1]), (seed, name, at)
