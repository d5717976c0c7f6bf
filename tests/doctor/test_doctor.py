"""The doctor on nets whose preprocessing is known, on nets that were made ill on purpose, and on odd folders."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapes
from needs import need
from PIL import Image

import cnnlens
from cnnlens import Model
from cnnlens.doctor import Diagnosis
from cnnlens.errors import CannotOpen, Unmet
from cnnlens.testing import assert_untouched, snapshot

torch = need("torch")
nn = torch.nn
doctor = cnnlens.doctor


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen pictures of each class, none of them trained on."""
    return shapes.write(tmp_path_factory.mktemp("shapes"), 16)


@pytest.fixture(scope="session")
def net() -> Any:
    """Trained on −1..1 in BGR."""
    return shapes.torch_net("-1..1 BGR")


def wrapped(native: Any, **options: Any) -> Model:
    given: dict[str, Any] = {"preprocess": {"size": shapes.SIDE}, "labels": list(shapes.NAMES)}
    return cnnlens.wrap(native, **(given | options))


# -- preprocessing ------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["-1..1 BGR", "caffe", "imagenet"])
def test_the_right_preprocessing_is_found(how: str, net: Any, folder: Path) -> None:
    model = wrapped(shapes.torch_net(how))
    before = snapshot(model)
    found = doctor(model, folder)
    assert_untouched(before, snapshot(model), "doctor")
    assert len(found.trials) >= 6
    assert found.verdict is not None and found.verdict.told, str(found)
    assert found.verdict.best.name == how
    assert found.verdict.p < 0.01 and "preprocessing" in found.codes("wrong")
    assert f"Trained with: {how}, ahead of" in str(found)
    eight, _ = shapes.pictures(6, seed=9)
    assert found.preprocess is not None
    assert np.allclose(found.preprocess.encode(eight / np.float32(255)), shapes.fed(eight, how), atol=1e-3)


def test_what_it_writes_opens_the_model_right(net: Any, folder: Path, tmp_path: Path) -> None:
    doctor(wrapped(net), folder).save(tmp_path / "p.json")
    model = wrapped(net, preprocess=str(tmp_path / "p.json"))
    found = doctor(model, folder)
    assert found.codes("wrong") == set() and found.verdict is not None
    assert found.verdict.best.candidate.opened
    assert model.input.source == "file p.json"
    assert "Nothing wrong was found." in str(found)


def test_few_pictures_tell_nothing(net: Any, folder: Path) -> None:
    found = doctor(wrapped(net), folder, limit=6)
    assert found.verdict is not None and not found.verdict.told and found.preprocess is None
    assert "Cannot tell which one it was trained with: there are too few pictures" in str(found)
    assert not found.codes("wrong")
    assert "6 of 96 pictures used" in str(found)
    with pytest.raises(Unmet, match="cannot be told"):
        found.save("nowhere.json")


