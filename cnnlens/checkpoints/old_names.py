"""Names that layers of torchvision had in older releases, in which many published files are still written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple


class _Rename(NamedTuple):
    what: str
    pattern: re.Pattern[str]
    names: Mapping[str, str]


_RENAMES = (
    # torchvision renames both itself when it loads (_load_state_dict of densenet.py, MLPBlock of its ViT)
    _Rename(
        "DenseNet's old names (norm.1)",
        re.compile(r"(?<=\.)(norm|relu|conv)\.([12])(?=\.(?:weight|bias|running_mean|running_var|num_batches))"),
        {},
    ),
    _Rename("ViT's old names (linear_1)", re.compile(r"(?<=\.mlp\.)(linear_[12])(?=\.)"), {
        "linear_1": "0",
        "linear_2": "3",
    }),
)  # fmt: skip


def renewed(weights: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The weights by today's names, and what was renamed; the same names where none is old."""
    for rename in _RENAMES:
        new = {rename.pattern.sub(partial(_new, rename), k): v for k, v in weights.items()}
        if len(new) == len(weights) and new.keys() != weights.keys():
            return new, [f"{rename.what} renewed"]
    return dict(weights), []


def _new(rename: _Rename, match: re.Match[str]) -> str:
    return rename.names.get(match[0], match[0].replace(".", ""))
