"""Architecture: published counts, counts by hand, boxes that hold every call once, and what a click opens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from needs import need

import cnnlens
from cnnlens import Bars, CallInfo, Diagram, Note, Table, look, multiply_adds
from cnnlens.testing import check_visualiser, tiny_model
from cnnlens_plugins.architecture import architecture
from cnnlens_plugins.architecture.figures import at_once
from cnnlens_plugins.architecture.folding import boxes_of, nested
from cnnlens_plugins.architecture.words import label_of, short_name, size_of

torch = need("torch")
nn = torch.nn


def calls_of(model: cnnlens.Model) -> list[CallInfo]:
    """The calls of a pass, without holding the tape to the network's scores."""
    return [call.info for call in model.tape(model.input.grey()).calls]


def counted(calls: Sequence[CallInfo]) -> int:
    return sum(multiply_adds(one, calls) or 0 for one in calls)


#: Networks with strided, grouped, depthwise and dense layers, branches, joins; and how they are made fast.
PUBLISHED = {
    "resnet50": {}, "mobilenet_v2": {}, "densenet121": {}, "vgg16": {"init_weights": False},
    "googlenet": {"init_weights": False}, "resnext50_32x4d": {}, "shufflenet_v2_x1_0": {}, "efficientnet_b0": {},
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_counts(name: str) -> None:
    """torchvision publishes, for its weights, parameters and multiply-adds in units of 10⁹ to three places."""
    models = need("torchvision").models
    (told, *_) = models.get_model_weights(name)
    native = models.get_model(name, weights=None, **PUBLISHED[name]).eval()
    model = cnnlens.wrap(native, preprocess="imagenet")
    assert counted(calls_of(model)) / 1e9 == pytest.approx(told.meta["_ops"], abs=5e-4)
    if name != "googlenet":  # its auxiliary heads are among those that are published
        every = sum(one.parameters for one in model.layers if one.kind != "block")
        assert every == told.meta["num_params"]


def wrapped(*parts: Any, side: int = 12) -> cnnlens.Model:
    return cnnlens.wrap(nn.Sequential(*parts).eval(), preprocess={"size": side})


def test_counts_by_hand() -> None:
    model = wrapped(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),  # 12×12 → 6×6
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.Conv2d(8, 12, 3, padding=2, dilation=2, groups=4),
        nn.ConvTranspose2d(12, 6, 2, stride=2, groups=2),  # → 12×12
        nn.BatchNorm2d(6),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 5),
    )
    calls = calls_of(model)
    found = [
        multiply_adds(one, calls)
        for one in calls
        if one.kind in ("convolution", "transposed-convolution", "dense")
    ]
    assert found == [36 * 27 * 8, 36 * 9 * 8, 36 * 9 * 2 * 12, 36 * 4 * 12 * 3, 30]
    others = [one for one in calls if multiply_adds(one, calls) == 0]
    assert {one.kind for one in others} >= {"input", "batch-norm", "pooling"}


def test_products_that_shapes_do_not_tell() -> None:
    maps = CallInfo(0, "input", "input", "input", (), (4, 4, 3))
    for kind in ("attention", "other"):
        assert multiply_adds(CallInfo(1, "x", kind, "matmul", (0,), (4, 4, 3)), (maps,)) is None