def test_pictures_of_something_else(net: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(60):
        place = tmp_path / shapes.NAMES[number % 6]
        place.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(place / f"{number}.png")
    found = doctor(wrapped(net), tmp_path)
    assert "at-chance" in found.codes("wrong") and found.preprocess is None
    assert "no candidate is better than chance" in str(found)


def test_without_labels_confidence_is_shown_and_nothing_decided(
    net: Any, folder: Path, tmp_path: Path
) -> None:
    for path in sorted(folder.rglob("*.png"))[:20]:
        shutil.copy(path, tmp_path / path.name)
    found = doctor(wrapped(net), tmp_path)
    assert found.verdict is None and found.preprocess is None
    assert "accuracy needs labels" in str(found)
    facts = found.facts()
    assert all("entropy" in c and "top1" not in c for c in facts["candidates"])
    json.dumps(facts)


def test_the_way_to_fit_and_the_size(folder: Path, tmp_path: Path) -> None:
    """A net that reads any size, opened at 48; its pictures are 16, and that is what it was trained with."""
    found = doctor(wrapped(shapes.torch_net("imagenet"), preprocess={"size": 48}), folder)
    assert found.verdict is not None and found.verdict.best.name == "imagenet at 16×16", str(found)
    assert "input-size" in found.codes("wrong")
    # wide pictures whose shape stands at the side: cut to the middle they show nothing
    wide = tmp_path / "wide"
    for number, path in enumerate(folder.rglob("*.png")):
        times = 2 + number % 2  # no size that all share
        picture = np.asarray(Image.open(path)).repeat(times, 0).repeat(times, 1)
        (wide / path.parent.name).mkdir(parents=True, exist_ok=True)
        aside = np.roll(picture, 8 * times, 1).repeat(3, 1)
        Image.fromarray(aside).save(wide / path.parent.name / path.name)
    found = doctor(wrapped(shapes.torch_net("imagenet"), preprocess={"size": 16, **shapes.IMAGENET}), wide)
    assert found.verdict is not None and found.verdict.best.name.endswith("squash"), str(found)


# -- labels -------------------------------------------------------------------------------------


def test_labels_in_the_wrong_order(net: Any, folder: Path) -> None:
    wrong = [shapes.NAMES[i] for i in (3, 0, 4, 1, 5, 2)]
    found = doctor(wrapped(net, labels=wrong), folder)
    finding = next(f for f in found.findings if f.code == "label-order")
    assert finding.facts["suggested"] == list(shapes.NAMES)
    assert "the alphabet's" in finding.text
    assert found.verdict is not None and found.verdict.best.name == "-1..1 BGR"
    assert "reordered" in str(found) and "top1_reordered" in found.facts()["candidates"][0]


def test_labels_in_the_right_order_are_left_alone(net: Any, folder: Path) -> None:
    assert "label-order" not in doctor(wrapped(net), folder).codes()


def test_labels_from_a_csv(net: Any, folder: Path, tmp_path: Path) -> None:
    lines = ["file,label"]
    for path in sorted(folder.rglob("*.png")):
        shutil.copy(path, tmp_path / path.name)
        lines.append(f"{path.name},{path.parent.name.upper().replace(' ', '_')}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    by_folder = doctor(wrapped(net), tmp_path)
    by_csv = doctor(wrapped(net), tmp_path / "labels.csv")
    numbers = [f"{p.name},{shapes.NAMES.index(p.parent.name)}" for p in sorted(folder.rglob("*.png"))]
    (tmp_path / "other.csv").write_text("\n".join(numbers))
    by_number = doctor(wrapped(net, labels=None), tmp_path, labels_csv=tmp_path / "other.csv")
    for found in (by_folder, by_csv, by_number):
        assert found.verdict is not None and found.verdict.best.name == "-1..1 BGR"
        assert "of 6 classes" in found.pictures


def test_labels_that_are_no_classes(net: Any, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "all")
    (tmp_path / "all" / "red disc").rename(tmp_path / "all" / "zebra")
    some = doctor(wrapped(net), tmp_path / "all")
    assert any("left out: zebra" in note for note in some.notes) and "of 5 classes" in some.pictures
    none = doctor(wrapped(net, labels=[f"kind {i}" for i in range(6)]), tmp_path / "all")
    assert none.verdict is None and any("no label is a class of the model" in note for note in none.notes)
    unnamed = doctor(wrapped(net, labels=None), folder)
    assert any("alphabetical order" in note for note in unnamed.notes) and unnamed.verdict is not None


def test_files_that_are_no_pictures_are_left_out_and_named(net: Any, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "all")
    (tmp_path / "all" / "red disc" / "bad.png").write_text("no picture")
    found = doctor(wrapped(net), tmp_path / "all", limit=200)
    assert any("1 files could not be read" in note and "bad.png" in note for note in found.notes)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_text("no picture")
    with pytest.raises(CannotOpen, match="none of the 1 files is a picture"):
        doctor(wrapped(net), tmp_path / "bad")


@pytest.mark.parametrize(
    ("text", "told"),
    [("a.png,x\nb.png", "line 2"), ("nowhere.png,x", "1 of 1 files"), ("", "holds no picture")],
)
def test_a_csv_that_is_wrong(net: Any, tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "labels.csv").write_text(text)
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_text("x")
    with pytest.raises(CannotOpen, match=told):
        doctor(wrapped(net), tmp_path)


def test_a_place_that_is_none(net: Any, tmp_path: Path) -> None:
    with pytest.raises(CannotOpen, match="no such folder"):
        doctor(wrapped(net), tmp_path / "nowhere")
    with pytest.raises(CannotOpen, match="holds no picture"):
        doctor(wrapped(net), tmp_path)


# -- ill nets -----------------------------------------------------------------------------------


def sick(*ending: Any, start: Any = None) -> Model:
    """A net of random weights with something wrong."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        norm = nn.BatchNorm2d(8)
        norm.running_mean += 0.1
        middle = [nn.Conv2d(3, 8, 3), norm, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        dense = nn.Linear(8, 4)
    return cnnlens.wrap(
        nn.Sequential(*([start] if start else []), *middle, dense, *ending).eval(),
        preprocess={"size": 16, "range": (-3, 3)},
    )


def test_nothing_is_wrong_with_a_healthy_net() -> None:
    found = doctor(sick(nn.Softmax(1)))
    assert found.codes() == set() and "Nothing wrong was found." in str(found)
    assert doctor(sick()).codes() == {"softmax-missing"} == doctor(sick()).codes("note")


def test_weights_that_are_not_finite_are_named() -> None:
    model = sick()
    with torch.no_grad():
        model.native[0].weight[0, 0, 0, :2] = float("nan")
        model.native[5].bias[1] = float("inf")
    found = doctor(model)
    finding = next(f for f in found.findings if f.code == "not-finite")
    assert finding.facts["layers"] == ["0.kernel (2 of 216)", "5.bias (1 of 4)"]
    assert "scores-not-finite" in found.codes("wrong")


def test_statistics_that_nobody_trained() -> None:
    model = sick()
    model.native[1].reset_running_stats()
    assert "untrained-statistics" in doctor(model).codes("wrong")


def test_modules_in_training_mode() -> None:
    model = sick(nn.Dropout(0.5))
    model.native.train()
    found = doctor(model)
    finding = next(f for f in found.findings if f.code == "training-mode")
    assert finding.facts["modules"] == ["1", "6"]
    assert model.native.training and "random" not in found.codes()


class AlwaysDropout(nn.Module):  # type: ignore[misc, name-defined]
    def forward(self, x: Any) -> Any:
        return nn.functional.dropout(x, 0.5, training=True)


def test_dropout_that_no_eval_stops() -> None:
    assert "random" in doctor(sick(AlwaysDropout())).codes("wrong")


def test_a_batch_normalisation_by_the_batch() -> None:
    found = doctor(sick(start=nn.BatchNorm2d(3, track_running_stats=False)))
    assert "batch-dependent" in found.codes("wrong") and "random" not in found.codes()


def test_a_softmax_too_many_and_a_sigmoid_too_many() -> None:
    doubled = doctor(sick(nn.Softmax(1), nn.Softmax(1)))
    assert "softmax-doubled" in doubled.codes("wrong") and "above 0.475" in str(doubled)
    assert "sigmoid-doubled" in doctor(sick(nn.Sigmoid(), nn.Sigmoid())).codes("doubtful")


def test_a_softmax_that_was_taken_twice_in_training_shows_in_the_answers(net: Any, folder: Path) -> None:
    timid = copy.deepcopy(net)
    with torch.no_grad():
        timid[-1].weight *= 0.05
        timid[-1].bias *= 0.05
    found = doctor(wrapped(timid), folder)
    assert found.verdict is not None and found.verdict.best.name == "-1..1 BGR"
    assert "timid" in found.codes("doubtful")


def test_outputs_that_are_dead(net: Any, folder: Path) -> None:
    model = sick()
    with torch.no_grad():
        model.native[5].weight[2] = 0
    finding = next(f for f in doctor(model).findings if f.code == "dead-outputs")
    assert finding.facts["classes"] == [2]
    with torch.no_grad():
        model.native[5].weight[:] = 0
    assert "blind" in doctor(model).codes("wrong")
    buried = copy.deepcopy(net)
    with torch.no_grad():
        buried[-1].bias[4] -= 50
    found = doctor(wrapped(buried, preprocess={"size": 16, "range": (-1, 1), "order": "BGR"}), folder)
    finding = next(f for f in found.findings if f.code == "dead-outputs")
    assert finding.facts["classes"] == [4] and "red disc" in finding.text


def test_one_answer_to_everything(net: Any, folder: Path) -> None:
    stuck = copy.deepcopy(net)
    with torch.no_grad():
        stuck[-1].bias[0] += 1e6
    found = doctor(wrapped(stuck, preprocess={"size": 16, "range": (-1, 1), "order": "BGR"}), folder)
    assert found.codes("wrong") == {"one-answer", "at-chance"}
    assert "every picture is blue disc to it" in str(found)


def test_a_size_that_nobody_said() -> None:
    native = sick().native
    found = doctor(cnnlens.wrap(native))
    finding = next(f for f in found.findings if f.code == "size-assumed")
    assert 32 in finding.facts["accepts"]


def test_two_classes_by_one_score(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(40):
        place = tmp_path / ("yes" if number % 2 else "no")
        place.mkdir(exist_ok=True)
        level = 150 if number % 2 else 90
        eight = np.clip(rng.normal(level, 25, (8, 8, 1)).repeat(3, -1), 0, 255).astype(np.uint8)
        Image.fromarray(eight).save(place / f"{number}.png")
    net = nn.Sequential(nn.Conv2d(3, 1, 8), nn.Flatten(), nn.Sigmoid()).eval()
    with torch.no_grad():
        net[0].weight[:] = 20 / 192
        net[0].bias[:] = -20 * 120 / 255
    found = doctor(cnnlens.wrap(net, preprocess={"size": 8}), tmp_path)
    assert found.verdict is not None and not found.codes("wrong"), str(found)
    opened = next(trial for trial in found.trials if trial.candidate.opened)
    assert opened in (found.verdict.best, *found.verdict.tied) and opened.right.all()


def test_a_model_that_is_no_classifier(folder: Path) -> None:
    with pytest.raises(Unmet, match="doctor reads classifiers"):
        doctor(cnnlens.wrap(nn.Conv2d(3, 2, 3), preprocess={"size": 16}), folder)


def test_progress_and_stopping(net: Any, folder: Path) -> None:
    seen: list[tuple[int, int]] = []
    doctor(wrapped(net), folder, limit=12, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] and all(done <= total for done, total in seen)

    def stop(done: int, total: int) -> None:
        raise cnnlens.errors.Cancelled("stop")

    with pytest.raises(cnnlens.errors.Cancelled):
        doctor(wrapped(net), folder, progress=stop)


def test_the_report_is_words_and_values(net: Any, folder: Path) -> None:
    found = doctor(wrapped(net), folder)
    assert isinstance(found, Diagnosis)
    facts = json.loads(json.dumps(found.facts()))
    assert facts["verdict"]["statistic"].startswith("paired sign-flip test")
    assert {f["level"] for f in facts["findings"]} <= {"wrong", "doubtful", "note"}
    assert facts["candidates"][0]["pictures"] == 96
