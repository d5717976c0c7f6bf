"""Preprocessings that have a name: by custom, and by the family of `keras.applications` a model is of."""

from __future__ import annotations

from typing import Any

_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "crop_share": 0.875}
#: What `--preprocess` takes by name. Values alone, but for the crop that ImageNet's nets are tested with.
PRESETS: dict[str, dict[str, Any]] = {
    "imagenet": _IMAGENET,
    "caffe": {"range": (0.0, 255.0), "mean": (123.68, 116.779, 103.939), "order": "BGR", "crop_share": 0.875},
    "-1..1": {"range": (-1.0, 1.0)},
    "tflite": {"range": (0.0, 255.0), "mean": (127.0,), "std": (128.0,)},
    "unit": {"range": (0.0, 1.0)},
    "raw": {"range": (0.0, 255.0)},
    "cifar": {"mean": (0.4914, 0.4822, 0.4465), "std": (0.2470, 0.2435, 0.2616)},
    "mnist": {"mean": (0.1307,), "std": (0.3081,)},
}

#: How each family of keras.applications was trained: the beginning of its models' names → preset. Longer
#: beginnings come first, for resnet50v2 is no resnet50.
_FAMILIES = {
    "efficientnetv2": "raw", "efficientnet": "raw", "convnext": "raw", "mobilenetv3": "raw",
    "mobilenetv2": "-1..1", "mobilenet": "-1..1", "inceptionresnetv2": "-1..1", "inceptionv3": "-1..1",
    "xception": "-1..1", "nasnet": "-1..1",
    "resnet50v2": "-1..1", "resnet101v2": "-1..1", "resnet152v2": "-1..1",
    "resnet50": "caffe", "resnet101": "caffe", "resnet152": "caffe", "vgg16": "caffe", "vgg19": "caffe",
    "densenet121": "imagenet", "densenet169": "imagenet", "densenet201": "imagenet",
}  # fmt: skip


def of_keras_family(name: str) -> dict[str, Any] | None:
    """What a model of `keras.applications` was trained with, by the name it was given there; None for others.

    A net that only borrows the name is told wrong: the source says where the guess is from. Families that
    scale within the model (EfficientNet, ConvNeXt, MobileNetV3) read 0 to 255.
    """
    plain = name.lower().replace("_", "").replace("-", "")
    for beginning, preset in _FAMILIES.items():
        rest = plain.removeprefix(beginning)
        if rest != plain and (not rest[:1].isalpha() or rest in _VARIANTS.get(beginning, ())):
            inside = ", which scales within the model" if preset == "raw" else ""
            # keras.applications resizes to the input's size, without a margin that is cut off
            values = {key: value for key, value in PRESETS[preset].items() if key != "crop_share"}
            return {**values, "source": f"{preset}: keras.applications, by the name {name!r}{inside}"}
    return None


#: Endings in letters that are still of the family; anything else that follows in letters is another net.
_VARIANTS = {
    "efficientnetv2": ("b0", "b1", "b2", "b3", "s", "m", "l"),
    "efficientnet": tuple(f"b{i}" for i in range(8)),
    "convnext": ("tiny", "small", "base", "large", "xlarge"),
    "mobilenetv3": ("small", "large"),
    "nasnet": ("mobile", "large"),
}
