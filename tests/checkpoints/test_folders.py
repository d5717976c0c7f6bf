"""Folders: the newest of several checkpoints, and repositories in the layouts of Hugging Face and timm."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from needs import need

import cnnlens
from cnnlens.errors import CannotOpen, Mismatch, MissingPackage, Refused

torch = need("torch")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any attempt to reach a network fails the test."""

    def refuse(*_: Any) -> None:
        raise AssertionError("reached for a network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_the_newest_of_a_folder_is_taken_and_the_rest_listed(tmp_path: Path) -> None:
    models = need("torchvision").models
    for day, name in enumerate(["epoch_2.pt", "epoch_10.pt", "best.pt"]):
        torch.save(
            {"state_dict": models.squeezenet1_1(weights=None, num_classes=3).state_dict()}, tmp_path / name
        )
        os.utime(tmp_path / name, (1_700_000_000 + day * 86_400,) * 2)
    (tmp_path / "log.txt").write_text("loss 0.1")
    (tmp_path / "cut.pt").write_bytes(b"PK\x03\x04")
    os.utime(tmp_path / "epoch_10.pt", (1_800_000_000,) * 2)
    model = cnnlens.load(tmp_path)
    assert model.facts["checkpoint"] == "epoch_10.pt"
    assert model.facts["opening_notes"][0].startswith(
        f"the newest of 3 checkpoints in {tmp_path.name}: epoch_10.pt (2027"
    )
    assert [other.partition(" ")[0] for other in model.facts["others"]] == ["best.pt", "epoch_2.pt"]


@pytest.fixture
def resnet(tmp_path: Path) -> Path:
    """A small ResNet as transformers saves it."""
    transformers = need("transformers")
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], num_labels=3,
        id2label={0: "cat", 1: "dog", 2: "fox"}, label2id={"cat": 0, "dog": 1, "fox": 2},
    )  # fmt: skip
    torch.manual_seed(4)
    transformers.ResNetForImageClassification(config).save_pretrained(tmp_path / "hub")
    processor = {
        "do_resize": True, "size": {"shortest_edge": 36},
        "do_center_crop": True, "crop_size": {"height": 32, "width": 32},
        "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True, "resample": 3,
        "image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25],
    }  # fmt: skip
    (tmp_path / "hub" / "preprocessor_config.json").write_text(json.dumps(processor))
    return tmp_path / "hub"


def test_a_hugging_face_folder(resnet: Path, offline: None) -> None:
    model = cnnlens.load(resnet)
    assert model.classes == ("cat", "dog", "fox") and model.facts["labels"] == "the checkpoint's own"
    assert model.facts["format"] == "Hugging Face folder" and len(model.facts["checkpoint_sha256"]) == 64
    assert (model.input.height, model.input.crop_share, model.input.interpolation) == (32, 32 / 36, "bicubic")
    net = (
        need("transformers")
        .ResNetForImageClassification.from_pretrained(resnet, local_files_only=True)
        .eval()
    )
    x = np.random.default_rng(0).random((1, 32, 32, 3), np.float32)
    with torch.no_grad():
        expected = net(torch.from_numpy((x - 0.5) / 0.25).permute(0, 3, 1, 2)).logits.numpy()
    assert np.allclose(model.trace(x).scores, expected, atol=1e-5)
    assert "resnet.encoder.stages.0.layers.0.layer.0.convolution" in {layer.name for layer in model.layers}


def test_what_a_hugging_face_folder_may_lack(resnet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (resnet / "preprocessor_config.json").unlink()
    config = json.loads((resnet / "config.json").read_text())
    del config["id2label"], config["label2id"]
    (resnet / "config.json").write_text(json.dumps({**config, "num_labels": 3}))
    model = cnnlens.load(resnet, preprocess={"size": 32})
    assert model.classes is None and "its input is not known" in model.facts["opening_notes"][0]
    (resnet / "config.json").write_text(json.dumps({**config, "num_labels": 5}))
    with pytest.raises((Mismatch, CannotOpen), match=r"classifier\.1\.(bias|weight)|mismatch"):
        cnnlens.load(resnet)
    (resnet / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoConfig": "mine.Config"}}))
    with pytest.raises(Refused, match="brings its own code"):
        cnnlens.load(resnet)
    (resnet / "config.json").write_text(json.dumps(config))
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingPackage, match=r"needs transformers, .*cnnlens\[hf\]"):
        cnnlens.load(resnet)
    (resnet / "model.safetensors").unlink()
    with pytest.raises(CannotOpen, match=r"no \.safetensors file"):
        cnnlens.load(resnet)


def test_a_folder_as_timm_publishes_it(tmp_path: Path, offline: None) -> None:
    timm = need("timm")
    save = need("safetensors.torch").save_file
    net = timm.create_model("resnet10t", num_classes=4)
    save(net.state_dict(), tmp_path / "model.safetensors")
    config = {
        "architecture": "resnet10t", "num_classes": 4,
        "pretrained_cfg": {
            "input_size": [3, 96, 96], "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "crop_pct": 1.0,
            "interpolation": "bicubic", "label_names": ["a", "b", "c", "d"],
        },
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = cnnlens.load(tmp_path)
    assert model.facts["arch"] == "timm:resnet10t" and model.classes == ("a", "b", "c", "d")
    assert model.input.height == 96 and model.input.mean == (0.5, 0.5, 0.5)
