"""LRP against zennit (Anders et al., 2021): each rule, each composite, each network.

zennit's canonizer merges batch norms, as we do. It adds its stabiliser of 1e-6 with the sign of the denominator,
as we do, and starts at the target's own value here, as we do. Networks are rebuilt for it: see `modular`.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import nets
import numpy as np
import pytest
from needs import need

import cnnlens
from cnnlens import Model, Probe, look
from cnnlens_plugins.rules.linear import Stabiliser
from cnnlens_plugins.rules.lrp import ends_of, lrp
from cnnlens_plugins.rules.relevance import Composite, Relevance

torch = need("torch")
zennit_composites = need("zennit.composites")
zennit_rules = need("zennit.rules")
zennit_types = need("zennit.types")
from modular import modular  # noqa: E402
from zennit.canonizers import SequentialMergeBatchNorm  # noqa: E402

CAT = 285  # Egyptian cat
COMPOSITES = {
    "epsilon-plus-flat": "EpsilonPlusFlat",
    "epsilon-plus": "EpsilonPlus",
    "epsilon-gamma-box": "EpsilonGammaBox",
    "epsilon-alpha2-beta1": "EpsilonAlpha2Beta1",
    "epsilon-alpha2-beta1-flat": "EpsilonAlpha2Beta1Flat",
}
RULES = {
    "zero": lambda: zennit_rules.Epsilon(epsilon=0.0),
    "epsilon": lambda: zennit_rules.Epsilon(epsilon=1e-2),
    "gamma": lambda: zennit_rules.Gamma(gamma=0.25),
    "plus": lambda: zennit_rules.ZPlus(),
    "plus as α1β0": lambda: zennit_rules.AlphaBeta(alpha=1, beta=0),
    "alpha2-beta1": lambda: zennit_rules.AlphaBeta(alpha=2, beta=1),
    "flat": lambda: zennit_rules.Flat(),
    "square": lambda: zennit_rules.WSquare(),
}


class Merged(SequentialMergeBatchNorm):  # type: ignore[misc]
    """zennit's canonizer leaves the batch norms that it emptied their ε: they go on to shrink what they hand on."""

    @staticmethod
    def merge_batch_norm(modules: Any, batch_norm: Any) -> None:
        SequentialMergeBatchNorm.merge_batch_norm(modules, batch_norm)
        batch_norm.eps = 0.0


def fed(probe: Probe, dtype: Any) -> Any:
    values = np.array(probe.model.input.encode(probe.pixels[None]))
    return torch.from_numpy(values).movedim(-1, 1).to(dtype)


def theirs(module: Any, x: Any, weights: dict[int, float], composite: Any) -> np.ndarray:
    """zennit's relevance (h, w, c), begun at the target's own value."""
    x = x.clone().requires_grad_()
    with composite.context(module) as hooked:
        scores = hooked(x)
        start = torch.zeros_like(scores)
        for index, weight in weights.items():
            start[0, index] = weight * scores[0, index].detach()
        (found,) = torch.autograd.grad(scores, x, start)
    return np.asarray(found[0].movedim(0, -1).numpy())


def relative(ours: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(ours - other).max() / np.abs(other).max())


def probe_of(name: str, lite0: Model, cat: Path) -> Probe:
    """All in double precision: α2β1 loses digits in single, more of them the fewer threads sum (1.6e-4 for one)."""
    if name == "lite0":
        module = copy.deepcopy(lite0.native).double()
        return Probe(cnnlens.wrap(module, preprocess=lite0.input, labels=lite0.classes), cat, CAT)
    return Probe(cnnlens.wrap(nets.NETS[name]().double(), preprocess=nets.SPEC), nets.photo(4), 3)


