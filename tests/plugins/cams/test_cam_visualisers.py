"""What the CAMs show and say: rules, several layers, empty maps, the layer that was chosen, what is not possible."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from needs import need
from nets import NAMES, SPEC, photo, wrapped

import cnnlens
from cnnlens import Heatmap, Model, Note, Probe, look
from cnnlens.errors import Unmet
from cnnlens.memory import MOST
from cnnlens.testing import assert_untouched, check_visualiser, snapshot
from cnnlens_plugins.cams import cnnlens_visualisers
from cnnlens_plugins.cams.head import head_of

OURS = {v.name: v for v in cnnlens_visualisers()}  # type: ignore[attr-defined]
LAYERED = [name for name in OURS if name not in ("cam", "full-grad")]


def texts(result: cnnlens.Result) -> list[str]:
    return [panel.text for panel in result.panels if isinstance(panel, Note)]


def test_all_thirteen_are_here() -> None:
    assert sorted(OURS) == [
        "ablation-cam", "cam", "eigen-cam", "eigen-grad-cam", "finer-cam", "full-grad", "grad-cam", "grad-cam++",
        "hires-cam", "layer-cam", "score-cam", "smooth-grad-cam++", "xgrad-cam",
    ]  # fmt: skip
    assert all(v.paper and v.link for v in OURS.values())


@pytest.mark.parametrize("name", OURS)
def test_it_keeps_the_rules(name: str) -> None:
    need("torch")
    check_visualiser(OURS[name], [wrapped("depthwise")] if name == "cam" else None)


@pytest.mark.parametrize("name", LAYERED)
def test_several_layers_are_fused_before_each_is_shown(name: str) -> None:
    model = wrapped("residual")
    probe = Probe(model, photo(1), "lynx")
    before = snapshot(model)
    several = look(model, probe, OURS[name], layer="layer1.relu#2, last")
    assert_untouched(before, snapshot(model), name)
    assert several.facts["settings"]["layer"] == "layer1.relu#2,layer3.relu#2"
    fused, low, high = (panel for panel in several.panels if isinstance(panel, Heatmap))
    assert fused.values.shape == (32, 32) and fused.unit == "share of the largest" and fused.values.max() <= 1
    for one, layer in ((low, "layer1.relu#2"), (high, "layer3.relu#2")):
        alone = look(model, probe, OURS[name], layer=layer)
        assert np.allclose(alone.array, one.values, rtol=1e-5, atol=1e-6) and layer in one.title
    assert not any("the last of" in text for text in texts(several))


@pytest.mark.parametrize("name", [name for name in OURS if name != "full-grad"])
def test_the_layer_that_was_taken_unasked_is_told_with_its_reason(name: str) -> None:
    model = wrapped("residual")
    told = texts(look(model, photo(1), OURS[name], target="lynx"))[-1]
    assert told == (
        "layer3.relu#2: the last of 29 layers with maps, 8×8, one place per 4 pixels, sees 25 of 32 pixels"
    )


def test_six_cams_share_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    model = wrapped("residual")
    passes: list[Any] = []
    forward = model.forward
    monkeypatch.setattr(model, "forward", lambda *given: passes.append(1) or forward(*given))
    probe = Probe(model, photo(1))
    six = ("grad-cam", "grad-cam++", "xgrad-cam", "hires-cam", "layer-cam", "eigen-grad-cam")
    for name in (*six, "eigen-cam"):
        look(model, probe, OURS[name])
    assert len(passes) == 1


def test_what_a_run_costs_is_what_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    model = wrapped("residual")
    count = {"pictures": 0}
    forward = model.forward

    def counted(fed: Any, *given: Any) -> Any:
        count["pictures"] += len(fed)
        return forward(fed, *given)

    def refused(*given: Any, **named: Any) -> Any:
        raise Unmet("a replay's passes would not be counted")

    monkeypatch.setattr(model, "forward", counted)
    monkeypatch.setattr(model, "replay", refused)
    for name in OURS:
        count["pictures"] = 0
        own = {"layer": "layer2.relu#2"} if name in LAYERED else {}
        told = OURS[name].cost_of(model, OURS[name].settings.resolve(own, model)).forwards
        look(model, photo(1), OURS[name], target=2, **own)
        assert count["pictures"] in (told, told - 1), name  # the scores may come with the first pass


def test_empty_and_flat_maps_are_told() -> None:
    torch = need("torch")
    parts = (torch.nn.Conv2d(3, 2, 1), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    against = torch.nn.Sequential(*parts, torch.nn.Linear(2, 2))
    with torch.no_grad():
        against[0].weight.fill_(1.0)
        against[4].weight.copy_(torch.tensor([[-1.0, -1.0], [0.0, 0.0]]))
    model = cnnlens.wrap(against, preprocess={"size": 4})
    grey = np.full((4, 4, 3), 0.5)
    for name in ("grad-cam", "xgrad-cam", "hires-cam", "ablation-cam"):
        assert "every place speaks against" in texts(look(model, grey, OURS[name], target=0))[0], name
        assert "zero everywhere" in " ".join(texts(look(model, grey, OURS[name], target=1))), name
    assert "2 are flat" in " ".join(texts(look(model, grey, OURS["score-cam"], target=0)))


def test_cam_is_refused_with_what_was_found() -> None:
    plain = OURS["cam"].verdict(wrapped("plain"))
    assert plain.level == "not possible" and "12 reads 11 (ReLU, 24)" in str(plain)
    with pytest.raises(Unmet, match="global average"):
        look(wrapped("plain"), photo(), OURS["cam"])
    with pytest.raises(Unmet, match="is none"):
        look(wrapped("residual"), photo(), OURS["cam"], target="layer2.conv1[3]")


def test_heads_are_found_behind_dropout_and_blocks_and_not_behind_more() -> None:
    torch = need("torch")
    nn = torch.nn

    def ending(*head: Any) -> Any:
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), *head).eval()
        found = head_of(cnnlens.wrap(net, preprocess={"size": 8}))
        return found if isinstance(found, str) else (found.maps.name, found.dense.name)

    pooled = (nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert ending(*pooled, nn.Dropout(0.5), nn.Sequential(nn.Dropout(0.1), nn.Linear(4, 3))) == ("1", "5.1")
    assert ending(nn.AvgPool2d(6), nn.Flatten(), nn.Linear(4, 3), nn.Softmax(1)) == ("1", "4")
    assert "reads 2 (AdaptiveMaxPool2d" in ending(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    assert ending(*pooled, nn.Linear(4, 3)) == ("1", "4")
    assert "ReLU" in ending(*pooled, nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    assert "has no dense layer" in ending(nn.Conv2d(4, 3, 1), *pooled)


def test_layers_with_few_places_or_one() -> None:
    model, chosen = wrapped("plain"), OURS["grad-cam"]
    assert chosen.verdict(model).level == "valid"
    torch = need("torch")
    small = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 8, 8), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
                                torch.nn.Flatten(), torch.nn.Linear(4, 5))  # fmt: skip
    few = cnnlens.wrap(small.eval(), preprocess={"size": 24})
    for name in LAYERED:
        verdict = OURS[name].verdict(few)
        assert verdict.level == "approximate" and "1 has 3×3 places, each of 8×8 pixels" in str(verdict), name
    with pytest.raises(Unmet, match="a map of one place shows nothing"):
        look(few, photo(), chosen, layer="2")
    with pytest.raises(Unmet, match="layer '4' has no places"):
        look(few, photo(), chosen, layer="1,4")
    for name in ("grad-cam++", "xgrad-cam", "smooth-grad-cam++"):
        assert "either sign" in str(OURS[name].verdict(model, {"layer": "3"}))


def test_finer_cam_names_what_it_takes_away_and_is_a_difference() -> None:
    model = wrapped("residual")
    probe = Probe(model, photo(1), "lynx")
    near = sorted((i for i in range(5) if i != 2), key=lambda i: abs(probe.scores[i] - probe.scores[2]))[:2]
    result = look(model, probe, OURS["finer-cam"], classes=2, alpha=0.5, positive=False)
    maps = [look(model, photo(1), OURS["grad-cam"], target=i, positive=False).array for i in (2, *near)]
    assert np.allclose(result.array, maps[0] - 0.25 * (maps[1] + maps[2]), atol=1e-6)
    assert texts(result)[0] == f"lynx, less 0.5 × the mean of: {NAMES[near[0]]}, {NAMES[near[1]]}"
    whole = look(model, probe, OURS["finer-cam"], classes=1, alpha=1, positive=False).array
    pair = look(model, photo(1), OURS["grad-cam"], target=f"lynx - {NAMES[near[0]]}", positive=False).array
    assert np.allclose(whole, pair, atol=1e-6)
    with pytest.raises(Unmet, match="compares classes"):
        look(model, photo(1), OURS["finer-cam"], target="layer2.conv1[3]")


def test_units_and_differences_can_be_explained_too() -> None:
    model = wrapped("residual")
    for name in LAYERED:
        if name != "finer-cam":
            shown = look(model, photo(1), OURS[name], target="layer3.conv2[3]", layer="layer2.relu#2")
            assert shown.array.shape == (16, 16)
    with pytest.raises(Unmet, match="no probability"):
        look(model, photo(1), OURS["score-cam"], target="layer3.conv2[3]", of="probability")
    cam = look(model, photo(1), OURS["cam"], target="lynx - tram").array
    parts = [look(model, photo(1), OURS["cam"], target=name).array for name in ("lynx", "tram")]
    assert np.allclose(cam, parts[0] - parts[1], atol=1e-5)


def test_a_stop_is_let_through() -> None:
    class Stopped(cnnlens.CnnlensError):
        pass

    def stop(done: int, total: int) -> None:
        raise Stopped(f"{done} of {total}")

    model: Model = wrapped("residual")
    firsts = (("score-cam", MOST, 12), ("ablation-cam", 12, 12), ("smooth-grad-cam++", MOST, 20))
    for name, first, total in firsts:  # from a layer of small maps on, more are run at once
        with pytest.raises(Stopped, match=f"{first} of {total}"):
            look(model, photo(), OURS[name], progress=stop, layer="layer2.relu#2")


def test_the_input_may_be_of_any_shape() -> None:
    torch = need("torch")
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, 2, 1), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
                              torch.nn.Flatten(), torch.nn.Linear(4, 5))  # fmt: skip
    model = cnnlens.wrap(net.eval(), preprocess={**SPEC, "size": (16, 32)})
    for name, chosen in OURS.items():
        wanted = (16, 32) if name == "full-grad" else (8, 16)
        assert look(model, photo(), chosen).array.shape == wanted, name
