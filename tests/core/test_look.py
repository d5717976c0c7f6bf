"""look and sheet: what is checked before a run, what is shared, what a result says of itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import cnnlens
from cnnlens import Heatmap, Impossible, MapsLayer, Model, Note, Probe, Tiles, look, visualiser
from cnnlens.errors import BadInput, Cancelled, CannotOpen, PluginFailed, UnknownName, Unmet, UsageError
from cnnlens.testing import picture, tiny_model
from cnnlens.tiny import TinyModel


class Counting(TinyModel):
    """Counts pictures through the network."""

    passes = 0

    def forward(self, fed: Any, *rest: Any) -> Any:
        self.passes += len(fed)
        return super().forward(fed, *rest)


def test_every_fact_of_a_result(tiny: Model) -> None:
    result = look(tiny, picture(tiny), "occlusion", target="square", window=4, stride=4)
    facts = result.facts
    assert facts["visualiser"] == "occlusion" and facts["model"] == "tiny" and facts["framework"] == "numpy"
    assert facts["settings"] == {"window": 4.0, "stride": 4.0, "fill": "mean", "of": "score"}
    assert facts["target_name"] == "square" and facts["target_index"] == 1
    assert facts["score"] == pytest.approx(float(tiny.trace(picture(tiny)[None]).scores[0, 1]))
    assert facts["cost"] == "5 forward passes" and facts["seconds"] >= 0
    assert facts["preprocess"]["mean"] == (0.5,) and len(facts["image_sha256"]) == 64
    assert facts["versions"]["cnnlens"] == cnnlens.__version__
    assert "square" in result.caption and "tiny" in result.caption


def test_one_pass_serves_all_who_ask_for_the_same() -> None:
    model = Counting()
    probe = Probe(model, picture(model))
    look(model, probe, "grad-cam", layer="relu")
    assert model.passes == 1  # the class, the activations and the gradients
    look(model, probe, "class-probabilities")
    look(model, probe, "feature-maps", layer="relu")
    look(model, probe, "grad-cam", layer="relu", positive=False)
    assert model.passes == 1
    look(model, probe.towards("top2"), "grad-cam", layer="relu")
    assert model.passes == 2
    look(model, probe, "saliency")
    assert model.passes == 3


def test_a_sheet_runs_each_visualiser_no_more_often_than_it_must() -> None:
    model = Counting()
    images = [picture(model, 1), picture(model, 2)]
    made = cnnlens.sheet(
        model, images, ["filter-weights", "feature-maps", "grad-cam"], targets=["top1", "top2", "top3"]
    )
    kinds = [r.facts["visualiser"] for r in made]
    assert (
        kinds.count("filter-weights") == 1
        and kinds.count("feature-maps") == 2
        and kinds.count("grad-cam") == 6
    )
    assert [r.facts["target"] for r in made if r.facts["visualiser"] == "grad-cam"] == [
        "top1",
        "top2",
        "top3",
    ] * 2
    one = look(model, images[1], "grad-cam", target="top3")
    assert np.array_equal(made[-1].array, one.array)


def test_what_cannot_be_done_is_refused_before_the_model_runs() -> None:
    model = Counting(cannot={"gradients": "it is a stone"})
    with pytest.raises(Unmet, match="Saliency needs gradients: it is a stone"):
        look(model, picture(model), "saliency")
    with pytest.raises(UnknownName, match="did you mean 'saliency'"):
        look(model, picture(model), "salency")
    with pytest.raises(UnknownName, match="did you mean 'square'"):
        look(model, picture(model), "occlusion", target="sqare")
    with pytest.raises(Unmet, match="given none"):
        look(model, None, "occlusion")
    assert model.passes == 0


def test_progress_is_told_and_can_stop_the_work(tiny: Model) -> None:
    seen: list[tuple[int, int]] = []
    look(tiny, picture(tiny), "occlusion", window=2, stride=2, progress=lambda *at: seen.append(at))
    assert seen[-1] == (16, 16) and seen == sorted(seen)

    def stop(done: int, total: int) -> None:
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        look(tiny, picture(tiny), "occlusion", progress=stop)


def test_a_visualiser_that_raises_is_named(tiny: Model) -> None:
    @visualiser(title="Broken")
    def broken(probe: Probe) -> Note:
        """Always fails."""
        raise ZeroDivisionError("by zero")

    with pytest.raises(PluginFailed, match="visualiser 'broken' failed: ZeroDivisionError: by zero"):
        look(tiny, picture(tiny), broken)


@pytest.mark.parametrize("answer", [None, 3, [], [Note("a"), 3], np.zeros((2, 2))])
def test_an_answer_that_is_no_panel_is_refused(tiny: Model, answer: Any) -> None:
    @visualiser(title="Odd")
    def odd(probe: Probe) -> Note:
        """Returns whatever."""
        return answer  # type: ignore[no-any-return]

    with pytest.raises(PluginFailed, match="not a panel"):
        look(tiny, picture(tiny), odd)


def test_several_panels_in_one_answer(tiny: Model) -> None:
    @visualiser(title="Two")
    def two(probe: Probe) -> tuple[Note, Heatmap]:
        """A note and a map."""
        return Note("first"), Heatmap(probe.activations("relu")[..., 0])

    result = look(tiny, picture(tiny), two)
    assert [type(p).__name__ for p in result.panels] == ["Note", "Heatmap"]
    assert result.array.shape == (6, 6)


def test_a_probe_of_another_model_is_refused(tiny: Model) -> None:
    other = tiny_model()
    with pytest.raises(Unmet, match="another model"):
        look(tiny, Probe(other, picture(other)), "saliency")


def test_results_cannot_be_written_to(tiny: Model) -> None:
    panels = look(tiny, picture(tiny), "feature-maps").panels
    assert isinstance(panels[0], Tiles)
    with pytest.raises(ValueError, match="read-only"):
        panels[0].values[0] = 0


def test_the_model_is_used_by_one_thread_at_a_time() -> None:
    from concurrent.futures import ThreadPoolExecutor

    inside: list[int] = []

    class Watched(TinyModel):
        def forward(self, *given: Any) -> Any:
            inside.append(1)
            assert sum(inside) == 1
            answer = super().forward(*given)
            inside.append(-1)
            return answer

    model = Watched()
    images = [picture(model, seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers: Iterator[Any] = pool.map(lambda image: look(model, image, "grad-cam").array, images)
        for image, answer in zip(images, answers, strict=True):
            assert np.array_equal(answer, look(model, image, "grad-cam").array)


def test_a_visualiser_of_one_framework_says_so(tiny: Model) -> None:
    @visualiser(title="Torch only", frameworks={"torch"})
    def torch_only(probe: Probe) -> Note:
        """Reads the module."""
        return Note(type(probe.model.native).__name__)

    assert torch_only.why_not(tiny) == "Torch only reads models of torch; this is numpy"
    with pytest.raises(Unmet, match="reads models of torch"):
        look(tiny, picture(tiny), torch_only)


def test_a_probe_is_asked_what_look_is_asked(tiny: Model) -> None:
    probe = Probe(tiny, picture(tiny), "circle")
    assert look(tiny, probe, "saliency").facts["target_name"] == "circle"
    assert look(tiny, probe, "saliency", target="square").facts["target_name"] == "square"
    assert np.array_equal(
        look(tiny, probe, "saliency", target=1).array, look(tiny, picture(tiny), "saliency", target=1).array
    )
    with pytest.raises(UnknownName, match="no class 'nonsense'"):
        look(tiny, probe, "saliency", target="nonsense")


def test_a_sheet_of_one_picture_and_what_it_refuses_first() -> None:
    model = Counting()
    assert len(cnnlens.sheet(model, picture(model), ["saliency"])) == 1
    before = model.passes
    bad: list[Any] = [picture(model), b"no picture"]
    with pytest.raises(CannotOpen, match="not a picture"):
        cnnlens.sheet(model, bad, ["saliency"])
    with pytest.raises(UnknownName, match="did you mean 'square'"):
        cnnlens.sheet(model, picture(model), ["saliency"], targets=["top1", "sqare"])
    with pytest.raises(UnknownName, match="among those asked for"):
        cnnlens.sheet(model, picture(model), ["saliency"], settings={"oclusion": {}})
    assert model.passes == before


def test_what_is_no_model_and_no_visualiser_is_told(tiny: Model) -> None:
    with pytest.raises(UsageError, match=r"hand it to cnnlens\.wrap first"):
        look(object(), picture(tiny), "saliency")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="under @visualiser"):
        look(tiny, picture(tiny), print)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="not True"):
        look(tiny, picture(tiny), "saliency", target=True)


def test_what_needs_one_score_for_each_class_is_told_where_there_are_more() -> None:
    @visualiser(title="Ranking", needs={"classes"})
    def ranking(probe: Probe) -> Note:
        """The order of the classes."""
        return Note(str(probe.scores.argsort()))

    model = tiny_model(cannot={"classes": "its scores are 4×4×21 a picture"})
    with pytest.raises(Unmet, match="needs classes: its scores are 4×4×21"):
        look(model, picture(model), ranking)


def test_a_visualiser_is_judged_once_at_the_settings_that_run(tiny: Model) -> None:
    asked: list[str] = []

    def judge(model: Model, settings: Any) -> Iterator[Impossible]:
        asked.append(settings["layer"])
        if settings["layer"] != "conv":
            yield Impossible(f"{settings['layer']} is not the convolution")

    @visualiser(title="Picky", judge=judge)
    def picky(probe: Probe, *, layer: MapsLayer = "last") -> Heatmap:
        """Only at the convolution, which is not the last layer with maps."""
        return Heatmap(probe.activations(layer)[..., 0])

    assert look(tiny, picture(tiny), picky, layer="conv").facts["verdict"]["level"] == "valid"
    assert asked == ["conv"]
    made = cnnlens.sheet(tiny, [picture(tiny)] * 2, [picky], settings={"picky": {"layer": "first"}})
    assert len(made) == 2 and asked == ["conv"] * 2
    with pytest.raises(Unmet, match="is not the convolution"):
        look(tiny, picture(tiny), picky)
    with pytest.raises(Unmet, match="is not the convolution"):
        cnnlens.sheet(tiny, picture(tiny), [picky])


def test_a_model_that_cannot_is_told_before_its_settings(tiny: Model) -> None:
    @visualiser(title="Elsewhere", frameworks={"torch"})
    def elsewhere(probe: Probe, *, count: int = 1) -> Heatmap:
        """Of another framework."""
        return Heatmap(probe.pixels[..., 0] * count)

    with pytest.raises(Unmet, match="reads models of torch"):
        look(tiny, picture(tiny), elsewhere, count="many")
