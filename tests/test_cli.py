"""The command line on a small network: what it writes, what it says, and with which code it leaves."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from needs import need
from PIL import Image

from cnnlens import runtime
from cnnlens.cli import main
from cnnlens.testing import tiny_torch

torch = need("torch")


class Shell:
    """Runs commands on the small network saved in a folder with pictures."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        torch.save(tiny_torch().state_dict(), folder / "w.pt")
        (folder / "p.json").write_text('{"size": 8, "mean": 0.5, "std": 0.25}')
        (folder / "l.txt").write_text("circle\nsquare\ntriangle\n")
        (folder / "Makefile").write_text("all:\n")
        (folder / "few.txt").write_text("circle\nsquare\n")
        (folder / "pictures").mkdir()
        for name in ("a", "b"):
            noise = np.random.default_rng(ord(name)).integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(noise).save(folder / "pictures" / f"{name}.png")
        self.picture = str(folder / "pictures" / "a.png")
        self.model = [
            str(folder / "w.pt"), "--arch", "cnnlens.testing:tiny_torch",
            "--preprocess", str(folder / "p.json"), "--labels", str(folder / "l.txt"),
        ]  # fmt: skip

    def __call__(self, *words: Any) -> Result:
        result = CliRunner().invoke(main, [str(word) for word in words])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
        return result

    def run(self, visualiser: str, *words: Any) -> Result:
        return self("run", visualiser, *self.model, *words)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_a_picture_and_the_raw_values(shell: Shell) -> None:
    png, npz = shell.folder / "cam.png", shell.folder / "cam.npz"
    assert shell.run("grad-cam", shell.picture, "-o", png, "--target", "square").output == f"wrote {png}\n"
    with Image.open(png) as image:
        assert image.size[0] > 500
    assert shell.run("grad-cam", shell.picture, "-o", npz, "-t", "square", "--layer", "relu").exit_code == 0
    with np.load(npz) as held:
        facts = json.loads(str(held["manifest"]))["facts"]
        assert held["panel0"].shape == (6, 6) and held["input"].shape == (8, 8, 3)
    assert facts["settings"]["layer"] == "relu" and facts["target_name"] == "square"
    assert len(facts["checkpoint_sha256"]) == 64 and facts["preprocess"]["source"] == "file p.json"


def test_settings_reach_the_visualiser(shell: Shell) -> None:
    told = shell.run(
        "occlusion", shell.picture, "-s", "window=4", "-s", "stride=4", "-s", "fill=black", "--json"
    )
    facts = json.loads(told.output)["facts"]
    assert facts["settings"] == {"window": 4.0, "stride": 4.0, "fill": "black", "of": "score"}


def test_without_a_file_it_answers_in_words(shell: Shell) -> None:
    told = shell.run("class-probabilities", shell.picture).output
    assert told.startswith("Class probabilities · ") and "triangle" in told and "Probability:" in told
    assert "6×6 values" in shell.run("grad-cam", shell.picture).output


def test_a_folder_becomes_one_result_where_pictures_are_read_together(shell: Shell) -> None:
    folder, png = shell.folder / "pictures", shell.folder / "dead.png"
    assert shell.run("dead-filters", folder, "-o", png).output == f"wrote {png}\n"
    with Image.open(png) as image:
        assert image.size[0] > 500
    facts = json.loads(shell.run("dead-filters", folder, "--json").output)["facts"]
    assert facts["image"] == "2 pictures" and [one["name"] for one in facts["images"]] == ["a.png", "b.png"]
    told = shell.run("dead-filters", folder).output
    assert "any of these 2 pictures" in told and told.startswith("Dead filters · ")
    assert "for this picture" in shell.run("dead-filters", shell.picture).output
    assert shell.run("saliency", folder, "-o", png).exit_code == 2


def test_several_pictures_and_classes_in_one_request(shell: Shell) -> None:
    out = shell.folder / "out"
    told = shell.run("grad-cam", shell.folder / "pictures", "--top", 3, "-o", out)
    assert told.exit_code == 0 and told.output.count("wrote") == 6
    assert len(list(out.iterdir())) == 6 and (out / "a-grad-cam-square.png").exists()
    page = shell.folder / "all.html"
    assert (
        shell.run("grad-cam", shell.folder / "pictures", "-t", "top1", "-t", "0", "-o", page).exit_code == 0
    )
    assert page.read_text().count("<section") == 4
    manifests = json.loads(shell.run("grad-cam", shell.folder / "pictures", "--top", 2, "--json").output)
    assert len(manifests) == 4


