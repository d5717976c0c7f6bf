"""What cnnlens tells of each visualiser before a picture is true: each cell of the table, on a real network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engines import run_on
from needs import need

import cnnlens
from cnnlens.errors import Unmet

torch = need("torch")

from verdict_checks import CHEAP, PICTURE, SPEC, check, ours  # noqa: E402
from verdict_nets import NETS, Held, made, pooled  # noqa: E402
from verdict_table import TABLE  # noqa: E402

KERAS = ("subclassed", "keras-half", "keras-shares")


def wrapped(net: Any) -> cnnlens.Model:
    return cnnlens.wrap(net, preprocess=SPEC)


def named(name: str) -> Any:
    return next(one for one in ours() if one.name == name)


def counted(model: cnnlens.Model) -> list[int]:
    """The sizes of all batches that the network is run on from now on."""
    sizes: list[int] = []
    forward, record = model.forward, model.record
    model.forward = lambda fed, *rest: (sizes.append(len(fed)), forward(fed, *rest))[1]  # type: ignore[method-assign]
    model.record = lambda fed: (sizes.append(len(fed)), record(fed))[1]  # type: ignore[method-assign]
    return sizes


def test_every_row_has_a_network() -> None:
    assert set(TABLE) == {*NETS, *KERAS}


@pytest.mark.parametrize("key", NETS)
def test_every_cell_in_torch(key: str) -> None:
    assert check(wrapped(made(key)), key) == []


def test_every_cell_in_keras() -> None:
    script = Path(__file__).with_name("verdict_keras.py")
    ours = ["-W", "ignore:__array__ implementation:DeprecationWarning"]
    done = run_on("torch", *ours, str(script), *KERAS)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]


def test_the_mode_it_was_handed_over_in_is_a_fact_and_stays() -> None:
    model = wrapped(made("trained"))
    assert model.facts["mode"] == "handed over in train mode, run in eval mode"
    assert model.native.training and "mode" not in wrapped(made("plain")).facts


def test_verdicts_cost_no_pass_where_nothing_is_wrong() -> None:
    model = wrapped(made("plain"))
    sizes = counted(model)
    taped = [one for one in ours() if "tape" in one.needs]
    for one in ours():
        if one not in taped:
            one.verdict(model)
    assert sizes == []
    cnnlens.look(model, PICTURE, "saliency")
    assert sizes == [1]
    for one in taped:
        one.verdict(model)
    assert sizes == [1, 1, 1]  # one tape of a grey picture, held to the scores of one pass, for all of them


def test_one_pass_over_two_pictures_tells_whether_what_is_drawn_matters() -> None:
    class Idle(Held):
        def forward(self, x: Any) -> Any:
            return self.body(x) + 0 * torch.rand(())

    for net, level in ((Idle().eval(), "valid"), (made("noisy"), "approximate")):
        model = wrapped(net)
        sizes = counted(model)
        told = [one.verdict(model, one.settings.resolve({}, model)).level for one in map(named, CHEAP)]
        assert model.draws and sizes == [2]
        assert set(told) == {level}


def test_a_gradient_is_refused_where_none_comes_back_and_nowhere_else() -> None:
    model = wrapped(made("stem"))
    at_maps = model.trace(PICTURE[None], watch=["body.4"], target=0).gradients["body.4"]
    assert at_maps.any() and model.unreached("body.4") is None
    with pytest.raises(Unmet, match="no gradients at input: its forward detaches"):
        model.trace(PICTURE[None], watch=["input"], target=0)
    with pytest.raises(Unmet, match=r"Grad-CAM needs gradients at body\.1: its forward detaches"):
        cnnlens.look(model, PICTURE, "grad-cam", layer="body.1")
    assert "gradients" in model.can and "gradients" not in wrapped(made("detached")).can


def test_a_network_that_no_gradient_may_run_through_is_opened_all_the_same() -> None:
    model = wrapped(made("writes"))
    expected = made("writes")(torch.from_numpy(model.input.encode(PICTURE[None])).permute(0, 3, 1, 2).clone())
    assert np.allclose(model.trace(PICTURE[None]).scores, expected.detach(), atol=1e-5)
    with pytest.raises(Unmet, match="cannot run with gradients"):
        cnnlens.look(model, PICTURE, "saliency")


def test_a_reason_that_a_note_has_told_is_not_told_twice() -> None:
    net = pooled().half().eval()
    net[7].weight.data *= 1e-4
    result = cnnlens.look(wrapped(net), PICTURE, "saliency", target=0)
    assert len(result.notes) == 1 and "the model computes in float16, and" in result.notes[0]
    assert result.facts["verdict"]["level"] == "approximate" and result.caption.endswith(" · approximate")


def test_probabilities_are_not_made_probabilities_again() -> None:
    model = wrapped(made("shares"))
    assert model.activation is None and "cannot be undone" in model.facts["scores"]
    probe = cnnlens.Probe(model, PICTURE)
    assert probe.probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert np.array_equal(probe.probabilities, probe.scores)
    assert wrapped(torch.nn.Sequential(made("plain"), torch.nn.Softmax(1))).activation == "softmax"


@pytest.mark.parametrize("one", [v for v in ours() if v.reads_image], ids=lambda v: v.name)
def test_damaged_weights_are_named_whoever_looks(one: Any) -> None:
    net = made("plain")
    net[0].weight.data[0, 0, 0, 0] = float("nan")
    try:
        notes = cnnlens.look(wrapped(net), PICTURE, one, target=0, **CHEAP.get(one.name, {})).notes
    except Unmet as error:  # a fit, a singular value: what cannot be made of such numbers at all
        assert "needs finite scores" in str(error)
        notes = (str(error),)
    assert any("the kernel of 0 holds 1 NaN" in text for text in notes), notes


@pytest.mark.parametrize("one", [v for v in ours() if v.reads_image], ids=lambda v: v.name)
def test_a_dead_network_is_told_by_whoever_shows_nothing(one: Any) -> None:
    net = made("plain")
    net[3].bias.data[:] = -1e3
    result = cnnlens.look(wrapped(net), PICTURE, one, target=0, **CHEAP.get(one.name, {}))
    maps = [panel for panel in result.panels if isinstance(panel, cnnlens.Heatmap)]
    if any(np.ptp(panel.values) == 0 for panel in maps):
        text = " ".join(result.notes)
        words = ("dead for this picture", "does not hang on", "zero at every place")
        assert any(word in text for word in words), (one.name, result.notes)
