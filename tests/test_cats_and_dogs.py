"""The small network of examples/cats_and_dogs: the same in both frameworks, as good as its card says."""

from __future__ import annotations

import functools
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engines import ENGINES, run_on
from needs import need
from PIL import Image

import cnnlens
from cnnlens.demo import demo_images, demo_model, demo_weights

FOLDER = Path(__file__).parents[1] / "examples" / "cats_and_dogs"
#: Where a developer's checkout may find the photographs, beside it or above; a fresh clone has none.
PHOTOGRAPHS = [folder / "shared" / "data" / "cats-and-dogs" for folder in FOLDER.parents[2:]]
#: In the order in which they are called.
LAYERS = (
    "conv1", "relu1", "pool1", "conv2", "relu2", "pool2", "conv3", "relu3", "pool3",
    "flatten", "dense1", "relu4", "dense2",
)  # fmt: skip
#: Writes what Keras on the engine of its environment makes of the photographs.
SEEN = """
import sys
import numpy as np
import cnnlens
from cnnlens.demo import demo_images, demo_model

model = demo_model("cats-and-dogs", framework="keras")
seen = {"layers": [layer.name for layer in model.layers]}
for image in demo_images("cats-and-dogs"):
    probe = cnnlens.Probe(model, image)
    seen[f"{image.stem} scores"] = probe.scores
    for layer in ("conv1", "pool1", "conv2", "relu3", "dense1"):
        maps = cnnlens.look(model, image, "feature-maps", layer=layer) if layer != "dense1" else None
        seen[f"{image.stem} {layer}"] = probe.activations(layer) if maps is None else maps.array
np.savez(sys.argv[1], **seen)
"""


@functools.cache
def in_torch() -> cnnlens.Model:
    """The network in PyTorch."""
    need("torch")
    need("safetensors")
    return demo_model("cats-and-dogs", framework="torch")


def test_three_blocks_and_two_dense_layers() -> None:
    assert tuple(layer.name for layer in in_torch().layers) == LAYERS
    assert in_torch().classes == ("cat", "dog")
    assert in_torch().input.facts()["range"] == (-1.0, 1.0)


@pytest.mark.parametrize("engine", ENGINES)
def test_keras_computes_the_same(engine: str, tmp_path: Path) -> None:
    need("skimage")
    run = run_on(engine, "-c", SEEN, str(tmp_path / "seen.npz"))
    assert run.returncode == 0, run.stderr
    with np.load(tmp_path / "seen.npz") as seen:
        assert tuple(seen["layers"]) == LAYERS
        for image in demo_images("cats-and-dogs"):
            probe = cnnlens.Probe(in_torch(), image)
            np.testing.assert_allclose(seen[f"{image.stem} scores"], probe.scores, atol=1e-5, rtol=1e-5)
            for layer in ("conv1", "pool1", "conv2", "relu3"):
                maps = cnnlens.look(in_torch(), image, "feature-maps", layer=layer).array
                np.testing.assert_allclose(seen[f"{image.stem} {layer}"], maps, atol=1e-5, rtol=1e-5)
            dense = probe.activations("dense1")
            np.testing.assert_allclose(seen[f"{image.stem} dense1"], dense, atol=1e-5, rtol=1e-5)
        assert seen["chelsea scores"].argmax() == 0


def test_the_cat_is_a_cat(cat: Path) -> None:
    result = cnnlens.look(in_torch(), cat, "class-probabilities")
    named = dict(zip(result.panels[0].names, result.panels[0].values, strict=True))  # type: ignore[union-attr]
    assert named["cat"] > 0.7


def test_few_filters_are_dead(cat: Path) -> None:
    """Of each layer's filters, those that never speak, whatever the photograph."""
    for layer in ("relu1", "relu2", "relu3"):
        loudest = np.max(
            [cnnlens.Probe(in_torch(), image).activations(layer).max((0, 1)) for image in demo_images()], 0
        )
        assert (loudest > 0).mean() >= 0.9, layer


