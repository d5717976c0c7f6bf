"""The memory budget: how it is written, what passes take of it, and that less of it means less."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from needs import need

import cnnlens
from cnnlens import Model, Probe, Target, look, visualiser
from cnnlens.errors import BadInput, Unmet
from cnnlens.memory import (
    MOST,
    Appetite,
    _left_to_groups,
    free_memory,
    from_shapes,
    in_words,
    peak_of,
    read_memory,
)
from cnnlens.testing import picture, tiny_model


@pytest.mark.parametrize(("text", "bytes_"), [
    ("500MB", 500 * 10**6), ("2GiB", 2 * 2**30), ("1.5GB", 1_500_000_000), ("400000000", 400_000_000),
    (123, 123), (" 3 gb ", 3 * 10**9), ("7k", 7000), ("1Ki", 1024), ("8B", 8),
])  # fmt: skip
def test_a_budget_is_read(text: Any, bytes_: int) -> None:
    assert read_memory(text) == bytes_


@pytest.mark.parametrize(
    "text", ["", "much", "-5MB", "5 apples", "1,5GB", "0", 0, "0.2", True, "1e9", "5I", "GB", "9" * 30]
)
def test_what_is_no_budget_is_refused_with_words(text: Any) -> None:
    with pytest.raises(BadInput, match="memory is a number of bytes like 500MB"):
        read_memory(text)


def test_bytes_in_words_read_back_as_no_fewer() -> None:
    for count in (1, 999, 1000, 123_456, 99_999_999, 1_234_567_890, 5 * 10**13):
        told = in_words(count)
        assert count <= read_memory(told.replace(" bytes", "")) <= 1.11 * count, told
    assert [in_words(n) for n in (5 * 10**8, 15 * 10**8, 12)] == ["500MB", "1.5GB", "12 bytes"]


def test_a_batch_is_what_fits() -> None:
    takes = Appetite(100, 30)
    assert [takes.batch(n) for n in (99, 100, 129, 130, 10**9)] == [0, 1, 1, 2, MOST]


def test_the_default_is_half_of_what_is_free_and_stays(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 10**6 < free_memory() < 2**50
    monkeypatch.setattr(tiny, "free_memory", lambda: 1000_000_000)
    assert tiny.memory == 500_000_000
    monkeypatch.setattr(tiny, "free_memory", lambda: 0)
    assert tiny.memory == 500_000_000 and tiny.batch == MOST == 8
    tiny.memory = "2MB"
    assert tiny.memory == 2_000_000


@pytest.mark.parametrize(
    ("limit", "usage", "files"),
    [
        ("memory.max", "memory.current", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
    ],
)
def test_files_that_a_container_read_are_not_taken_for_its_memory(
    limit: str, usage: str, files: str, tmp_path: Path
) -> None:
    (tmp_path / "memory").mkdir()
    assert list(_left_to_groups(tmp_path)) == []
    (tmp_path / usage).write_text("7900000000\n")
    (tmp_path / limit).write_text("max\n")
    assert list(_left_to_groups(tmp_path)) == []
    (tmp_path / limit).write_text("8000000000\n")
    assert list(_left_to_groups(tmp_path)) == [100_000_000]
    told = (tmp_path / limit).with_name("memory.stat")
    told.write_text(f"anon 300000000\nfile 7500000000\n{files} 7000000000\nactive_file 500000000\n")
    assert list(_left_to_groups(tmp_path)) == [7_100_000_000]


def test_from_smaller_maps_on_more_are_run_at_once() -> None:
    need("torch")
    from torch import nn

    parts = [
        nn.Conv2d(3, 8, 3, padding=1),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.AdaptiveAvgPool2d(1),
    ]
    model = cnnlens.wrap(nn.Sequential(*parts, nn.Flatten(), nn.Linear(8, 4)), preprocess={"size": 16})
    assert [model.batch_for(at=name) for name in ("input", "0", "1", "2", "3", "5")] == [8, 8, 32, 32, 32, 32]
    wide = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 6, 3, padding=1), nn.Flatten(), nn.Linear(1536, 4)
    )
    model = cnnlens.wrap(wide, preprocess={"size": 16})
    assert [model.batch_for(at=name) for name in ("0", "1", "2")] == [8, 10, 10], (
        "8 times 8 maps are 10 times 6"
    )
    assert model.batch_for(at="1", most=4) == 4


def test_an_ample_budget_costs_no_pass(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise AssertionError("it was measured")

    monkeypatch.setattr(tiny, "peak_of", refuse)
    tiny.memory = "1GB"
    assert tiny.batch == tiny.batch_for(gradients=True) == MOST


def sized(appetite: Appetite, memory: str) -> Model:
    """The tiny network, said to take so much."""
    model, last = tiny_model(), [0]
    forward = model.forward

    def counted(fed: Any, *given: Any) -> Any:
        last[0] = len(fed)
        return forward(fed, *given)

    def told(run: Any) -> int:
        run()
        return appetite.first + (last[0] - 1) * appetite.more

    model.forward, model.peak_of = counted, told  # type: ignore[method-assign]
    model.memory = memory
    return model


def test_where_one_picture_does_not_fit_nothing_is_run() -> None:
    model = sized(Appetite(50_000, 20_000), "40kB")

    @visualiser(title="Many", cost=cnnlens.Cost(50))
    def many(probe: Probe) -> cnnlens.Note:
        """Must not be run."""
        raise AssertionError

    with pytest.raises(
        Unmet, match=r"tiny takes 50kB for one picture and may take 40kB: give it --memory 55kB"
    ):
        look(model, picture(model), many)
    assert look(model, picture(model), "saliency").array.shape == (8, 8)  # of one pass each: not batched


def test_batches_and_facts_follow_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    model, sizes = sized(Appetite(10_000, 10_000), "40kB"), []
    trace = model.trace
    monkeypatch.setattr(model, "trace", lambda x, **given: (sizes.append(len(x)), trace(x, **given))[1])
    image = picture(model)
    scores = Probe(model, image, 1).score_of(np.repeat(image[None], 10, 0))
    assert sizes == [1, 4, 4, 2] and np.allclose(scores, trace(image[None]).scores[0, 1])
    sizes.clear()  # the first was the picture itself, for the scores by which ranks are known
    shown = list(Probe(model, image, 1).gradients_of((image for _ in range(5)), 5))
    assert sizes == [1, 4, 1] and [len(g) for _, g in shown] == [4, 1]

    @visualiser(title="Many", cost=cnnlens.Cost(50))
    def many(probe: Probe) -> cnnlens.Note:
        """Nothing much."""
        return cnnlens.Note(str(probe.model.batch))

    assert (
        look(model, image, many).facts["batch"] == 4 and "batch" not in look(model, image, "saliency").facts
    )


def test_the_last_batch_is_filled_up_where_sizes_cost(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, trace = [], tiny.trace
    monkeypatch.setattr(tiny, "trace", lambda x, **given: (sizes.append(len(x)), trace(x, **given))[1])
    pictures = np.random.default_rng(0).random((13, 8, 8, 3), np.float32)
    whole = trace(pictures, watch=("input", "relu"), target=1)
    tiny.even_batches = True
    ran = list(tiny.in_batches(pictures, watch=("input", "relu"), target=Target.of_class(1)))
    assert sizes == [MOST, MOST] and [len(one.scores) for one in ran] == [MOST, 13 - MOST]
    np.testing.assert_allclose(np.concatenate([one.scores for one in ran]), whole.scores, atol=1e-5)
    for name in ("input", "relu"):
        ends = (np.concatenate([one.gradients[name] for one in ran]), whole.gradients[name])
        np.testing.assert_allclose(*ends, atol=1e-6)
        assert sum(len(one.activations[name]) for one in ran) == 13
    sizes.clear()
    list(tiny.in_batches(pictures[:3]))
    assert sizes == [3]  # alone it fills up nothing


def test_peak_sees_what_is_held_and_let_go() -> None:
    peak = peak_of(lambda: np.ones(20_000_000, np.uint8).sum())
    if peak is None:
        pytest.skip("this system does not tell how high a process's memory went")
    assert 0.9 < peak / 20_000_000 < 1.3


def vgg_like() -> Any:
    nn = need("torch").nn
    parts: list[Any] = []
    inside = 3
    for out in (16, 16, 0, 32, 32, 0, 64, 64, 0):
        parts += [nn.Conv2d(inside, out, 3, padding=1), nn.ReLU(inplace=True)] if out else [nn.MaxPool2d(2)]
        inside = out or inside
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inside, 5)
    return cnnlens.wrap(nn.Sequential(*parts, *head), preprocess={"size": 128})


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("name", ["lite0", "vgg"])
def test_what_is_told_of_a_batch_is_what_it_takes(
    request: pytest.FixtureRequest, name: str, gradients: bool
) -> None:
    """Ten pictures take what one and two foretell, within a factor of two; and shapes are not absurd either."""
    model = vgg_like() if name == "vgg" else request.getfixturevalue("lite0")
    takes = model._budget.appetite(gradients)
    x = np.full((10, model.input.height, model.input.width, 3), 0.5, np.float32)
    given = {"watch": ("input",), "target": 0} if gradients else {}
    model.trace(x, **given)
    taken = peak_of(lambda: model.trace(x, **given))
    if taken is None:
        pytest.skip("this system does not tell how high a process's memory went")
    told = takes.first + 9 * takes.more
    print(f"{name}, gradients {gradients}: told {told / 1e6:.0f} MB, taken {taken / 1e6:.0f} MB")
    assert 0.5 < told / taken < 2
    guessed = from_shapes(model.layers, 4 * x[0].size, gradients)
    assert 0.25 < 10 * guessed.first / taken < 4


HEIGHT = """
import sys, numpy as np, torch, cnnlens
from cnnlens.memory import peak_of
torch.manual_seed(0)
nn = torch.nn
net = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(),
                    nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 3))