class Residual(nn.Module):  # type: ignore[misc, name-defined]
    """A padded, pre-activated block with a skip, and a squeeze-and-excite gate."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.norm, self.relu = nn.BatchNorm2d(8), nn.ReLU()
        self.pad = nn.ZeroPad2d(1)
        self.conv = nn.Conv2d(8, 8, 3)
        self.after = nn.BatchNorm2d(8)
        self.squeeze = nn.AdaptiveAvgPool2d(1)
        self.excite, self.gate = nn.Conv2d(8, 8, 1), nn.Sigmoid()
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Linear(8 * 36, 4)

    def forward(self, x: Any) -> Any:
        x = self.stem(x)
        y = self.after(self.conv(self.pad(self.relu(self.norm(x)))))
        y = y * self.gate(self.excite(self.squeeze(y)))
        return self.head(self.pool(x + y).flatten(1))


@pytest.fixture
def residual() -> cnnlens.Model:
    return cnnlens.wrap(Residual().eval(), preprocess={"size": 12})


def test_boxes_hold_every_call_once_behind_what_they_read(residual: cnnlens.Model) -> None:
    for fold in (True, False):
        boxes = boxes_of(residual.calls, fold)
        assert sorted(one.index for box in boxes for one in box.calls) == [
            one.index for one in residual.calls
        ]
        assert all(before < place for place, box in enumerate(boxes) for before in box.inputs)
        assert all(len(box.calls) == 1 for box in boxes) or fold


def test_what_is_folded(residual: cnnlens.Model) -> None:
    boxes = boxes_of(residual.calls)
    assert [label_of(box, residual.calls) for box in boxes] == [
        "Input", "Conv 3×3", "BN · ReLU · Conv 3×3 · BN", "Global average pool", "Conv 1×1 · Sigmoid", "Multiply",
        "Add", "Max pool 2×2 /2", "Dense",
    ]  # fmt: skip
    assert [box.inputs for box in boxes] == [(), (0,), (1,), (2,), (3,), (2, 4), (1, 5), (6,), (7,)]


def test_a_dense_block_reads_what_was_joined_before() -> None:
    maps = [CallInfo(place, f"c{place}", "convolution", "", (), (4, 4, 2)) for place in range(3)]
    two = CallInfo(3, "two", "concat", "", (0, 1), (4, 4, 4))
    three = CallInfo(4, "three", "concat", "", (0, 1, 2), (4, 4, 6))
    other = CallInfo(5, "other", "concat", "", (1, 0, 2), (4, 4, 6))
    high = CallInfo(6, "high", "concat", "", (0, 1, 2), (12, 4, 2))  # along another axis
    inputs = [one.inputs for one in nested([*maps, two, three, other, high])[3:]]
    assert inputs == [(0, 1), (3, 2), (1, 0, 2), (0, 1, 2)]


def test_the_panels(residual: cnnlens.Model) -> None:
    check_visualiser(architecture)
    note, diagram, bars, table = look(residual, None, architecture).panels
    assert isinstance(note, Note) and isinstance(diagram, Diagram)
    assert isinstance(bars, Bars) and isinstance(table, Table)
    every = sum(one.numel() for one in residual.native.parameters())
    assert (
        f"({every:,})".replace(",", "\u2009") in note.text
        and "From squeeze on, places see all of it." in note.text
    )
    columns = {name: [row[i] for row in table.rows] for i, name in enumerate(table.columns)}
    assert sum(columns["parameters"]) == every
    assert sum(columns["multiply-adds (M)"]) == pytest.approx(counted(residual.calls) / 1e6)
    assert sum(columns["of all (%)"]) == pytest.approx(100)
    assert columns["sees"] == ["3×3", "5×5", "all", "all", "all", "all", "all", "all"]
    maps = 12 * 12 * 8 * 4
    assert columns["memory (MB)"][:2] == [maps / 1e6, pytest.approx((4 * maps + 14 * 14 * 8 * 4) / 1e6)]
    assert max(one.part or 0 for one in diagram.nodes) == 1 and diagram.nodes[0].part is None
    opened = [one.opens and (one.opens.visualiser, *one.opens.settings.values()) for one in diagram.nodes]
    assert opened == [
        None, ("convolution", "stem"), ("convolution", "conv"), ("pooling", "squeeze"), ("convolution", "excite"),
        ("feature-maps", "mul"), ("feature-maps", "add"), ("pooling", "pool"), ("dense", "head"),
    ]  # fmt: skip


def test_every_link_opens_what_can_be_made(residual: cnnlens.Model) -> None:
    image = np.random.default_rng(0).random((12, 12, 3), np.float32)
    diagram = look(residual, None, architecture).panels[1]
    assert isinstance(diagram, Diagram)
    for one in diagram.nodes:
        if one.opens is not None:
            assert look(residual, image, one.opens.visualiser, **one.opens.settings).panels


def test_memory_at_once() -> None:
    def call(index: int, kind: str, inputs: tuple[int, ...], shape: tuple[int, ...]) -> CallInfo:
        return CallInfo(index, "", kind, "", inputs, shape)

    calls = [
        call(0, "input", (), (10,)), call(1, "dense", (0,), (20,)), call(2, "reshape", (1,), (4, 5)),
        call(3, "dense", (0,), (5,)), call(4, "add", (2, 3), (20,)),
    ]  # fmt: skip
    assert at_once(calls) == 20 + 5 + 20  # the view keeps what it looks at


def test_without_calls_there_is_the_table_and_why() -> None:
    note, bars, table = look(tiny_model(), None, architecture).panels
    assert isinstance(bars, Bars) and bars.values.sum() == pytest.approx(100)
    assert isinstance(note, Note) and "records no tape" in note.text and "not known" in note.text
    assert isinstance(table, Table) and len(table.rows) == len(tiny_model().layers)


def test_words() -> None:
    assert [size_of(one) for one in (0, 999, 1000, 25_557_032, 999_999_999, 4_089_184_256)] == [
        "0", "999", "1 k", "25.6 M", "1 G", "4.09 G",
    ]  # fmt: skip
    assert short_name("features.3.block.0.0") == "features.3.block.0.0"
    assert short_name("features.denseblock1.denselayer2.conv1") == "denselayer2.conv1"
    assert short_name("0") == "0"


def test_what_is_kept_as_json(residual: cnnlens.Model) -> None:
    told = json.loads(look(residual, None, architecture).manifest_text())["panels"][1]
    assert (
        told["kind"] == "Diagram"
        and len(told["nodes"]) == 9
        and told["edges"][0] == {"start": 0, "end": 1, "label": ""}
    )
    assert told["nodes"][1]["opens"]["visualiser"] == "convolution"


def test_what_a_pooling_in_front_of_a_flatten_sees() -> None:
    """It sees what it sees; what is laid out in a row behind it sees all."""
    model = wrapped(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(100, 2))
    note, drawn, *_, table = look(model, None, architecture).panels
    assert isinstance(note, Note) and "field is 4×4 pixels" in note.text and "From 3 on" in note.text
    assert isinstance(table, Table) and {row[0]: (row[2], row[-1]) for row in table.rows} == {
        "0": ("10×10×4", "3×3"), "1": ("5×5×4", "4×4"), "3": ("2", "all"),
    }  # fmt: skip
    assert isinstance(drawn, Diagram) and [one.detail for one in drawn.nodes][2] == "5×5×4 · 1"


class Shared(nn.Module):  # type: ignore[misc]
    """One convolution called three times, and a parameter that is no layer's."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.again = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, padding=1)
        self.head, self.scale = nn.Linear(4, 2), nn.Parameter(torch.ones(4, 1, 1))

    def forward(self, x: Any) -> Any:
        y = self.stem(x) * self.scale
        for _ in range(3):
            y = self.again(y).relu()
        return self.head(y.mean((2, 3)))


def test_weights_that_are_shared_count_once() -> None:
    net = Shared().eval()
    model = cnnlens.wrap(net, preprocess={"size": 12})
    every = sum(one.numel() for one in net.parameters())
    note, *_, table = look(model, None, architecture).panels
    assert model.parameters == every == 112 + 148 + 10 + 4
    assert (
        isinstance(note, Note) and f"{every} parameters" in note.text and "4 of the parameters" in note.text
    )
    assert isinstance(table, Table) and sum(int(str(row[3])) for row in table.rows) == every - 4
