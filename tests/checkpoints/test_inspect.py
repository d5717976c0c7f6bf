"""What inspect tells of honest files by their real writers, and that it runs nothing to know it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from engines import run_on
from needs import need

import cnnlens
from cnnlens.cli import main
from cnnlens.errors import CannotOpen

HERE = Path(__file__).parent

for part in ("torch", "h5py", "safetensors", "keras"):
    if find_spec(part) is None:  # found, not imported: TensorFlow and PyTorch do not bear each other for long
        need(part)

NET = {
    "0.weight": ("float32", (4, 3, 3, 3)), "0.bias": ("float32", (4,)), "1.weight": ("float32", (4,)),
    "1.bias": ("float32", (4,)), "1.running_mean": ("float32", (4,)), "1.running_var": ("float32", (4,)),
    "1.num_batches_tracked": ("int64", ()), "4.weight": ("float32", (5, 4)), "4.bias": ("float32", (5,)),
}  # fmt: skip
NUMBERS = 108 + 5 * 4 + 1 + 20 + 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("honest")
    for framework in ("torch", "keras"):
        done = run_on("torch", str(HERE / "honest_build.py"), framework, str(folder))
        assert done.returncode == 0, done.stderr[-2000:]
    return folder


def tensors(found: cnnlens.Inspection) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {tensor.name: (tensor.dtype, tensor.shape) for tensor in found.tensors}


@pytest.mark.parametrize(
    "name", ["plain.pt", "legacy.pth", "wrapped.ckpt", "wrapped_legacy.pth.tar", "whole.pt", "program.pt"]
)
def test_torchs_tensors(folder: Path, name: str) -> None:
    found = cnnlens.inspect(folder / name)
    prefix = "module." if name.startswith("wrapped") else ""
    assert tensors(found) == {prefix + key: value for key, value in NET.items()}
    assert found.parameters == NUMBERS and found.tensor_bytes == 4 * NUMBERS + 4
    assert found.classes == 5 and found.framework == "torch"
    assert found.sha256 == hashlib.sha256((folder / name).read_bytes()).hexdigest()


def test_versions(folder: Path) -> None:
    told = {name: dict(cnnlens.inspect(folder / name).versions) for name in ("plain.pt", "legacy.pth")}
    assert told["plain.pt"]["version"] == "3" and told["plain.pt"]["byteorder"] == "little"
    assert told["legacy.pth"] == {"protocol version": "1001", "byteorder": "little"}


@pytest.mark.parametrize("name", ["wrapped.ckpt", "wrapped_legacy.pth.tar"])
def test_what_is_around_the_weights(folder: Path, name: str) -> None:
    found = cnnlens.inspect(folder / name)
    assert found.wrapper == "state_dict" and found.prefixes == ("module.",)
    assert found.other_tensors == 3 * 6  # Adam's two averages and its step, of six parameters
    assert found.metadata["epoch"] == 12 and found.metadata["best_acc"] == 0.75
    assert found.metadata["args"] == "a argparse.Namespace"
    assert len(found.metadata["note"]) < 250 and found.metadata["note"].endswith("…")
    assert found.metadata["steering"] == "\\x1b[31mred\\u202e"
    assert found.would_run == () and found.problems == ()


def test_parameters_and_rare_dtypes(folder: Path) -> None:
    found = cnnlens.inspect(folder / "parameters.pt")
    assert tensors(found) == {"w": ("bfloat16", (2, 3)), "u": ("uint16", (3,))}
    assert found.tensor_bytes == 18 and found.problems == ()


def test_safetensors(folder: Path) -> None:
    found = cnnlens.inspect(folder / "plain.safetensors")
    names = {"F32": "float32", "I64": "int64"}
    assert {k: (names[d], s) for k, (d, s) in tensors(found).items()} == NET
    assert found.metadata == {"by": "me", "format": "pt"} and found.classes == 5


def test_programs(folder: Path) -> None:
    script, exported = (cnnlens.inspect(folder / name) for name in ("program.pt", "program.pt2"))
    assert script.format == "TorchScript program" and any("code/" in name for name in script.would_run)
    assert exported.format == "torch.export program" and "the program models/model.json" in exported.would_run
    assert {k: v for k, v in tensors(exported).items() if k in NET} == tensors(exported) and exported.tensors
    whole = cnnlens.inspect(folder / "whole.pt")
    assert "torch.nn.modules.conv.Conv2d" in whole.would_run


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "model.weights.h5"])
def test_keras(folder: Path, name: str) -> None:
    found = cnnlens.inspect(folder / name)
    shapes = sorted(tensor.shape for tensor in found.tensors)
    assert shapes == sorted([(3, 3, 3, 4), *5 * [(4,)], (4, 5), (5,)])
    assert found.parameters == NUMBERS - 1 and found.classes == 5
    assert found.would_run == () and found.problems == ()
    if name == "model.weights.h5":
        assert found.architecture == "not in the file: it holds weights alone"
    else:
        assert found.architecture == "Sequential of 5 layers, named 'small'"
        assert found.versions["keras_version"].startswith("3.")


def test_nothing_of_any_of_them_is_run(folder: Path) -> None:
    (folder / "none").mkdir()
    files = [str(path) for path in folder.iterdir() if path.is_file()]
    path = os.pathsep.join([str(Path(cnnlens.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    words = [sys.executable, str(HERE / "hostile_runner.py"), "inspect", str(folder), *files]
    done = subprocess.run(
        words, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, timeout=120
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == len(files) == 12, done.stderr
    assert all(one["error"] is None and one["seen"] == [] for one in told), told


@pytest.mark.parametrize("framework", ["torch", "keras", "tensorflow", "safetensors"])
def test_no_framework_is_imported(folder: Path, framework: str) -> None:
    code = (
        "import sys, pathlib, cnnlens\nfor p in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    p.is_file() and cnnlens.inspect(p)\n"
        "print(sys.argv[2] in sys.modules)"
    )
    path = os.pathsep.join([str(Path(cnnlens.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    words = [sys.executable, "-c", code, str(folder), framework]
    done = subprocess.run(words, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": path})  # fmt: skip
    assert done.stdout.strip() == "False", done.stderr


def shell(*words: Any) -> Any:
    return CliRunner().invoke(main, ["inspect", *map(str, words)])


def test_the_command_in_words(folder: Path) -> None:
    told = shell(folder / "wrapped.ckpt")
    assert told.exit_code == 0 and "found under 'state_dict', prefix 'module.'" in told.output
    assert "would run     nothing" in told.output and "metadata      epoch: 12" in told.output
    assert "  module.4.weight" in told.output and "5×4  float32" in told.output
    assert all(line.isprintable() for line in told.output.splitlines())


def test_the_command_in_json(folder: Path) -> None:
    told = json.loads(shell(folder / "model.keras", "--json").output)
    assert told["totals"] == {"tensors": 8, "parameters": NUMBERS - 1, "tensor_bytes": 4 * (NUMBERS - 1)}
    assert told["format"] == "Keras 3 model" and [3, 3, 3, 4] in [one["shape"] for one in told["tensors"]]


def test_many_tensors_are_cut_unless_all_are_wanted(tmp_path: Path) -> None:
    import torch

    torch.save({f"w{i}": torch.zeros(1) for i in range(100)}, tmp_path / "many.pt")
    assert "… 70 more (--all shows them)" in shell(tmp_path / "many.pt").output
    assert shell(tmp_path / "many.pt", "--all").output.count("float32") == 100


def test_what_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "page.pt").write_text("<!DOCTYPE html><html>sign in</html>")
    with pytest.raises(CannotOpen, match=r"is a web page, .*: the download gave a page"):
        cnnlens.inspect(tmp_path / "page.pt")
    told = shell(tmp_path / "none.pt")
    assert told.exit_code == 1 and told.output == f"Error: no such checkpoint: {tmp_path / 'none.pt'}\n"
