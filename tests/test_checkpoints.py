"""A checkpoint file becomes a model, or the reason why not and what would do."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from needs import need

import cnnlens
from cnnlens.errors import CannotOpen, Mismatch, Refused, UnknownName, UsageError

torch = need("torch")

NET = """
import torch
from torch import nn

class Net(nn.Sequential):
    def __init__(self, classes=3, channels=4):
        super().__init__(nn.Conv2d(3, channels, 3), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1),
                         nn.Flatten(), nn.Linear(channels, classes))

def broken():
    raise KeyError("no such thing")

def number():
    return 3
"""


@pytest.fixture
def arch(tmp_path: Path) -> str:
    file = tmp_path / "net.py"
    file.write_text(NET)
    return f"{file}:Net"


@pytest.fixture
def weights(arch: str) -> dict[str, Any]:
    torch.manual_seed(3)
    scope: dict[str, Any] = {}
    exec(NET, scope)
    return scope["Net"]().state_dict()  # type: ignore[no-any-return]


def scores_of(path: Path, arch: Any, **options: Any) -> np.ndarray:
    model = cnnlens.load(path, arch=arch, preprocess={"size": 8}, **options)
    return model.trace(np.full((1, 8, 8, 3), 0.3, np.float32)).scores


@pytest.mark.parametrize(
    "wrap",
    [
        lambda w: w,
        lambda w: {"state_dict": w, "epoch": 3},
        lambda w: {"model_state_dict": {f"module.{k}": v for k, v in w.items()}, "loss": 0.5},
        lambda w: {"model": w, "optimizer": {"lr": 0.1}},
        lambda w: {"state_dict": {f"model.{k}": v for k, v in w.items()}, "pytorch-lightning_version": "2.0"},
        lambda w: {f"module._orig_mod.{k}": v for k, v in w.items()},
    ],
)
@pytest.mark.parametrize("new_format", [True, False])
def test_weights_are_found_in_their_wrappings(
    tmp_path: Path, arch: str, weights: dict[str, Any], wrap: Any, new_format: bool
) -> None:
    plain, wrapped = tmp_path / "plain.pt", tmp_path / "wrapped.ckpt"
    torch.save(weights, plain)
    torch.save(wrap(weights), wrapped, _use_new_zipfile_serialization=new_format)
    assert np.array_equal(scores_of(wrapped, arch), scores_of(plain, arch))


def test_safetensors(tmp_path: Path, arch: str, weights: dict[str, Any]) -> None:
    save_file = need("safetensors.torch").save_file
    torch.save(weights, tmp_path / "plain.pt")
    save_file(weights, tmp_path / "x.bin")  # known by its content, not its name
    assert np.array_equal(scores_of(tmp_path / "x.bin", arch), scores_of(tmp_path / "plain.pt", arch))


def test_the_facts_say_what_was_opened(tmp_path: Path, arch: str, weights: dict[str, Any]) -> None:
    import hashlib

    file = tmp_path / "w.pt"
    torch.save({"state_dict": {f"module.{k}": v for k, v in weights.items()}}, file)
    model = cnnlens.load(file, arch=arch, preprocess={"size": 8}, labels=["a", "b", "c"])
    assert model.name == "Net" and model.classes == ("a", "b", "c")
    assert model.facts["checkpoint"] == "w.pt"
    assert model.facts["checkpoint_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert model.facts["opening_notes"] == ["weights found under 'state_dict'", "prefix 'module.' taken off"]


def test_the_names_of_classes_in_a_checkpoint_are_used(
    tmp_path: Path, arch: str, weights: dict[str, Any]
) -> None:
    file = tmp_path / "w.pt"
    torch.save({"state_dict": weights, "class_to_idx": {"dog": 1, "cat": 0, "fox": 2}, "epoch": 3}, file)
    model = cnnlens.load(file, arch=arch, preprocess={"size": 8})
    assert model.classes == ("cat", "dog", "fox") and model.facts["labels"] == "the checkpoint's own"
    assert cnnlens.load(file, arch=arch, preprocess={"size": 8}, labels=list("abc")).classes == (
        "a",
        "b",
        "c",
    )


def test_architectures_by_name_by_module_by_callable_and_as_a_module(tmp_path: Path) -> None:
    models = need("torchvision").models
    module = models.squeezenet1_1(weights=None)
    file = tmp_path / "s.pth"
    torch.save(module.state_dict(), file)
    by_name = cnnlens.load(file, arch="squeezenet1_1")
    assert by_name.input.source == "torchvision transform" and by_name.input.height == 224
    assert by_name.classes and by_name.classes[285] == "Egyptian cat"
    assert by_name.facts["labels"].startswith("assumed")
    x = np.full((1, 224, 224, 3), 0.4, np.float32)
    for arch in (
        "torchvision.models:squeezenet1_1",
        models.squeezenet1_1,
        models.squeezenet1_1(weights=None),
    ):
        assert np.array_equal(cnnlens.load(file, arch=arch).trace(x).scores, by_name.trace(x).scores)


def test_another_number_of_classes_is_guessed(tmp_path: Path, arch: str, weights: dict[str, Any]) -> None:
    file = tmp_path / "w.pt"
    torch.save(weights, file)
    with pytest.raises(
        Mismatch, match=r"4\.weight is \(3, 4\), .*trained for 3 classes: --arch-arg num_classes=3"
    ):
        cnnlens.load(file, arch=arch, arch_args={"classes": 5})


def test_weights_of_another_network_are_explained(tmp_path: Path, arch: str, weights: dict[str, Any]) -> None:
    file = tmp_path / "w.pt"
    torch.save({**weights, "extra.weight": torch.zeros(1)}, file)
    with pytest.raises(Mismatch, match=r"do not fit Net: 1 unexpected: extra\.weight"):
        cnnlens.load(file, arch=arch)
    del weights["0.bias"]
    torch.save(weights, file)
    with pytest.raises(Mismatch, match=r"1 missing: 0\.bias"):
        cnnlens.load(file, arch=arch)


def test_code_is_refused_and_opened_only_with_trust(tmp_path: Path, arch: str) -> None:
    canary = tmp_path / "canary"

    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (canary,))

    trap = tmp_path / "trap.pt"
    torch.save({"state_dict": Trap()}, trap)
    with pytest.raises(Refused, match="--trust") as refusal:
        cnnlens.load(trap, arch=arch)
    assert not canary.exists() and refusal.value.exit_code == 3
    whole = tmp_path / "whole.pt"
    torch.save(
        torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()),
        whole,
    )
    with pytest.raises(Refused, match="would run code"):
        cnnlens.load(whole)
    assert cnnlens.load(whole, trust=True, preprocess={"size": 8}).outputs == (2,)


def test_programs_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "script.pt"
    with zipfile.ZipFile(file, "w") as archive:  # the layout of torch.jit.save
        archive.writestr("script/data.pkl", b"")
        archive.writestr("script/constants.pkl", b"")
        archive.writestr("script/code/__torch__.py", b"")
    with pytest.raises(Refused, match="TorchScript program"):
        cnnlens.load(file)


def files(tmp_path: Path) -> dict[str, tuple[bytes, str]]:
    good = tmp_path / "good.pt"
    torch.save({"a": torch.zeros(100)}, good)
    data = good.read_bytes()
    return {
        "empty.pt": (b"", "is empty"),
        "notes.pt": (b"hello, this is a text file", "is a text file"),
        "noise.pt": (bytes(range(200, 256)), "unknown format"),
        "pickle.pt": (pickle.dumps([1]), "a plain pickle"),
        "cut.pt": (data[: len(data) // 2], "damaged or cut off"),
        "cut.keras": (b"PK\x03\x04 and no more", "damaged or cut off"),
        "cut.h5": (b"\x89HDF\r\n\x1a\n and no more", "an HDF5 file that is damaged or cut off"),
        "number.pt": (None, "holds no weights"),  # type: ignore[dict-item]
    }


@pytest.mark.parametrize(
    "name", ["empty.pt", "notes.pt", "noise.pt", "pickle.pt", "cut.pt", "cut.keras", "cut.h5", "number.pt"]
)
def test_files_that_are_no_checkpoints(tmp_path: Path, name: str, arch: str) -> None:
    content, told = files(tmp_path)[name]
    file = tmp_path / name
    if content is None:
        torch.save({"epoch": 3}, file)
    else:
        file.write_bytes(content)
    if name == "cut.h5":
        need("h5py")
        arch = None  # type: ignore[assignment]
    with pytest.raises(CannotOpen, match=told):
        cnnlens.load(file, arch=arch)


def test_wrong_requests(tmp_path: Path, arch: str, weights: dict[str, Any]) -> None:
    file = tmp_path / "w.pt"
    torch.save(weights, file)
    place = arch.rpartition(":")[0]
    with pytest.raises(CannotOpen, match="no such checkpoint"):
        cnnlens.load(tmp_path / "none.pt", arch=arch)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CannotOpen, match="is a folder without a checkpoint"):
        cnnlens.load(tmp_path / "empty", arch=arch)
    with pytest.raises(UsageError, match="holds 4 arrays of weights and no architecture"):
        cnnlens.load(file)
    with pytest.raises(UnknownName, match="did you mean 'resnet18'"):
        cnnlens.load(file, arch="resnet_18")
    with pytest.raises(UnknownName, match=r"no callable 'Nett' in .*did you mean 'Net'"):
        cnnlens.load(file, arch=f"{place}:Nett")
    with pytest.raises(CannotOpen, match=r"broken\(\) failed: KeyError: 'no such thing'"):
        cnnlens.load(file, arch=f"{place}:broken")
    with pytest.raises(UsageError, match=r"number\(\) returned a int"):
        cnnlens.load(file, arch=f"{place}:number")
    with pytest.raises(CannotOpen, match="cannot import 'no_such_package'"):
        cnnlens.load(file, arch="no_such_package:Net")
    with pytest.raises(UsageError, match="no device 'tpu' here"):
        cnnlens.load(file, arch=arch, device="tpu")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("l.txt", "cat\ndog\nfox\n"),
        ("l.json", '["cat", "dog", "fox"]'),
        ("l.json", '{"0": ["n01", "cat"], "1": ["n02", "dog"], "2": ["n03", "fox"]}'),
        ("l.json", '{"dog": 1, "cat": 0, "fox": 2}'),
        ("l.csv", "index,name\n2,fox\n0,cat\n1,dog\n"),
        ("l.csv", "cat\ndog\nfox\n"),
    ],
)
def test_labels_from_files(tmp_path: Path, name: str, text: str) -> None:
    from cnnlens.labels import read_labels

    (tmp_path / name).write_text(text)
    assert read_labels(tmp_path / name) == ("cat", "dog", "fox")


def test_imagenets_names_are_torchvisions() -> None:
    from cnnlens.labels import imagenet

    assert list(imagenet()) == need("torchvision").models.ResNet18_Weights.DEFAULT.meta["categories"]
