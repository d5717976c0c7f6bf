"""What torchvision's detectors return, a dict of boxes, labels and scores for each picture, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import Unmet
from ..model import Model

#: What is said of scores made of detections; they are probabilities already.
DETECTED = {"scores": "scores are those of detections: the best one of each class, 0 where there is none"}
MOST = 100  #: detections of a picture that are read one by one


def is_detections(returned: Any) -> bool:
    """Whether this is a list with a dict of boxes, labels and scores for each picture."""
    return (
        isinstance(returned, (list, tuple))
        and len(returned) > 0
        and all(isinstance(one, dict) and {"boxes", "labels", "scores"} <= one.keys() for one in returned)
    )


def as_scores(returned: Sequence[dict[str, Tensor]], classes: int) -> dict[str, Tensor]:
    """`scores` (n, classes), the best detection's for each class, and `detections` (n, MOST), as they come.

    Both are 0 where nothing was detected. They are probabilities, and can be pulled on.
    """
    best, each = [], []
    for one in returned:
        found, labels = one["scores"], one["labels"].to(torch.int64)
        if len(labels) and int(labels.max()) >= classes:
            raise Unmet(f"it detected class {int(labels.max())}, and is said to have {classes} classes")
        best.append(found.new_zeros(classes).scatter_reduce(0, labels, found, "amax"))
        each.append(nn.functional.pad(found[:MOST], (0, MOST - min(MOST, len(found)))))
    return {"scores": torch.stack(best), "detections": torch.stack(each)}


def class_count(module: nn.Module, names: Sequence[str] | None) -> int:
    """How many classes a detector tells apart, by its own head, else by the names of its classes."""
    for part in module.modules():
        head = getattr(part, "cls_score", None)  # R-CNN
        if isinstance(head, nn.Linear):
            return head.out_features
    for part in module.modules():
        for told in ("num_classes", "num_columns"):  # RetinaNet and FCOS, SSD
            count = getattr(part, told, None)
            if isinstance(count, int) and count > 0 and "lassification" in type(part).__name__:
                return count
    if names is not None:
        return len(names)
    raise Unmet(
        f"{type(module).__name__} returns detections and does not say of how many classes: give their names, "
        "labels=… or --labels"
    )


def reached(model: Model, likely: frozenset[str]) -> frozenset[str]:
    """Of the layers that are `likely` to lead to the scores those that a gradient comes back to.

    Where boxes are proposed, numbers go from layer to layer by ways that have none. One forward and one
    backward pass over noise; all of them where nothing is detected in it.
    """
    names = [layer.name for layer in model.layers if layer.has_maps and layer.name in likely]
    spec = model.input
    noise = np.random.default_rng(0).random((1, spec.height, spec.width, spec.channels), np.float32)
    with model.lock:
        ran = model.forward(spec.encode(noise), ("input", *names), {}, True)
        pulled = ran.pull({"scores": ran.scores}, names)
    return frozenset(name for name in names if pulled[name].any()) or likely


def prepares_itself(module: nn.Module) -> bool:
    """Whether it scales and shifts pixels itself, as torchvision's detectors do: it wants them in [0, 1]."""
    return any(type(part).__name__ == "GeneralizedRCNNTransform" for part in module.modules())