def test_the_files_are_small_and_open_without_their_code() -> None:
    files = [demo_weights("cats-and-dogs", framework=framework) for framework in ("torch", "keras")]  # type: ignore[arg-type]
    assert sum(file.stat().st_size for file in files) < 2 * 2**20
    assert not list(FOLDER.rglob("*.jpg"))
    assert [str(cnnlens.inspect(file).facts()["format"]) for file in files]


@functools.cache
def script() -> dict[str, Any]:
    """What train.py defines."""
    need("torch")
    sys.path.insert(0, str(FOLDER))
    try:
        return runpy.run_path(str(FOLDER / "train.py"))
    finally:
        sys.path.remove(str(FOLDER))
        sys.modules.pop("network", None)


@pytest.fixture
def photographs() -> Path:
    """The data that the network was trained on, or a skip that is seen."""
    found = next((folder for folder in PHOTOGRAPHS if folder.is_dir()), None)
    if found is None:
        pytest.skip(f"no photographs of cats and dogs in {PHOTOGRAPHS[0]}")
    return found


def drawn(folder: Path, count: int) -> None:
    """A data set of plain squares, for what does not depend on what is seen: orange cats, blue dogs."""
    for name, colour in (("cat", (230, 140, 40)), ("dog", (40, 80, 200))):
        (folder / name).mkdir()
        for number in range(count):
            shade = tuple(min(255, part + number) for part in colour)
            Image.new("RGB", (40, 30), shade).save(folder / name / f"{name}.{number}.jpg")


def test_the_fifths_are_fixed_and_apart(tmp_path: Path) -> None:
    drawn(tmp_path, 10)
    parts = script()["fifths"](tmp_path)
    names = [[file.name for file in part.files] for part in parts]
    assert all(len(part) == 4 for part in names) and len({n for part in names for n in part}) == 20
    assert names[0] == ["cat.3.jpg", "cat.7.jpg", "dog.4.jpg", "dog.7.jpg"]
    assert parts[0].classes == [0, 0, 1, 1]


def test_folding_the_normalisation_changes_nothing() -> None:
    torch = need("torch")
    functions = script()
    torch.manual_seed(0)
    trained = functions["for_training"](functions["in_torch"]())
    for module in trained:
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 2)
            module.bias.data.normal_()
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    trained.eval()
    fed = torch.rand(2, 3, 128, 128) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(
            functions["folded"](trained, functions["in_torch"]())(fed), trained(fed), atol=1e-5, rtol=1e-5
        )


def test_training_learns_and_does_the_same_twice(tmp_path: Path) -> None:
    drawn(tmp_path, 40)
    functions = script()
    four = functions["together"](functions["fifths"](tmp_path)[1:])
    rounds = (
        functions["Round"](96, "same", 3, 1e-3, True, 2),
        functions["Round"](128, "valid", 2, 3e-4, False, 1),
    )
    first, again = (list(functions["learn"](four, rounds)) for _ in range(2))
    assert [epoch for epoch, _, _ in first] == ["1.1", "1.2", "1.3", "2.1", "2.2"]
    assert [loss for _, loss, _ in first] == [loss for _, loss, _ in again]
    losses = [loss for _, loss, _ in first]
    assert losses[2] < losses[0] and losses[4] < losses[3], losses


def test_the_card_says_what_is_found_on_the_held_out_fifth(photographs: Path) -> None:
    """The accuracy, its interval and the counts, word by word; for Keras the counts are the same."""
    found = script()["evaluate"](photographs, "torch")
    said = str(found)
    card = re.sub(r"\s+", " ", (FOLDER / "README.md").read_text())
    assert said in card
    counts = np.asarray(found.counts)
    assert found.accuracy >= 0.8
    assert (counts.diagonal() / counts.sum(1) > 0.6).all()  # of either class clearly more than by chance


def test_evaluate_prints_it_from_the_command_line(photographs: Path) -> None:
    run = run_on("torch", str(FOLDER / "train.py"), "evaluate", str(photographs), "keras")
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() in re.sub(r"\s+", " ", (FOLDER / "README.md").read_text())


def test_train_without_a_folder_says_what_it_does() -> None:
    run = subprocess.run(
        [sys.executable, str(FOLDER / "train.py")], capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 1 and "train.py evaluate DATA" in run.stderr
