"""PyTorch files as the real writers make them: formats, wrappings, devices, number formats, and refusals."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from needs import need
from PIL import Image

import cnnlens
from cnnlens.checkpoints import published
from cnnlens.cli import main
from cnnlens.errors import CannotOpen, Mismatch, Refused, UnknownName, UsageError

torch = need("torch")
models = need("torchvision").models

GREY = np.full((1, 64, 64, 3), 0.4, np.float32)


def squeezenet(classes: int = 1000) -> Any:
    torch.manual_seed(2)
    return models.squeezenet1_1(weights=None, num_classes=classes).eval()


@pytest.fixture(scope="module")
def net() -> Any:
    return squeezenet(5)


@pytest.fixture(scope="module")
def expected(net: Any) -> np.ndarray:
    with torch.no_grad():
        return net((torch.full((1, 3, 64, 64), 0.4) - 0.5) / 0.5).numpy()  # type: ignore[no-any-return]


HALF = {"size": 64, "mean": 0.5, "std": 0.5}


def opened(path: Path, **options: Any) -> cnnlens.Model:
    return cnnlens.load(path, preprocess=HALF, **options)


def notes(model: cnnlens.Model) -> str:
    return "; ".join(model.facts["opening_notes"])


def prefixed(prefix: str, weights: dict[str, Any]) -> dict[str, Any]:
    return {f"{prefix}{name}": value for name, value in weights.items()}


def averaged(net: Any) -> dict[str, Any]:
    from torch.optim.swa_utils import AveragedModel

    return AveragedModel(net).state_dict()  # type: ignore[no-any-return]


def other(net: Any) -> dict[str, Any]:
    return {k: torch.zeros_like(v) for k, v in net.state_dict().items()}


ADAM = {"state": {0: {"exp_avg": torch.zeros(3), "step": torch.tensor(1.0)}}, "param_groups": []}
LAYOUTS: dict[str, tuple[Any, str]] = {
    "plain": (lambda n: n.state_dict(), ""),
    "PyTorch's ImageNet example": (
        lambda n: {
            "epoch": 3, "arch": "squeezenet1_1", "state_dict": prefixed("module.", n.state_dict()),
            "best_acc1": torch.tensor(71.0), "optimizer": ADAM,
        },
        "weights found under 'state_dict'; prefix 'module.' taken off",
    ),
    "torchvision's reference, averaged": (
        lambda n: {
            "model": other(n), "optimizer": ADAM, "lr_scheduler": {"last_epoch": 3}, "epoch": 3,
            "args": argparse.Namespace(model="squeezenet1_1", lr=0.1), "model_ema": averaged(n),
        },
        "under 'model_ema'; these are the averaged (EMA) weights; the plain ones under 'model' left aside",
    ),
    "timm": (
        lambda n: {
            "epoch": 3, "arch": "squeezenet1_1", "state_dict": other(n), "optimizer": ADAM, "version": 2,
            "args": argparse.Namespace(model="squeezenet1_1"), "amp_scaler": {"scale": 1.0},
            "state_dict_ema": n.state_dict(), "metric": np.float64(71.2),
        },
        "under 'state_dict_ema'; these are the averaged (EMA) weights",
    ),
    "Lightning": (
        lambda n: {
            "epoch": 3, "global_step": 100, "pytorch-lightning_version": "2.5.0",
            "state_dict": {**prefixed("model.", n.state_dict()), "criterion.weight": torch.ones(5)},
            "loops": {"fit_loop": {"state_dict": {}}}, "callbacks": {}, "optimizer_states": [ADAM],
            "lr_schedulers": [], "hparams_name": "kwargs", "hyper_parameters": {"lr": 0.1},
        },
        "1 left aside, not the network's: criterion.weight; prefix 'model.' taken off",
    ),
    "ModelEMA": (
        lambda n: {"ema": {"module": n.state_dict(), "decay": 0.999}},
        "weights found under 'ema'; weights found under 'module'; these are averaged (EMA) weights",
    ),
    "net": (lambda n: {"net": n.state_dict(), "acc": 93.1, "epoch": 7}, "weights found under 'net'"),
    "model_state_dict": (
        lambda n: {"model_state_dict": n.state_dict(), "optimizer_state_dict": ADAM, "loss": 0.1},
        "weights found under 'model_state_dict'",
    ),
    "torch.compile in DDP": (
        lambda n: prefixed("module._orig_mod.", n.state_dict()),
        "prefix '_orig_mod.' taken off; prefix 'module.' taken off",
    ),
    "parameters": (lambda n: dict(n.named_parameters()), ""),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_of_training_loops(tmp_path: Path, net: Any, expected: np.ndarray, layout: str) -> None:
    wrap, told = LAYOUTS[layout]
    file = tmp_path / "checkpoint.pth"
    torch.save(wrap(net), file, _use_new_zipfile_serialization=layout not in ("Lightning", "net"))
    model = opened(file)
    assert model.facts["arch"] == "squeezenet1_1" and model.name == "squeezenet1_1"
    assert told in notes(model)
    assert notes(model).endswith(
        "architecture found from the tensors: squeezenet1_1; 5 classes, read from the tensors"
    )
    assert np.allclose(model.trace(GREY).scores, expected, atol=1e-5)


def test_what_torch_compile_and_data_parallel_write(tmp_path: Path, net: Any, expected: np.ndarray) -> None:
    torch.save(torch.nn.DataParallel(torch.compile(net)).state_dict(), tmp_path / "c.pt")
    model = opened(tmp_path / "c.pt")
    assert "prefix '_orig_mod.' taken off; prefix 'module.' taken off" in notes(model)
    assert np.allclose(model.trace(GREY).scores, expected, atol=1e-5)


@pytest.mark.parametrize("new_format", [True, False])
def test_saved_on_a_gpu(
    tmp_path: Path, net: Any, expected: np.ndarray, new_format: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer notes where each storage lies; the bytes are the same as from a CPU."""
    monkeypatch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
    file = tmp_path / "gpu.pth"
    torch.save(net.state_dict(), file, _use_new_zipfile_serialization=new_format)
    monkeypatch.undo()
    assert b"cuda:0" in file.read_bytes()
    assert np.allclose(opened(file).trace(GREY).scores, expected, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_weights_of_other_precision_are_cast_and_it_is_said(
    tmp_path: Path, net: Any, expected: np.ndarray, dtype: str
) -> None:
    weights = {k: v.to(getattr(torch, dtype)) for k, v in net.state_dict().items()}
    torch.save(weights, tmp_path / "half.pt")
    model = opened(tmp_path / "half.pt")
    assert f"weights cast from {dtype} to float32" in notes(model)
    assert np.allclose(model.trace(GREY).scores, expected, atol=0.05)


def test_safetensors_and_what_their_metadata_says(tmp_path: Path, net: Any, expected: np.ndarray) -> None:
    save = need("safetensors.torch").save_file
    save(net.state_dict(), tmp_path / "m.safetensors", metadata={"format": "pt", "arch": "squeezenet1_1"})
    assert np.allclose(opened(tmp_path / "m.safetensors").trace(GREY).scores, expected, atol=1e-5)
    weights = models.resnet18(weights=None).state_dict()
    need("timm")
    save(weights, tmp_path / "r.safetensors", metadata={"arch": "resnet18"})
    model = cnnlens.load(tmp_path / "r.safetensors")
    assert "of resnet18, timm:resnetblur18 the one that the file names" in notes(model)
    save(weights, tmp_path / "r.safetensors")
    with pytest.raises(UsageError, match=r"fit 2 architectures .* --arch resnet18 \| timm:resnetblur18"):
        cnnlens.load(tmp_path / "r.safetensors")


def test_what_is_found_comes_with_its_input_and_labels(tmp_path: Path) -> None:
    torch.save(squeezenet().state_dict(), tmp_path / "s.pth")
    model = cnnlens.load(tmp_path / "s.pth")
    assert model.input.source == "torchvision transform" and model.input.height == 224
    assert model.classes and model.classes[281] == "tabby"


def test_a_file_that_torchvision_publishes_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its digest stands in its address; here the file at hand is given the published one's."""
    weights = models.ResNet50_Weights.IMAGENET1K_V1
    assert published._published()["0676ba61"] == ("resnet50", weights)
    torch.save(models.resnet50(weights=None).state_dict(), tmp_path / "r.pth")
    digest = hashlib.sha256((tmp_path / "r.pth").read_bytes()).hexdigest()
    monkeypatch.setattr(published, "_published", lambda: {digest[:8]: ("resnet50", weights)})
    model = cnnlens.load(tmp_path / "r.pth")  # also where timm has three that fit
    assert "published by torchvision: ResNet50_Weights.IMAGENET1K_V1" in notes(model)
    assert model.input.crop_share == 224 / 256 and model.facts["labels"] == "the checkpoint's own"


def test_what_the_weights_cannot_tell_is_assumed_aloud(tmp_path: Path) -> None:
    net = models.googlenet(
        weights=None, init_weights=False, aux_logits=False, transform_input=True, num_classes=4
    )
    torch.save(net.state_dict(), tmp_path / "g.pth")
    model = cnnlens.load(tmp_path / "g.pth", preprocess=HALF)
    assert "googlenet, aux_logits=False" in notes(model) and "transform_input=true assumed" in notes(model)
    with torch.no_grad():
        assert np.allclose(
            model.trace(GREY).scores, net.eval()(torch.full((1, 3, 64, 64), -0.2)).numpy(), atol=1e-4
        )
    other = cnnlens.load(tmp_path / "g.pth", preprocess=HALF, arch_args={"transform_input": False})
    assert "assumed" not in notes(other)


def test_the_number_of_classes_is_read_for_a_named_architecture_too(
    tmp_path: Path, net: Any, expected: np.ndarray
) -> None:
    torch.save(net.state_dict(), tmp_path / "s.pth")
    for name in ("squeezenet1_1", "torchvision:squeezenet1_1"):
        model = opened(tmp_path / "s.pth", arch=name)
        assert notes(model) == "5 classes, read from the tensors"
        assert np.allclose(model.trace(GREY).scores, expected, atol=1e-5)
    with pytest.raises(Mismatch, match="trained for 5 classes: --arch-arg num_classes=5"):
        opened(tmp_path / "s.pth", arch="squeezenet1_1", arch_args={"num_classes": 6})


def test_architectures_of_timm(tmp_path: Path) -> None:
    timm = need("timm")
    torch.manual_seed(1)
    net = timm.create_model("resnet10t", num_classes=6).eval()
    torch.save({"arch": "resnet10t", "state_dict": net.state_dict()}, tmp_path / "t.pth.tar")
    for arch in (None, "resnet10t", "timm:resnet10t", "resnet10t.c3_in1k"):
        model = cnnlens.load(tmp_path / "t.pth.tar", arch=arch)
        assert model.outputs == (6,) and str(model.facts["arch"]).startswith("timm:resnet10t")
        assert (model.input.height, model.input.crop_share) == (176, 0.875)
        assert model.input.interpolation == "bicubic" and model.input.mean[0] == pytest.approx(0.485)
    x = np.full((1, 176, 176, 3), 0.5, np.float32)
    with torch.no_grad():
        fed = torch.from_numpy(model.input.encode(x)).permute(0, 3, 1, 2)
        assert np.allclose(model.trace(x).scores, net(fed).numpy(), atol=1e-4)
    for arch, what in (("timm:no_such_net", "timm architecture"), ("timm:hf_hub:a/b", "timm architecture")):
        with pytest.raises(
            (UnknownName, CannotOpen), match=what if arch.count(":") == 1 else "cannot import"
        ):
            cnnlens.load(tmp_path / "t.pth.tar", arch=arch)
    with pytest.raises(UnknownName, match="in torchvision and timm"):
        cnnlens.load(tmp_path / "t.pth.tar", arch="hf-hub.some/address")


def quantised() -> Any:
    return torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: torch.ones(4, 4).to_sparse(), "a sparse tensor"),
        (lambda: torch.eye(4).to_sparse_csr(), "a sparse tensor"),
        (quantised, "quantised tensor"),
        (lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]), "nested_tensor"),
        (lambda: torch.ones(2, device="meta"), "a tensor without numbers"),
    ],
)
def test_only_dense_numbers_are_taken(tmp_path: Path, make: Any, told: str) -> None:
    file = tmp_path / "odd.pt"
    torch.save({"state_dict": {"a.weight": torch.ones(3), "b.weight": make()}}, file)
    with pytest.raises((Refused, CannotOpen), match=told):
        cnnlens.load(file)