@pytest.mark.parametrize("name", ["plain", "depthwise", "residual", "lite0"])
@pytest.mark.parametrize("composite", COMPOSITES)
def test_composites_are_zennits(name: str, composite: str, lite0: Model, cat: Path) -> None:
    probe = probe_of(name, lite0, cat)
    dtype, limit = torch.float64, 1e-6
    ends: dict[str, Any] = {}
    if "box" in composite:
        ends = {
            key: torch.from_numpy(end).to(dtype)[None, :, None, None]
            for key, end in zip(("low", "high"), ends_of(probe.model), strict=True)
        }
    hooks = getattr(zennit_composites, COMPOSITES[composite])(**ends, canonizers=[Merged()])
    target = probe.target.index
    assert target is not None
    found = theirs(modular(name, probe.model.native), fed(probe, dtype), {target: 1.0}, hooks)
    ours = look(probe.model, probe, lrp, composite=composite).array
    assert relative(ours, found.sum(-1)) <= limit


@pytest.mark.parametrize("name", ["plain", "depthwise", "residual"])
@pytest.mark.parametrize("rule", RULES)
def test_rules_are_zennits_in_double_precision(name: str, rule: str) -> None:
    module = nets.NETS[name]().double()
    model = cnnlens.wrap(module, preprocess=nets.SPEC, labels=nets.NAMES)
    probe = Probe(model, nets.photo(5), "lynx - tram")
    chosen = rule.partition(" ")[0]
    epsilon = {"zero": 0.0, "epsilon": 1e-2}.get(chosen, 1e-6)
    norm = zennit_rules.Norm(stabilizer=epsilon if chosen in ("zero", "epsilon") else 1e-6)
    layers = [
        (zennit_types.Linear, RULES[rule]()),
        (zennit_types.Activation, zennit_rules.Pass()),
        (zennit_types.BatchNorm, zennit_rules.Pass()),
        ((zennit_types.AvgPool, need("zennit.layer").Sum), norm),
    ]
    hooks = zennit_composites.LayerMapComposite(layers, canonizers=[Merged()])
    found = theirs(modular(name, module), fed(probe, torch.float64), {2: 1.0, 4: -1.0}, hooks)
    ours = relevance(probe, Composite("", chosen, chosen), Stabiliser(epsilon))
    assert ours.dtype == np.float64 and relative(ours, found) <= 1e-9


def test_the_box_is_zennits_in_double_precision() -> None:
    module = nets.plain().double()
    probe = Probe(cnnlens.wrap(module, preprocess=nets.SPEC), nets.photo(6), 1)
    ends = {
        key: torch.from_numpy(values).double()[None, :, None, None]
        for key, values in zip(("low", "high"), ends_of(probe.model), strict=True)
    }
    hooks = zennit_composites.EpsilonGammaBox(**ends, gamma=0.7)
    found = theirs(modular("plain", module), fed(probe, torch.float64), {1: 1.0}, hooks)
    ours = relevance(probe, Composite("box", "gamma", "epsilon"), Stabiliser(), gamma=0.7)
    assert relative(ours, found) <= 1e-9


def test_the_relative_stabiliser_is_zennits_scaled_by_the_norm() -> None:
    stabilizer = need("zennit.core").Stabilizer
    module = nets.plain().double()
    probe = Probe(cnnlens.wrap(module, preprocess=nets.SPEC), nets.photo(7), 0)
    scaled = stabilizer(epsilon=0.25, norm_scale=True)
    layers = [
        (zennit_types.Linear, zennit_rules.Epsilon(epsilon=scaled)),
        (zennit_types.Activation, zennit_rules.Pass()),
    ]
    hooks = zennit_composites.LayerMapComposite(layers)
    found = theirs(modular("plain", module), fed(probe, torch.float64), {0: 1.0}, hooks)
    ours = relevance(probe, Composite("", "epsilon", "epsilon"), Stabiliser(0.25, relative=True))
    assert relative(ours, found) <= 1e-9


def relevance(probe: Probe, composite: Composite, by: Stabiliser, gamma: float = 0.25) -> np.ndarray:
    """Ours (h, w, c), in the network's own precision."""
    tape = probe.tape
    start = {place: pull * tape.calls[place].output for place, pull in probe.starts(tape).items()}
    rules = Relevance(tape, composite, by, gamma, ends_of(probe.model))
    return np.asarray(tape.walk(start, rules)[0])