model = cnnlens.wrap(net, preprocess={"size": 160}, memory=sys.argv[1])
probe = cnnlens.Probe(model, np.random.default_rng(0).random((160, 160, 3), np.float32), 1)
steps = lambda: (probe.pixels * np.float32(a) for a in np.linspace(0, 1, 20))
def run():
    global found
    total = sum(g.sum(0) for _, g in probe.gradients_of(steps(), 20))
    found = float(np.abs(total).sum()), float(probe.score_of(steps(), 20).sum())
model.batch, model.batch_for(gradients=True)
run()
print(model.batch, model.batch_for(gradients=True), peak_of(run), *found)
"""


def test_a_small_budget_takes_less_and_shows_the_same() -> None:
    """Two processes: the one that may take less stays below, and both sum up the same gradients and scores."""
    need("torch")
    if peak_of(lambda: None) is None:
        pytest.skip("this system does not tell how high a process's memory went")
    seen = []
    for memory in ("40MB", "4GB"):
        done = subprocess.run(
            [sys.executable, "-c", HEIGHT, memory], capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr[-2000:]
        seen.append([float(part) for part in done.stdout.split()])
    (batch, back, low, *small), (most, most_back, high, *large) = seen
    print(seen)
    assert most == most_back == MOST and 1 <= back <= batch and back < 5
    assert low < 0.5 * high and low < 2 * 40e6
    np.testing.assert_allclose(small, large, rtol=1e-4)


def test_the_budget_comes_in_by_wrap_and_is_refused_before_anything_is_opened(tiny: Model) -> None:
    torch = need("torch")
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2))
    assert cnnlens.wrap(module, preprocess={"size": 4, "channels": 3}, memory="3MB").memory == 3_000_000
    with pytest.raises(BadInput, match="memory is a number of bytes"):
        cnnlens.wrap(module, memory="plenty")
    with pytest.raises(BadInput, match="memory is a number of bytes"):
        cnnlens.load("no such file.pt", memory="plenty")


def test_elsewhere_than_on_a_processor_the_batch_is_the_one_that_runs_fastest(
    tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch costs 1 s and 10 ms a picture up to 64 pictures, of which each beyond costs a second more."""
    now, run = 0.0, []

    def passed(count: int, back: bool) -> None:
        nonlocal now
        run.append(count)
        now += 1 + 0.01 * count + max(0, count - 64)

    tiny.device = "cuda:0"
    monkeypatch.setattr(tiny, "run_grey", passed)
    monkeypatch.setattr(tiny._budget, "_clock", lambda: now)
    tiny.memory = "100GB"
    assert tiny.batch == 64 and run == [8, 8, 16, 16, 32, 32, 64, 64, 128, 128]
    assert tiny.batch == 64 and len(run) == 10, "found once"
    assert tiny.batch_for(most=20) == 20
    monkeypatch.setattr(tiny._budget, "appetite", lambda gradients: Appetite(10**6, 10**6))
    monkeypatch.setattr("cnnlens.budget.is_ample", lambda *given: False)
    tiny.memory = "20MB"  # a new budget is probed anew
    assert tiny.batch == 16, "no more than fit"
