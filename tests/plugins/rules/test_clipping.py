"""Guided backpropagation and DeconvNet against Captum, and against loops where it has no hook to set."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import nets
import numpy as np
import pytest
from needs import need

import cnnlens
from cnnlens import Model, Probe, look
from cnnlens_plugins.rules.clipping import deconvolved, guided
from cnnlens_plugins.rules.deconvnet import deconvnet
from cnnlens_plugins.rules.guided_backprop import guided_backprop
from cnnlens_plugins.rules.structure import RECTIFIERS

torch = need("torch")
attr = need("captum.attr")
from modular import Cut, modular  # noqa: E402
from twin import SPEC, Twin, Values, small  # noqa: E402

CAT = 285  # Egyptian cat
METHODS = {"GuidedBackprop": guided, "Deconvolution": deconvolved}


def relative(ours: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(ours - other).max() / np.abs(other).max())


def captums(method: str, probe: Probe, module: Any, target: int, dtype: Any) -> np.ndarray:
    x = torch.from_numpy(np.array(probe.fed[None])).movedim(-1, 1).to(dtype).requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it sets hooks
        found = getattr(attr, method)(module).attribute(x, target=target)
    return np.asarray(found[0].detach().movedim(0, -1).numpy())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["plain", "residual", "depthwise"])
def test_they_are_captums_in_double_precision(method: str, name: str) -> None:
    """Captum clips at nn.ReLU alone, called once each: the rebuilt networks have a ReLU6 that is one."""
    module = nets.NETS[name]().double()
    probe = Probe(cnnlens.wrap(module, preprocess=nets.SPEC), nets.photo(2), 1)
    twin = modular(name, module, Cut if name == "depthwise" else None)
    theirs = captums(method, probe, twin, 1, torch.float64)
    assert relative(probe.pull_altered(RECTIFIERS, METHODS[method]), theirs) <= 1e-9


@pytest.mark.parametrize("method", METHODS)
def test_they_are_captums_on_the_trained_network(method: str, lite0: Model, cat: Path) -> None:
    probe = Probe(lite0, cat, CAT)
    theirs = captums(method, probe, modular("lite0", lite0.native, Cut), CAT, torch.float32)
    visualiser = guided_backprop if method == "GuidedBackprop" else deconvnet
    ours = look(lite0, probe, visualiser, join="sum").array
    assert relative(ours, lite0.input.per_pixel(theirs).sum(-1)) <= 1e-4


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("method", METHODS)
def test_a_relu_that_is_called_three_times_is_clipped_three_times(method: str, seed: int) -> None:
    module = small(seed)
    pixels = np.random.default_rng(seed).random((6, 6, 2), np.float32)
    probe = Probe(cnnlens.wrap(module, preprocess=SPEC), pixels, 1)
    net = Twin(module, probe.tape.calls[0].output[0].transpose(2, 0, 1))

    def relu(arrived: Values, z: Values) -> Values:
        was_open = (z > 0) | (method == "Deconvolution")
        return np.array([max(up, 0.0) if here else 0.0 for up, here in zip(arrived, was_open, strict=True)])

    at_e = np.repeat(net.fc.weights[1] / 16, 16)
    at_gate = (at_e * net.d).reshape(6, 16).sum(1) * net.g * (1 - net.g)
    at_d = at_e * np.repeat(net.g, 16) + np.repeat(net.gate.weights.T @ at_gate / 16, 16)
    at_both = np.zeros(216)
    for k, place in enumerate(net.at):
        at_both[place] += at_d[k]
    at_sum = relu(at_both[:144] + net.a3.weights.T @ relu(at_both[144:], net.z3), net.sum)
    at_x = net.a1.weights.T @ relu(at_sum + net.a2.weights.T @ at_sum, net.z1)
    slow = at_x.reshape(2, 6, 6).transpose(1, 2, 0)
    assert np.abs(probe.pull_altered(RECTIFIERS, METHODS[method]) - slow).max() <= 1e-9 * np.abs(slow).max()


def test_channels_are_joined_and_sizes_are_sizes() -> None:
    probe = Probe(nets.wrapped("plain"), nets.photo(1), 0)
    by_channel = probe.model.input.per_pixel(probe.pull_altered(RECTIFIERS, guided))
    for join in ("max", "mean", "sum"):
        signed = look(probe.model, probe, guided_backprop, join=join).array
        size = look(probe.model, probe, guided_backprop, join=join, sign="magnitude").array
        if join == "max":
            assert np.array_equal(size, np.abs(by_channel).max(-1)) and np.array_equal(np.abs(signed), size)
        else:
            assert np.allclose(signed, getattr(by_channel, join)(-1), atol=1e-7)
            assert np.allclose(size, getattr(np.abs(by_channel), join)(-1), atol=1e-7)
