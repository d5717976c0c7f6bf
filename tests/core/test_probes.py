"""Several pictures together: one probe after another, one result, and what is told of it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from needs import need
from PIL import Image

import cnnlens
from cnnlens import Heatmap, Model, Note, Probe, Probes, look, sheet, visualiser
from cnnlens.errors import BadSetting, Cancelled, CannotOpen, PluginFailed, Unmet, UsageError
from cnnlens.testing import check_visualiser, picture, tiny_torch
from cnnlens.tiny import TinyModel


class Counting(TinyModel):
    """Counts pictures through the network."""

    passes = 0

    def forward(self, fed: Any, *rest: Any) -> Any:
        self.passes += len(fed)
        return super().forward(fed, *rest)


@visualiser(title="Mean score", by_target=True)
def mean_score(probes: Probes) -> Note:
    """The target's value, averaged over the pictures."""
    return Note(f"{np.mean([probe.score for probe in probes]):.6f} of {len(probes)}")


@visualiser(title="Mean map", needs={"activations"}, by_target=False)
def mean_map(probes: Probes) -> Heatmap:
    """The first map of the activation, averaged over the pictures."""
    return Heatmap(np.mean([probe.activations("relu")[..., 0] for probe in probes], axis=0))


@visualiser(title="Hidden", cost=cnnlens.Cost(3))
def hidden(probes: Probes) -> Note:
    """What is left of the score with two boxes hidden, picture by picture."""
    return Note(str([probe.hide([(0, 0, 2, 2), (4, 4, 6, 6)], 0.0).tolist() for probe in probes]))


def pictures(model: Model, count: int = 3) -> list[Any]:
    return [picture(model, seed) for seed in range(count)]


def test_one_result_of_several_pictures() -> None:
    model = Counting()
    some = pictures(model)
    result = look(model, some, mean_map)
    assert model.passes == 3
    slow = np.mean([look(model, one, "feature-maps", layer="relu").array[0] for one in some], axis=0)
    np.testing.assert_allclose(result.array, slow, rtol=1e-6)
    assert result.pixels is None, "no picture of several lies under the map"
    facts = result.facts
    assert facts["image"] == "3 pictures" and len(facts["image_sha256"]) == 64
    digests = [cnnlens.open_image(one).digest for one in some]
    assert [one["sha256"] for one in facts["images"]] == digests
    assert "score" not in facts and "target" not in facts
    other = look(model, some[::-1], mean_map).facts
    assert other["image_sha256"] != facts["image_sha256"]


def test_one_picture_is_told_of_as_by_any_visualiser() -> None:
    model = Counting()
    one = look(model, picture(model), mean_score, target="square")
    same = look(model, [picture(model)], mean_score, target="square")
    twin = look(model, picture(model), "saliency", target="square").facts
    for facts in (one.facts, same.facts):
        assert {name: facts[name] for name in ("image", "image_sha256", "target_name", "score")} == {
            name: twin[name] for name in ("image", "image_sha256", "target_name", "score")
        }
        assert "images" not in facts
    assert one.notes == same.notes and one.pixels is not None


def test_each_picture_is_asked_about_its_own_first_class_and_a_named_one_about_all() -> None:
    model = Counting()
    some = pictures(model, 4)
    for target in ("top1", "circle"):
        told = look(model, some, mean_score, target=target)
        wanted = np.mean([Probe(model, one, target).score for one in some])
        assert told.notes[0] == f"{wanted:.6f} of 4"
        assert told.facts["target"] == target
    assert told.facts["target_name"] == "circle"


def test_a_probe_lends_its_memory() -> None:
    model = Counting()
    probe = Probe(model, picture(model), "square")
    look(model, probe, "feature-maps", layer="relu")
    assert model.passes == 1
    look(model, probe, mean_map)
    look(model, [probe, picture(model, 1)], mean_map)
    assert model.passes == 2
    assert look(model, probe, mean_score).facts["target_name"] == "square"
    with pytest.raises(Unmet, match="another model"):
        look(model, [Probe(Counting(), picture(model))], mean_map)
    with pytest.raises(Unmet, match="another model"):
        look(model, Probes(Counting(), pictures(model)), mean_map)


def test_a_sheet_has_one_result_of_all_pictures() -> None:
    model = Counting()
    made = sheet(
        model, pictures(model), ["saliency", mean_map, mean_score, "filter-weights"], targets=["top1", "top2"]
    )
    told = [(r.facts["visualiser"], r.facts.get("image"), r.facts.get("target")) for r in made]
    assert told[:4] == [
        ("filter-weights", None, None),
        ("mean-map", "3 pictures", None),
        ("mean-score", "3 pictures", "top1"),
        ("mean-score", "3 pictures", "top2"),
    ]
    assert [name for name, *_ in told[4:]] == ["saliency"] * 6
    model.passes = 0
    alone = sheet(
        model, picture(model), ["feature-maps", mean_map], settings={"feature-maps": {"layer": "relu"}}
    )
    assert len(alone) == 2 and model.passes == 1, "of one picture they share the pass"


def test_one_file_holds_it_and_is_named_by_their_number(tmp_path: Path) -> None:
    model = Counting()
    made = sheet(model, pictures(model), [mean_map])
    assert [path.name for path in made.save(tmp_path)] == ["3_pictures-mean-map.png"]
    assert made[0].save(tmp_path / "x.npz").exists()
    with np.load(tmp_path / "x.npz") as held:
        assert "input" not in held and held["panel0"].shape == (6, 6)


