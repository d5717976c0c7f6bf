"""What holds for every network: conservation, completeness, and the same network written in other words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from needs import need

import cnnlens
from cnnlens import Model, Probe
from cnnlens_plugins.rules.clipping import deconvolved, guided
from cnnlens_plugins.rules.deeplift import contributions
from cnnlens_plugins.rules.linear import Stabiliser
from cnnlens_plugins.rules.relevance import COMPOSITES, Composite, Relevance
from cnnlens_plugins.rules.structure import RECTIFIERS

torch = need("torch")
nn = torch.nn
SIDE = 6


class Drawn(nn.Module):  # type: ignore[misc, name-defined]
    """A few stages, each a convolution and a way to join it with what came before; then a mean and a dense layer."""

    def __init__(self, stages: list[tuple[str, int]], relu: str, bias: bool, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.stages, self.relu, wide = stages, relu, 4
        self.reused, self.inplace = nn.ReLU(), nn.ReLU(inplace=True)
        self.first = nn.Conv2d(3, wide, 3, padding=1, bias=bias)
        self.convs = nn.ModuleList()
        for join, groups in stages:
            self.convs.append(nn.Conv2d(wide, wide, 3, padding=1, groups=groups, bias=bias))
            wide = 2 * wide if join == "concat" else wide
        self.fc = nn.Linear(wide, 3, bias=bias)
        self.double().eval()

    def activated(self, x: Any) -> Any:
        if self.relu == "functional":
            return nn.functional.relu(x)
        return {"inplace": self.inplace, "reused": self.reused}[self.relu](x)

    def forward(self, x: Any) -> Any:
        x = self.activated(self.first(x))
        for (join, _), conv in zip(self.stages, self.convs, strict=True):
            y = self.activated(conv(x))
            if join == "add":
                x = x + y
            elif join == "concat":
                x = torch.cat([x, y], 1)
            elif join == "pool":
                x = nn.functional.max_pool2d(y, 2, 1)
            else:
                x = y
        return self.fc(x.mean((2, 3)))


stages = st.lists(
    st.tuples(st.sampled_from(["add", "concat", "pool", "follow"]), st.sampled_from([1, 2, 4])), max_size=3
)
seeds = st.integers(0, 10_000)
few = settings(max_examples=15, deadline=None)


def opened(stages: list[tuple[str, int]], relu: str, bias: bool, seed: int) -> Model:
    with torch.random.fork_rng(devices=[]):
        net = Drawn(stages, relu, bias, seed)
    return cnnlens.wrap(net, preprocess={"size": SIDE, "mean": 0.0, "std": 1.0})


def probe_of(model: Model, seed: int, target: str = "0 - 2") -> Probe:
    return Probe(model, np.random.default_rng(seed).random((SIDE, SIDE, 3), np.float32), target)


def relevance(probe: Probe, composite: Composite, epsilon: float) -> tuple[np.ndarray, Relevance, float]:
    tape = probe.tape
    start = {place: pull * tape.calls[place].output for place, pull in probe.starts(tape).items()}
    rules = Relevance(tape, composite, Stabiliser(epsilon), ends=(np.zeros(3), np.ones(3)))
    return tape.walk(start, rules)[0], rules, float(sum(values.sum() for values in start.values()))


@few
@given(stages, seeds)
def test_lrp_0_keeps_the_score_where_there_are_no_biases(stages: list[tuple[str, int]], seed: int) -> None:
    found, _, score = relevance(
        probe_of(opened(stages, "reused", False, seed), seed), COMPOSITES["zero"], 0.0
    )
    assert abs(found.sum() - score) <= 1e-6 * (abs(found).sum() + abs(score))


@few
@given(stages, seeds)
def test_z_plus_hands_on_all_but_what_nothing_pushed_up(stages: list[tuple[str, int]], seed: int) -> None:
    """A channel whose kernels are all below zero made nothing of inputs that are not; stabilisers take 1e-6."""
    module = opened(stages, "inplace", False, seed).native
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.abs_()
    model = cnnlens.wrap(module, preprocess={"size": SIDE, "mean": 0.0, "std": 1.0})
    for name in ("epsilon-plus", "epsilon-plus-flat", "epsilon-plus-square"):
        found, _, score = relevance(probe_of(model, seed, "1"), COMPOSITES[name], 1e-6)
        assert (found >= 0).all() and abs(found.sum() - score) <= 1e-3 * abs(score)


@few
@given(stages, seeds, st.sampled_from(sorted(COMPOSITES)))
def test_what_does_not_arrive_is_in_the_ledger(
    stages: list[tuple[str, int]], seed: int, composite: str
) -> None:
    epsilon = 0.0 if composite == "zero" else 1e-6
    found, rules, score = relevance(
        probe_of(opened(stages, "reused", True, seed), seed), COMPOSITES[composite], epsilon
    )
    gone = sum(rules.ledger.biases.values()) + sum(rules.ledger.others.values())
    size = abs(found).sum() + abs(score) + sum(map(abs, rules.ledger.biases.values()))
    assert abs(found.sum() + gone - score) <= 1e-6 * size
    if composite == "zero":  # all that LRP-0 loses, biases take
        assert sum(map(abs, rules.ledger.others.values())) <= 1e-6 * size


@few
@given(stages, seeds)
def test_deeplift_is_complete(stages: list[tuple[str, int]], seed: int) -> None:
    probe = probe_of(opened(stages, "functional", True, seed), seed)
    other = np.random.default_rng(seed + 1).random((SIDE, SIDE, 3), np.float32)
    tape = probe.model.tape(np.stack([probe.pixels, other]))
    wanted = tape.scores[:, 0] - tape.scores[:, 2]
    found = contributions(probe, tape)
    assert abs(found.sum() - (wanted[0] - wanted[1])) <= 1e-9 * (abs(found).sum() + 1)


@few
@given(stages, seeds)
def test_a_relu_in_other_words_is_the_same(stages: list[tuple[str, int]], seed: int) -> None:
    seen: dict[str, list[np.ndarray]] = {}
    for relu in ("inplace", "functional", "reused"):
        probe = probe_of(opened(stages, relu, True, seed), seed)
        pair = probe.model.tape(np.stack([probe.pixels, np.zeros_like(probe.pixels)]))
        seen[relu] = [
            relevance(probe, COMPOSITES[name], 1e-3)[0] for name in ("epsilon", "epsilon-plus-flat")
        ]
        seen[relu] += [
            contributions(probe, pair),
            probe.pull_altered(RECTIFIERS, guided),
            probe.pull_altered(RECTIFIERS, deconvolved),
        ]
    for first, *others in zip(*seen.values(), strict=True):
        for other in others:
            assert np.array_equal(first, other)


@pytest.mark.parametrize("composite", COMPOSITES)
def test_a_score_of_nothing_leaves_nothing(composite: str) -> None:
    model = opened([("add", 1)], "inplace", False, 3)
    with torch.no_grad():
        model.native.fc.weight.zero_()
    found, _, score = relevance(probe_of(model, 3), COMPOSITES[composite], 1e-6)
    assert score == 0 and not found.any()