def test_filter_weights_need_no_picture(shell: Shell) -> None:
    out = shell.folder / "f.png"
    assert shell.run("filter-weights", "-o", out).exit_code == 0 and out.exists()


def test_the_process_is_settled_for_passes_to_come(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    settled: list[bool] = []
    monkeypatch.setattr(runtime, "settle", lambda: settled.append(True))
    assert shell("layers", *shell.model).exit_code == 0 and settled == [True]


def test_layers(shell: Shell) -> None:
    told = shell("layers", *shell.model).output.splitlines()
    assert told[0].split() == ["layer", "kind", "output", "parameters"]
    assert told[1].split() == ["conv", "convolution", "6×6×4", "112"]
    listed = json.loads(shell("layers", *shell.model, "--json").output)
    assert [layer["name"] for layer in listed] == ["conv", "relu", "pool", "flatten", "dense"]


def test_plugins(shell: Shell) -> None:
    told = shell("plugins").output
    assert "occlusion  Hide each square in turn" in told and "-s window=0.15" in told
    known = json.loads(shell("plugins", "--json", *shell.model).output)["visualisers"]
    occlusion = next(v for v in known if v["name"] == "occlusion")
    assert occlusion["cost"] == "65 forward passes" and occlusion["why_not"] is None


def test_doctor(shell: Shell) -> None:
    for number in range(12):
        place = shell.folder / "sorted" / ("circle", "square", "triangle")[number % 3]
        place.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(noise).save(place / f"{number}.png")
    plain = shell("doctor", *shell.model)
    assert plain.exit_code == 0 and "No pictures were given" in plain.output
    told = shell("doctor", *shell.model, shell.folder / "sorted")
    assert told.exit_code == 0 and "12 pictures of 3 classes from sorted" in told.output
    assert "Cannot tell which one it was trained with" in told.output
    facts = json.loads(shell("doctor", *shell.model, shell.folder / "sorted", "--json", "--limit", 6).output)
    assert len(facts["candidates"]) >= 6 and facts["candidates"][0]["pictures"] == 6
    out = shell.folder / "found.json"
    refused = shell("doctor", *shell.model, shell.folder / "sorted", "--out", out)
    assert refused.exit_code == 1 and "nothing was written" in refused.output and not out.exists()
    flat = shell("doctor", *shell.model, shell.folder / "pictures")
    assert flat.exit_code == 0 and "accuracy needs labels" in flat.output
    assert shell("doctor", *shell.model, shell.folder / "none").exit_code == 1


def test_arguments_of_an_architecture(shell: Shell) -> None:
    code = shell.folder / "net.py"
    code.write_text("import torch\ndef net(classes, bias=True):\n    return torch.nn.Sequential("
                    "torch.nn.Conv2d(1, classes, 1, bias=bias), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())\n")  # fmt: skip
    torch.save(torch.nn.Sequential(torch.nn.Conv2d(1, 5, 1, bias=False)).state_dict(), shell.folder / "n.pt")
    told = shell("layers", shell.folder / "n.pt", "--arch", f"{code}:net", "--arch-arg", "classes=5",
                 "--arch-arg", "bias=false", "--json")  # fmt: skip
    assert json.loads(told.output)[0]["shape"][-1] == 5


def test_a_lower_precision_and_what_it_cost(shell: Shell) -> None:
    for asked in ("bf16", "bfloat16"):
        told = json.loads(shell.run("saliency", shell.picture, "--precision", asked, "--json").output)
        assert told["facts"]["precision"]["computed_in"] == "bfloat16"
        assert told["facts"]["precision"]["score"] != told["facts"]["precision"]["score_in_full"]
    assert (
        "the model computes in bfloat16" in shell.run("saliency", shell.picture, "--precision", "bf16").output
    )
    plain, same = (
        shell.run("saliency", shell.picture, *more).output for more in ([], ["--precision", "fp32"])
    )
    assert plain.splitlines()[1:] == same.splitlines()[1:] and "bfloat16" not in plain  # but for the seconds


BAD = {
    "a precision nobody knows": (2, ["run", "saliency", "M", "{p}", "--precision", "int8"], "bf16 (bfloat16)"),
    "a precision for the doctor": (2, ["doctor", "M", "--precision", "bf16"], "leave --precision out"),
    "no such model": (1, ["run", "saliency", "{f}/none.pt", "{p}"], "no such checkpoint"),
    "a text file as model": (1, ["run", "saliency", "{f}/l.txt", "{p}"], "is a text file"),
    "a text file as picture": (1, ["run", "saliency", "M", "{f}/l.txt"], "l.txt is not a picture"),
    "no such picture": (1, ["run", "saliency", "M", "{f}/none.png"], "no such picture"),
    "no picture": (2, ["run", "saliency", "M"], "reads a picture: name one"),
    "an unknown visualiser": (2, ["run", "grad-kam", "M", "{p}"], "did you mean 'grad-cam'"),
    "an unknown layer": (2, ["run", "grad-cam", "M", "{p}", "--layer", "rellu"], "did you mean 'relu'"),
    "an unknown class": (2, ["run", "grad-cam", "M", "{p}", "-t", "sqare"], "did you mean 'square'"),
    "a class that is too high": (2, ["run", "grad-cam", "M", "{p}", "-t", "17"], "numbered 0 to 2"),
    "a layer without maps": (1, ["run", "grad-cam", "M", "{p}", "-l", "dense"], "layer 'dense' has no places"),
    "an unknown setting": (2, ["run", "occlusion", "M", "{p}", "-s", "wndow=3"], "did you mean 'window'"),
    "a setting out of range": (2, ["run", "occlusion", "M", "{p}", "-s", "window=-3"], "greater than 0, got '-3'"),
    "a setting without value": (2, ["run", "occlusion", "M", "{p}", "-s", "window"], "is not KEY=VALUE"),
    "a suffix nobody knows": (2, ["run", "saliency", "M", "{p}", "-o", "{f}/out.bmp"], "the suffix is one of"),
    "a folder that is not there": (2, ["run", "saliency", "M", "{p}", "-o", "{f}/no/out.png"], "no folder"),
    "a folder as a file": (2, ["run", "saliency", "M", "{p}", "-o", "-"], "name a file or a folder"),
    "a file as a folder": (2, ["run", "saliency", "M", "{p}", "-o", "{f}/Makefile"], "is a file without a suffix"),
    "two layers": (2, ["run", "grad-cam", "M", "{p}", "-l", "relu", "-s", "layer=conv"], "give one of them"),
    "a bad target for what reads none": (2, ["run", "filter-weights", "M", "-t", "sqare"], "did you mean 'square'"),
    "two pictures into one file": (2, ["run", "saliency", "M", "{p}", "{p}", "-o", "{f}/out.png"], "do not fit"),
    "an unknown preset": (2, ["layers", "{f}/w.pt", "--arch", "cnnlens.testing:tiny_torch", "--preprocess", "imagnet"],
                          "did you mean 'imagenet'"),
    "labels that are none": (1, ["layers", "{f}/w.pt", "--arch", "cnnlens.testing:tiny_torch", "--labels", "{f}/p.json",
                                 "--preprocess", "{f}/p.json"], "names no classes"),
    "too few labels": (2, ["layers", "{f}/w.pt", "--arch", "cnnlens.testing:tiny_torch", "--labels", "{f}/few.txt",
                           "--preprocess", "{f}/p.json"], "2 labels for the 3 classes"),
    "a size it does not read": (2, ["layers", "{f}/w.pt", "--arch", "cnnlens.testing:tiny_torch"], "say what it reads"),
    "no architecture": (2, ["layers", "{f}/w.pt"], "no architecture: name it with --arch"),
    "an argument nobody takes": (1, ["layers", "{f}/w.pt", "--arch", "cnnlens.testing:tiny_torch", "--arch-arg", "a=1"],
                                 "unexpected keyword"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_a_clear_error_and_leaves_nothing_behind(shell: Shell, case: str) -> None:
    code, words, told = BAD[case]
    before = sorted(shell.folder.rglob("*"))
    spelt = [
        w.format(f=shell.folder, p=shell.picture)
        for word in words
        for w in (shell.model if word == "M" else [word])
    ]
    result = shell(*spelt)
    assert told in result.output, result.output
    assert result.exit_code == code
    assert result.output.startswith("Error: ") and result.output.count("\n") == 1
    assert sorted(shell.folder.rglob("*")) == before


def test_code_in_a_file_is_refused_with_exit_code_3(shell: Shell) -> None:
    torch.save(tiny_torch(), shell.folder / "whole.pt")
    result = shell("layers", shell.folder / "whole.pt")
    assert result.exit_code == 3 and "--trust" in result.output
    trusted = shell("layers", shell.folder / "whole.pt", "--trust", "--preprocess", shell.folder / "p.json")
    assert trusted.exit_code == 0


def test_a_missing_framework_names_the_extra(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    result = shell("layers", shell.folder / "w.pt", "--arch", "resnet18")
    assert result.exit_code == 1 and "pip install 'cnnlens[torch]'" in result.output


def test_what_nobody_foresaw_is_one_line_too(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    import cnnlens.opening

    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(cnnlens.opening, "load", fail)
    result = shell("layers", "x")
    assert result.exit_code == 1 and "something unforeseen: ZeroDivisionError: oops" in result.output


def test_a_reader_that_has_seen_enough_is_no_error(shell: Shell) -> None:
    import subprocess
    import sys

    command = [sys.executable, "-m", "cnnlens", "layers", *shell.model]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


def test_every_kind_of_target_is_asked_for_by_text(shell: Shell) -> None:
    other = shell.folder / "pictures" / "b.png"
    targets = ["p(square)", "p(top1) - p(circle)", "relu[1] - relu[2]", "[:,2]", f"like({other})",
               f"like({other}, conv) - like({shell.picture}, conv)"]  # fmt: skip
    asked = [word for target in targets for word in ("--target", target)]
    told = shell.run("saliency", shell.picture, *asked, "--json")
    assert told.exit_code == 0, told.output
    facts = [one["facts"] for one in json.loads(told.output)]
    assert [one["target"] for one in facts] == targets
    assert [one["target_unit"] for one in facts] == [
        "probability", "probability", "activation", "output", "similarity", "similarity"
    ]  # fmt: skip
    missing = shell.run("saliency", shell.picture, "-t", "like(none.png)")
    assert missing.exit_code == 1 and "no such picture: none.png" in missing.output


@pytest.mark.parametrize(
    ("kind", "targets"),
    [
        (
            "Segmenter",
            ["top1", "dog@3,5", "dog@0:4,2:8 - cat", "p(dog@3,5)", "heads.age[:,1]", "out[:,2,0,7]"],
        ),
        ("Detector", ["top1", "box0", "box0 - box1", "dog - cat"]),
    ],
)
def test_models_that_return_more_than_scores(shell: Shell, kind: str, targets: list[str]) -> None:
    file = Path(__file__).with_name("structured_net.py")
    spec = importlib.util.spec_from_file_location("structured_net", file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    torch.manual_seed(0)
    weights, names = shell.folder / "s.pt", shell.folder / "n.txt"
    torch.save(getattr(module, kind)().state_dict(), weights)
    names.write_text("none\ncat\ndog\n")
    model = [weights, "--arch", f"{file}:{kind}", "--preprocess", shell.folder / "p.json"]
    asked = [word for target in targets for word in ("-t", target)]
    told = shell("run", "saliency", *model, "--labels", names, shell.picture, *asked, "--json")
    assert told.exit_code == 0 and len(json.loads(told.output)) == len(targets), told.output
    shown = shell("run", "class-probabilities", *model, "--labels", names, shell.picture).output
    assert ("Share of places won:" in shown) == (kind == "Segmenter") and "dog" in shown
    listed = shell("layers", *model, "--outputs").output.splitlines()
    assert listed[0].split() == ["output", "shape"] and "taken as the scores" in listed[1]
    tree = json.loads(shell("layers", *model, "--outputs", "--json").output)
    assert [one["path"] for one in tree if one["is_scores"]] == ["out" if kind == "Segmenter" else "scores"]
    if kind == "Segmenter":
        assert listed[2].split() == ["heads.age", "2"]
        other = shell("run", "saliency", *model, "--scores", "heads.age", shell.picture, "-t", "1", "--json")
        assert json.loads(other.output)["facts"]["target_index"] == 1
        wrong = shell("run", "saliency", *model, "--scores", "head.age", shell.picture)
        assert wrong.exit_code == 2 and "did you mean 'heads.age'" in wrong.output


def test_layers_with_places_say_which_is_taken_and_why(shell: Shell) -> None:
    lines = shell("layers", *shell.model, "--places").output.splitlines()
    (taken,) = [line for line in lines if "taken: " in line]
    told = json.loads(shell("layers", *shell.model, "--places", "--json").output)
    (chosen,) = [one for one in told if one["chosen"]]
    assert taken.split()[0] == chosen["name"] and chosen["reason"] in taken
    both = shell("layers", *shell.model, "--places", "--outputs")
    assert both.exit_code == 2 and "ask for one" in both.output
