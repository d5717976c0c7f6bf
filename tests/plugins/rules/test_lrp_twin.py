"""LRP against loops over neurons, where a sum, a gate, a reused ReLU and overlapping windows meet."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from needs import need

import cnnlens
from cnnlens import Probe
from cnnlens_plugins.rules.linear import Stabiliser
from cnnlens_plugins.rules.lrp import ends_of
from cnnlens_plugins.rules.relevance import Composite, Relevance

need("torch")
from twin import SPEC, Affine, Twin, Values, small  # noqa: E402

LOW, HIGH = np.array([-4 / 3, -2.5]), np.array([2.0, 2.5])


def stable(z: float, epsilon: float) -> float:
    if z == 0 == epsilon:
        return np.inf  # LRP-0: where nothing was made, nothing is shared
    return z + (epsilon if z >= 0 else -epsilon)


def share(rule: str, layer: Affine, x: Values, arrived: Values, epsilon: float) -> Values:
    """R_i = Σ_j z_ij / (Σ_i z_ij + b_j) · R_j, one output after the other."""
    found = np.zeros_like(x)
    for j, relevance in enumerate(arrived):
        w, b = layer.weights[j], layer.bias[j]
        if rule in ("epsilon", "zero"):
            found += x * w / stable(w @ x + b, epsilon) * relevance
        elif rule == "plus":
            found += _side(x * w, b, 1, 1e-6) * relevance
        elif rule == "alpha2-beta1":
            found += (2 * _side(x * w, b, 1, 1e-6) - _side(x * w, b, -1, 1e-6)) * relevance
        elif rule == "gamma":
            up = 1 if w @ x + b > 0 else -1
            raised = x * w + 0.25 * np.where(up * x * w > 0, x * w, 0)
            bias = b + 0.25 * (b if up * b > 0 else 0)
            # of x⁻ the generalised rule looks at the bias once alone
            found += raised / stable(raised.sum() + bias, 1e-6) * relevance
        elif rule == "flat":
            seen = (w != 0).astype(float)
            found += seen / (seen.sum() + 1e-6) * relevance
        elif rule == "square":
            found += w**2 / ((w**2).sum() + b**2 + 1e-6) * relevance
        elif rule == "box":
            low, high = (np.repeat(end, 36) for end in (LOW, HIGH))
            parts = x * w - low * np.maximum(w, 0) - high * np.minimum(w, 0)
            bias = b - max(b, 0) - min(b, 0)
            found += parts / stable(parts.sum() + bias, 1e-6) * relevance
    return found


def _side(z: Values, bias: float, sign: int, epsilon: float) -> Values:
    kept = np.where(sign * z > 0, z, 0)
    return kept / stable(kept.sum() + (bias if sign * bias > 0 else 0), epsilon)


def slowly(net: Twin, composite: Composite, target: int, epsilon: float) -> Values:
    """Down from the score to the pixels, (h, w, c)."""
    loose = epsilon if composite.convolution in ("epsilon", "zero") else 1e-6
    arrived = np.where(np.arange(3) == target, net.scores, 0.0)
    at_m = share(composite.dense, net.fc, net.m, arrived, epsilon)
    at_e = np.zeros(96)
    for k in range(96):  # a mean: each by its part of it
        at_e[k] = net.e[k] / 16 / stable(net.m[k // 16], loose) * at_m[k // 16]
    at_both = np.zeros(216)
    for k, place in enumerate(net.at):  # the gate takes nothing, the maximum's place all
        at_both[place] += at_e[k]
    at_b = at_both[:144] + share(composite.convolution, net.a3, net.b, at_both[144:], epsilon)
    scaled = np.array([r / stable(z, loose) for r, z in zip(at_b, net.sum, strict=True)])
    at_a = net.a * scaled + share(composite.convolution, net.a2, net.a, net.z2 * scaled, epsilon)
    at_x = share(composite.first or composite.convolution, net.a1, net.x, at_a, epsilon)
    return at_x.reshape(2, 6, 6).transpose(1, 2, 0)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "composite",
    [
        Composite("", "epsilon", "epsilon"), Composite("", "zero", "zero"), Composite("", "plus", "epsilon"),
        Composite("flat", "plus", "epsilon"), Composite("square", "alpha2-beta1", "epsilon"),
        Composite("box", "gamma", "epsilon"), Composite("flat", "gamma", "plus"),
    ],
    ids=lambda c: f"{c.first}-{c.convolution}-{c.dense}",
)  # fmt: skip
def test_lrp_is_its_slow_twin(composite: Composite, seed: int) -> None:
    epsilon = 0.0 if composite.dense == "zero" else 1e-3
    module = small(seed)
    probe = Probe(cnnlens.wrap(module, preprocess=SPEC), picture(seed), target=1)
    tape = probe.tape
    net = Twin(module, tape.calls[0].output[0].transpose(2, 0, 1))
    np.testing.assert_allclose(net.scores, tape.scores[0], rtol=1e-10)
    start = {place: pull * tape.calls[place].output for place, pull in probe.starts(tape).items()}
    ours = tape.walk(start, Relevance(tape, composite, Stabiliser(epsilon), ends=ends_of(probe.model)))[0]
    slow = slowly(net, composite, 1, epsilon)
    limit = 1e-6 if composite.first == "box" else 1e-9  # the ends of the box are single precision
    assert np.abs(ours - slow).max() <= limit * np.abs(slow).max()


def picture(seed: int) -> Any:
    return np.random.default_rng(seed).random((6, 6, 2), np.float32)