def test_memory_holds_the_first_picture_and_the_one_at_hand() -> None:
    model = Counting()
    seen: list[weakref.ref[Probe]] = []
    most = 0
    for probe in Probes(model, pictures(model, 8)):
        probe.activations("relu")
        seen.append(weakref.ref(probe))
        gc.collect()
        most = max(most, sum(one() is not None for one in seen))
    assert (
        most <= 3 and len(seen) == 8
    )  # the first, the one before, which the loop's variable held, and this one


def test_pictures_are_opened_when_they_are_come_to(tmp_path: Path) -> None:
    model, opened = Counting(), []

    def open(name: str) -> Any:
        opened.append(name)
        return picture(model, len(opened))

    probes = Probes(model, ["a", "b", "c"], open=open)
    assert opened == ["a"]
    for number, _ in enumerate(probes, 1):
        assert len(opened) == number
    some = [tmp_path / f"{n}.png" for n in range(2)]
    for one in some:
        Image.fromarray((picture(model) * 255).astype(np.uint8)).save(one)
    probes = Probes(model, some)
    assert [one["name"] for one in probes.origins] == ["0.png", "1.png"], "those not come to are told of too"


def test_progress_is_of_all_pictures_and_stops_between_them() -> None:
    model = Counting()
    seen: list[tuple[int, int]] = []
    look(model, pictures(model), mean_map, progress=lambda *at: seen.append(at))
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    seen.clear()
    look(model, pictures(model), hidden, progress=lambda *at: seen.append(at))
    assert seen[-1] == (6, 6) and (2, 6) in seen and (4, 6) in seen
    shares = [done / total for done, total in seen]
    assert shares == sorted(shares)

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise Cancelled("stopped")

    model.passes = 0
    with pytest.raises(Cancelled):
        look(model, pictures(model, 5), mean_map, progress=stop)
    assert model.passes == 2


def test_what_cannot_be_looked_at() -> None:
    model = Counting()
    with pytest.raises(Unmet, match="given none"):
        look(model, None, mean_map)
    with pytest.raises(Unmet, match="no picture to look at"):
        look(model, [], mean_map)
    with pytest.raises(
        UsageError, match=r"Saliency reads one picture at a time: cnnlens\.sheet takes several"
    ):
        look(model, ["a.png", "b.png"], "saliency")
    with pytest.raises(UsageError, match="one picture at a time"):
        look(model, Probes(model, pictures(model)), "saliency")
    with pytest.raises(CannotOpen):
        look(model, [picture(model), "nowhere.png"], mean_map)
    assert model.passes == 1, "it was opened when it was come to"
    with pytest.raises(CannotOpen):
        sheet(model, [picture(model), "nowhere.png"], [mean_map])
    assert model.passes == 1, "a sheet opens all before"


def test_a_first_parameter_that_is_none_of_the_three_is_refused() -> None:
    def several(probes: Sequence[Probe]) -> Note:
        """Takes what nobody hands over."""
        return Note("")

    with pytest.raises(BadSetting, match="for several pictures say `Probes`, which is iterated over"):
        visualiser(title="Several")(several)  # type: ignore[arg-type]
    assert mean_map.reads_several and mean_map.reads_image and not mean_map.by_target
    assert not any(one.reads_several and not one.reads_image for one in cnnlens.visualisers())


def test_numbers_that_are_not_finite_are_traced_to_a_picture() -> None:
    model = Counting()
    some = pictures(model, 4)
    odd = picture(model, 9)
    odd[0, 0, 0] = 1e-3

    @visualiser(title="Divided", by_target=False)
    def divided(probes: Probes) -> Heatmap:
        """Its own sums go wrong."""
        total = sum(probe.activations("relu")[..., 0] for probe in probes)
        return Heatmap(np.where(total >= 0, np.nan, 0))

    told = look(model, some, divided).notes
    assert len(told) == 1 and "made by the visualiser's own sums" in told[0]

    class Overflowing(Counting):
        """One picture, known by a pixel, makes an infinity in the convolution."""

        def forward(self, fed: Any, *rest: Any) -> Any:
            ran = super().forward(fed, *rest)
            if np.isclose(fed[0, 0, 0, 0], self.input.encode(odd[None])[0, 0, 0, 0]):
                for values in ran.activations.values():
                    values[..., 0] = np.inf
            return ran

    result = look(Overflowing(), [*some, odd], mean_map)
    (note,) = result.notes
    assert "with array they begin at conv" in note and not np.isfinite(result.array).all()


def test_one_that_falls_over_is_named() -> None:
    model = Counting()

    @visualiser(title="Broken")
    def broken(probes: Probes) -> Note:
        """Fails at the second picture."""
        for number, probe in enumerate(probes):
            assert probe.score and number == 0
        return Note("")

    with pytest.raises(PluginFailed, match="visualiser 'broken' failed: AssertionError"):
        look(model, pictures(model), broken)


def test_a_lower_precision_is_measured_on_the_first() -> None:
    need("torch")
    model = cnnlens.wrap(tiny_torch(), preprocess=TinyModel.spec).computing_in("bf16")
    result = look(model, pictures(model), mean_map)
    assert result.facts["precision"]["measured_on"] == "array"
    assert any("the first of 3 pictures" in note for note in result.notes)
    assert "measured_on" not in look(model, picture(model), mean_map).facts["precision"]


@pytest.mark.parametrize("one", [mean_score, mean_map, hidden], ids=lambda one: one.name)
def test_the_contract(one: Any) -> None:
    check_visualiser(one)
