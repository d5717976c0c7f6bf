"""Checkpoints that torchvision publishes, known by their digest; their very input and labels come with it."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NamedTuple

from ..errors import CannotOpen, MissingPackage
from .zoo import import_torchvision


class Published(NamedTuple):
    """The architecture and the weights' own name, with the input and the labels that belong to them."""

    name: str
    weights: str
    preprocess: object
    labels: tuple[str, ...] | None


def find_published(digest: str) -> Published | None:
    """The published weights of this SHA-256, the first digits of which torchvision writes into their name."""
    found = _published().get(digest[:8]) if digest else None
    if found is None:
        return None
    name, weights = found
    transform = weights.transforms()
    labels = weights.meta.get("categories")
    return Published(
        name, str(weights), transform if hasattr(transform, "crop_size") else None,
        tuple(labels) if labels else None,
    )  # fmt: skip


@cache
def _published() -> dict[str, tuple[str, Any]]:
    try:
        models = import_torchvision().models
    except (CannotOpen, MissingPackage):  # then the weights are fitted to the user's own code, if to any
        return {}
    return {
        digest[1]: (name, weights)
        for name in models.list_models(module=models)
        for weights in models.get_model_weights(name)
        if (digest := re.search(r"-([0-9a-f]{8})\.pth$", weights.url))
    }
