"""Names of classes in what a checkpoint says beside its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cnnlens.labels import from_metadata, read_labels

NAMES = ("cat", "dog", "fox")


@pytest.mark.parametrize(
    "metadata",
    [
        {"classes": ["cat", "dog", "fox"]},
        {"class_names": ("cat", "dog", "fox"), "epoch": 3},
        {"class_to_idx": {"dog": 1, "cat": 0, "fox": 2}},
        {"idx_to_class": {0: "cat", 2: "fox", 1: "dog"}},
        {"id2label": {"0": "cat", "1": "dog", "2": "fox"}, "labels": [2, 1, 1, 0]},
        {"id2label": '{"0": "cat", "1": "dog", "2": "fox"}'},
        {"labels": '["cat", "dog", "fox"]'},
        {"classes": "cat, dog, fox"},
        {"config": {"label2id": {"cat": 0, "dog": 1, "fox": 2}}},
        {"hyper_parameters": {"num_classes": 3, "class_names": ["cat", "dog", "fox"]}},
        {"cnnlens": json.dumps({"classes": ["cat", "dog", "fox"]})},
    ],
)
def test_names_are_found(metadata: dict[str, Any]) -> None:
    assert from_metadata(metadata) == NAMES


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"classes": 3},
        {"labels": [0, 1, 1, 2]},  # a picture's label each, no names
        {"classes": ["cat"]},
        {"class_to_idx": {"cat": 1, "dog": 2}},  # not from 0 on
        {"class_to_idx": {"cat": 0, "dog": 0}},
        {"names": [["cat"], ["dog"]]},
        {"format": "pt", "epoch": 7, "config": "resnet.yaml"},
    ],
)
def test_what_names_no_classes_is_passed_over(metadata: dict[str, Any]) -> None:
    assert from_metadata(metadata) is None


def test_folders_that_are_numbered_as_text(tmp_path: Path) -> None:
    numbers = sorted(map(str, range(11)))  # 0, 1, 10, 2 …
    mapping = {name: i for i, name in enumerate(numbers)}
    assert from_metadata({"class_to_idx": mapping}) == tuple(numbers)
    (tmp_path / "l.json").write_text(json.dumps(mapping))
    assert read_labels(tmp_path / "l.json") == tuple(numbers)
