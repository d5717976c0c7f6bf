"""The rule family as visualisers: the rules of the kit, verdicts, notes, and the same numbers from Keras."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nets
import numpy as np
import pytest
from engines import ENGINES, run_on
from needs import need

import cnnlens
from cnnlens import Heatmap, Model, Note, Probe, look
from cnnlens.errors import Unmet
from cnnlens.testing import check_visualiser
from cnnlens_plugins.rules import cnnlens_visualisers

OURS: dict[str, Any] = {v.name: v for v in cnnlens_visualisers()}  # type: ignore[attr-defined]
torch = need("torch")
nn = torch.nn
SPEC = {"size": 8, "mean": 0.0, "std": 1.0}


@pytest.mark.parametrize("name", OURS)
def test_it_keeps_the_rules(name: str) -> None:
    check_visualiser(OURS[name])
    check_visualiser(OURS[name], [nets.wrapped("residual")])


def test_a_model_without_a_tape_is_told_so(tiny: Model) -> None:
    for visualiser in OURS.values():
        assert "needs tape" in (visualiser.why_not(tiny) or "")


class Gated(nn.Module):  # type: ignore[misc, name-defined]
    """A squeeze-and-excitation by a sigmoid after a SiLU."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.squeeze = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1)
        self.fc = nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        x = nn.functional.silu(self.conv(x))
        x = x * torch.sigmoid(self.squeeze(x.mean((2, 3), keepdim=True)))
        return self.fc(x.mean((2, 3)))


def of(*middle: Any) -> Model:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        net = nn.Sequential(nn.Conv2d(3, 4, 3), *middle, nn.Flatten(), nn.Linear(144, 2)).eval()
    return cnnlens.wrap(net, preprocess=SPEC)


@pytest.mark.parametrize(
    ("name", "build", "level", "because"),
    [
        ("lrp", lambda: of(nn.ReLU()), "valid", ""),
        ("lrp", lambda: of(nn.ReLU6()), "valid", ""),
        ("lrp", lambda: of(nn.SiLU()), "approximate", "through silu (1 layer: 1) as if it were a ReLU"),
        ("lrp", lambda: cnnlens.wrap(Gated().eval(), preprocess=SPEC), "approximate", "gate of a product"),
        ("lrp", lambda: of(nn.LayerNorm(6)), "not possible", "own mean and spread (1 layer: 1)"),
        ("lrp", lambda: of(nn.Softmax(1)), "not possible", "softmax inside the network (1 layer: 1)"),
        ("deeplift", lambda: of(nn.SiLU(), nn.MaxPool2d(3, 1, 1)), "valid", ""),
        ("deeplift", lambda: cnnlens.wrap(Gated().eval(), preprocess=SPEC), "valid", ""),
        ("deeplift", lambda: of(nn.LayerNorm(6)), "not possible", "own mean and spread"),
        ("guided-backprop", lambda: of(nn.ReLU()), "valid", ""),
        ("guided-backprop", lambda: of(nn.GELU()), "not possible", "its activations are gelu"),
        ("guided-backprop", lambda: of(), "not possible", "it has no activation"),
        ("guided-backprop", lambda: of(nn.ReLU(), nn.SiLU()), "approximate", "silu hands on its plain gradient"),
        ("deconvnet", lambda: of(nn.ReLU(), nn.MaxPool2d(3, 1, 1)), "valid", ""),
        ("deconvnet", lambda: of(nn.ReLU()), "approximate", "the same for every picture"),
    ],
)  # fmt: skip
def test_verdicts(name: str, build: Callable[[], Model], level: str, because: str) -> None:
    model = build()
    verdict = OURS[name].verdict(model)
    assert verdict.level == level and because in "; ".join(verdict.because)
    picture = np.random.default_rng(0).random((8, 8, 3), np.float32)
    if level == "not possible":
        with pytest.raises(Unmet):
            look(model, picture, OURS[name])
        return
    values = look(model, picture, OURS[name]).array
    assert values.shape == (8, 8) and np.isfinite(values).all() and values.any()


def test_without_maxima_deconvnet_draws_the_same_for_every_picture() -> None:
    model = of(nn.ReLU())
    one, other = (np.random.default_rng(seed).random((8, 8, 3), np.float32) for seed in (0, 1))
    drawn = [look(model, picture, OURS["deconvnet"], target=0).array for picture in (one, other)]
    assert np.array_equal(*drawn)


def test_notes_hold_the_maps_to_the_score() -> None:
    probe = Probe(nets.wrapped("plain"), nets.photo(0), "heron - tram")
    heatmap, note = look(probe.model, probe, OURS["lrp"]).panels
    assert isinstance(heatmap, Heatmap) and isinstance(note, Note) and heatmap.signed
    assert f"{heatmap.values.sum():.4g} of the target's {probe.score:.4g}" in note.text
    assert "biases took" in note.text
    heatmap, note = look(probe.model, probe, OURS["deeplift"], baseline="grey").panels
    assert isinstance(heatmap, Heatmap) and isinstance(note, Note)
    assert f"{probe.score:.4g} for the picture" in note.text


def test_a_unit_of_a_convolution_is_walked_without_the_batch_norm_behind_it() -> None:
    probe = Probe(nets.wrapped("residual"), nets.photo(0), "conv1[3,5,5]")
    values = look(probe.model, probe, OURS["lrp"], composite="zero").array
    window = np.zeros(values.shape, bool)
    window[4:7, 4:7] = True
    assert not values[~window].any()
    assert values.sum() == pytest.approx(probe.score, rel=1e-4)  # a convolution without a bias


@pytest.mark.parametrize("engine", ENGINES)
def test_keras_shows_the_same(engine: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder) / "torch.npz", Path(folder) / "keras.npz"
        for framework, out in (("torch", ours), ("keras", theirs)):
            script = str(Path(__file__).with_name("rules_parity.py"))
            done = run_on(engine if framework == "keras" else "torch", script, framework, str(out))
            assert done.returncode == 0, done.stderr[-4000:]
        with np.load(ours) as one, np.load(theirs) as other:
            assert set(one) == set(other) and len(one) == 14
            for name in one:
                error = np.abs(one[name] - other[name]).max() / np.abs(one[name]).max()
                assert error <= 1e-4, f"{name}: {error:.2g}"