def test_arguments_are_read_as_data_and_code_is_not(tmp_path: Path) -> None:
    class Trap(argparse.Namespace):
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "canary",))

    torch.save({"model": squeezenet().state_dict(), "args": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(Refused, match=r"would run code .*\(builtins\.getattr, pathlib\.Path\)"):
        cnnlens.load(tmp_path / "trap.pth")
    assert not (tmp_path / "canary").exists()


def test_several_sets_of_weights_are_not_chosen_between(tmp_path: Path, net: Any) -> None:
    torch.save({"generator": net.state_dict(), "discriminator": net.state_dict()}, tmp_path / "gan.pt")
    with pytest.raises(CannotOpen, match="several sets of weights, 'generator', 'discriminator'"):
        cnnlens.load(tmp_path / "gan.pt")


def test_nothing_fits_and_the_nearest_are_told(tmp_path: Path, net: Any) -> None:
    weights = net.state_dict()
    weights["features.0.weight"] = weights["features.0.weight"][:, :1]
    torch.save({"arch": "my_net", "state_dict": weights}, tmp_path / "w.pt")
    with pytest.raises(UsageError) as told:
        cnnlens.load(tmp_path / "w.pt")
    assert "which the file calls 'my_net'; the nearest are\n  squeezenet1_1 (98% alike; " in str(told.value)
    assert "features.0.weight is (64, 1, 3, 3), not (64, 3, 3, 3)" in str(told.value)


CIFAR = """
import torch.nn as nn
import torch.nn.functional as F

class Block(nn.Module):
    def __init__(self, inside, out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inside, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.shortcut = nn.Sequential()
        if stride != 1 or inside != out:
            self.shortcut = nn.Sequential(nn.Conv2d(inside, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))

class ResNet(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.layer1 = Block(8, 8, 1)
        self.layer2 = Block(8, 16, 2)
        self.linear = nn.Linear(16, num_classes)

    def forward(self, x):
        x = self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x)))))
        return self.linear(x.mean((2, 3)))
"""


def test_a_resnet_for_cifar_from_an_old_gpu_opens_in_one_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "resnet.py").write_text(CIFAR)
    scope: dict[str, Any] = {}
    exec(CIFAR, scope)
    parallel = torch.nn.DataParallel(scope["ResNet"]())
    weights = {k: v for k, v in parallel.state_dict().items() if "num_batches" not in k}  # before torch 0.4.1
    monkeypatch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
    held = {"net": weights, "acc": 93.02, "epoch": 199}
    torch.save(held, tmp_path / "ckpt.pth", _use_new_zipfile_serialization=False)
    monkeypatch.undo()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)).save(tmp_path / "p.png")
    arch = f"{tmp_path / 'resnet.py'}:ResNet"
    words = ["run", "grad-cam", tmp_path / "ckpt.pth", tmp_path / "p.png", "--arch", arch, "--json"]
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    assert "prefix 'module.' taken off" in result.output and "'net'" in result.output
