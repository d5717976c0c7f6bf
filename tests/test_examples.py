"""The examples do what their first lines say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from needs import need

EXAMPLES = Path(__file__).parents[1] / "examples"
WRITES = {
    "look_at_a_cat.py": ["grad-cam.png", "rather-than-tabby.png"],
    "own_architecture.py": ["filters.png", "occlusion.png", "shapes.pt"],
    "sheet.py": ["sheet.html"],
    "vgg19_filters.py": ["blocks.10.png", "blocks.15.png", "blocks.2.png", "blocks.6.png", "first-layer.png"],
}
SAYS = {
    "look_at_a_cat.py": "Egyptian cat\n",
    "own_architecture.py": "it is a square",
    "sheet.py": "chelsea.png · Grad-CAM · Egyptian cat",
    "vgg19_filters.py": "_blocks.15, filter 1: ",
}
NEEDS = {name: ("torch",) for name in WRITES} | {
    name: ("torch", "skimage", "efficientnet_lite_pytorch")
    for name in ("look_at_a_cat.py", "sheet.py", "vgg19_filters.py")
}
#: Where the default takes long.
QUICK = {"vgg19_filters.py": ("--units", "1", "--steps", "2", "--size", "32")}


def test_every_example_is_tried() -> None:
    assert sorted(path.name for path in EXAMPLES.glob("*.py")) == sorted(WRITES)


@pytest.mark.parametrize("name", WRITES)
def test_an_example_runs_and_writes_what_it_says(name: str, tmp_path: Path) -> None:
    for package in NEEDS[name]:
        need(package)
    run = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name, tmp_path, *QUICK.get(name, ())],
        capture_output=True, text=True, timeout=300, cwd=tmp_path,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert SAYS[name] in run.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == WRITES[name]
    assert all(path.stat().st_size > 1000 for path in tmp_path.iterdir())
