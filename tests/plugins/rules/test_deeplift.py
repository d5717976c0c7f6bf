"""DeepLIFT against Captum where Captum is right, against loops over neurons where it is not.

Captum's max-pooling lets go of what a maximum that fell is owed (its contributions then do not add up to the
difference of the scores), so it is asked about networks with means in their place.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import nets
import numpy as np
import pytest
from needs import need

import cnnlens
from cnnlens import Model, Probe, cover_of, look
from cnnlens_plugins.rules.deeplift import contributions, deeplift

torch = need("torch")
attr = need("captum.attr")
from modular import modular  # noqa: E402
from twin import SPEC, Affine, Twin, Values, small  # noqa: E402

CAT = 285  # Egyptian cat


def relative(ours: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(ours - other).max() / np.abs(other).max())


def fed(model: Model, pixels: Any, dtype: Any) -> Any:
    return torch.from_numpy(np.array(model.input.encode(pixels[None]))).movedim(-1, 1).to(dtype)


def captums(probe: Probe, module: Any, baseline: Any, target: int, dtype: Any) -> np.ndarray:
    x, other = (fed(probe.model, pixels, dtype) for pixels in (probe.pixels, baseline))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it sets hooks and asks for gradients
        found = attr.DeepLift(module).attribute(x, other, target=target)
    return np.asarray(found[0].detach().movedim(0, -1).numpy())


def without_maxima(module: Any) -> Any:
    """The network with means in the place of maxima."""
    for place, part in enumerate(module if isinstance(module, torch.nn.Sequential) else ()):
        if isinstance(part, torch.nn.MaxPool2d):
            module[place] = torch.nn.AvgPool2d(2)
    return module


@pytest.mark.parametrize("baseline", ["black", "grey", "white", "mean", "blur"])
def test_it_is_captums_on_a_network_of_modules(baseline: str) -> None:
    model = cnnlens.wrap(without_maxima(nets.plain()), preprocess=nets.SPEC)
    probe = Probe(model, nets.photo(1), 2)
    other = cover_of(probe.pixels, baseline)  # type: ignore[arg-type]
    theirs = captums(probe, modular("plain", probe.model.native), other, 2, torch.float32)
    ours = look(probe.model, probe, deeplift, baseline=baseline).array
    assert relative(ours, theirs.sum(-1)) <= 1e-4


@pytest.mark.parametrize("name", ["plain", "residual"])
def test_it_is_captums_in_double_precision(name: str) -> None:
    module = without_maxima(nets.NETS[name]()).double()
    probe = Probe(cnnlens.wrap(module, preprocess=nets.SPEC), nets.photo(2), 0)
    grey = cover_of(probe.pixels, "grey")
    theirs = captums(probe, modular(name, module), grey, 0, torch.float64)
    ours = contributions(probe, probe.model.tape(np.stack([probe.pixels, grey])))
    assert ours.dtype == np.float64 and relative(ours, theirs) <= 1e-9


@pytest.mark.parametrize("name", ["plain", "residual", "depthwise", "lite0"])
def test_contributions_make_the_difference_of_the_scores(name: str, lite0: Model, cat: Path) -> None:
    model, picture = (lite0, cat) if name == "lite0" else (nets.wrapped(name), nets.photo(3))
    probe = Probe(model, picture, "1 - 4")
    for baseline in ("black", "blur"):
        other = cover_of(probe.pixels, baseline)
        wanted = probe.score - float(probe.score_of(other[None])[0])
        values = look(model, probe, deeplift, baseline=baseline).array
        assert abs(values.sum() - wanted) <= 1e-3 * np.abs(values).sum()


def slowly(net: Twin, other: Twin, target: int) -> Values:
    """Multipliers times differences, (h, w, c)."""

    def through(layer: Affine, m: Values) -> Values:
        columns = layer.weights.T
        return np.array([sum(w * up for w, up in zip(column, m, strict=True)) for column in columns])

    def quotient(m: Values, y: Values, y0: Values, x: Values, x0: Values, slope: Values) -> Values:
        return np.array([
            m[i] * ((y[i] - y0[i]) / (x[i] - x0[i]) if abs(x[i] - x0[i]) > 1e-9 else slope[i])
            for i in range(len(m))
        ])  # fmt: skip

    def relu(m: Values, x: Values, x0: Values) -> Values:
        return quotient(m, np.maximum(x, 0), np.maximum(x0, 0), x, x0, (x > 0).astype(float))

    at_m = net.fc.weights[target].astype(float)
    at_e = np.repeat(at_m / 16, 16)
    at_d = at_e * np.repeat((net.g + other.g) / 2, 16)
    at_g = (at_e * (net.d + other.d) / 2).reshape(6, 16).sum(1)
    at_zg = quotient(at_g, net.g, other.g, net.zg, other.zg, net.g * (1 - net.g))
    at_d = at_d + np.repeat(through(net.gate, at_zg) / 16, 16)
    owed, at_both = np.zeros(216), np.zeros(216)
    for k in range(96):  # a rise is owed to where the maximum is, a fall to where it was
        owed[net.at[k] if net.d[k] >= other.d[k] else other.at[k]] += at_d[k] * (net.d[k] - other.d[k])
    for i in range(216):
        change = net.both[i] - other.both[i]
        at_both[i] = owed[i] / change if abs(change) > 1e-9 else 0.0
    at_sum_b = at_both[:144] + through(net.a3, relu(at_both[144:], net.z3, other.z3))
    at_sum = relu(at_sum_b, net.sum, other.sum)
    at_a = at_sum + through(net.a2, at_sum)
    at_x = through(net.a1, relu(at_a, net.z1, other.z1))
    return (at_x * (net.x - other.x)).reshape(2, 6, 6).transpose(1, 2, 0)


@pytest.mark.parametrize("seed", range(4))
def test_it_is_its_slow_twin_with_gates_sums_and_overlapping_windows(seed: int) -> None:
    module = small(seed)
    probe = Probe(
        cnnlens.wrap(module, preprocess=SPEC), np.random.default_rng(seed).random((6, 6, 2), np.float32), 1
    )
    grey = cover_of(probe.pixels, "mean")
    tape = probe.model.tape(np.stack([probe.pixels, grey]))
    net, other = (Twin(module, x.transpose(2, 0, 1)) for x in tape.calls[0].output)
    ours, slow = contributions(probe, tape), slowly(net, other, 1)
    assert abs(ours.sum() - (net.scores[1] - other.scores[1])) <= 1e-9
    assert np.abs(ours - slow).max() <= 1e-9 * np.abs(slow).max()
