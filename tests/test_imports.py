"""Importing cnnlens and asking for help are free of frameworks; the public names are pinned."""

from __future__ import annotations

import subprocess
import sys

import pytest

import cnnlens

HEAVY = (
    "torch",
    "torchvision",
    "keras",
    "tensorflow",
    "jax",
    "flask",
    "werkzeug",
    "waitress",
    "matplotlib",
    "scipy",
)

#: What `from cnnlens import *` brings. A name added is a promise; one taken away breaks somebody's script.
PUBLIC = [
    "Approximate", "Array", "Bars", "Call", "CallInfo", "Candidate", "CnnlensError", "Cost", "Curve",
    "Diagram", "Edge", "Field", "Grid", "Heatmap", "Image", "Impossible", "InputSpec", "Inspection", "Join",
    "KernelsLayer", "Layer", "LayerOf", "Link", "MapsLayer", "Model", "Node", "Note", "Outline", "Panel",
    "Picture", "PlacesLayers", "Probe", "Probes", "ReceptiveField", "Result", "Sheet", "Table", "Tape", "Target",
    "Tiles", "Trace", "Verdict", "Visualiser", "attributed", "candidates", "cover_of", "difference", "doctor",
    "enlarged", "errors", "fold", "hookimpl", "inspect", "interpolation", "join_channels", "load",
    "look", "mark_of", "multiply_adds", "names_of", "open_image", "receptive_fields", "sheet", "view", "visualiser",
    "visualisers", "wrap",
]  # fmt: skip


def loaded_by(code: str) -> set[str]:
    """Which of the heavy packages a fresh interpreter holds after running `code`."""
    told = f"{code}\nimport sys\nprint('loaded:', *({set(HEAVY)!r} & sys.modules.keys()))"
    run = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return set(run.stdout.rpartition("loaded:")[2].split())


def test_import_loads_no_framework() -> None:
    assert loaded_by("import cnnlens") == set()


def test_listing_the_visualisers_loads_no_framework() -> None:
    assert loaded_by("import cnnlens\nassert len(cnnlens.visualisers()) >= 6") == set()


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["--version"], ["plugins"]], ids=" ".join)
def test_asking_for_help_loads_no_framework(words: list[str]) -> None:
    code = f"from cnnlens.cli import main\nmain({words!r}, prog_name='cnnlens', standalone_mode=False)"
    assert loaded_by(code) == set()


def test_the_console_script_answers() -> None:
    found = [sys.executable, "-c", "from cnnlens.cli import main; main(prog_name='cnnlens')", "--help"]
    run = subprocess.run(found, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0 and run.stdout.startswith("Usage: cnnlens")


def test_the_public_names_are_pinned_and_sorted() -> None:
    assert cnnlens.__all__ == PUBLIC
    assert cnnlens.__all__ == sorted(cnnlens.__all__)


def test_every_public_name_is_there_and_offered() -> None:
    for name in cnnlens.__all__:
        assert getattr(cnnlens, name) is not None
        assert name in dir(cnnlens)


def test_a_name_that_is_none_says_so() -> None:
    with pytest.raises(AttributeError, match="no attribute 'lens'"):
        cnnlens.lens  # noqa: B018 (the access is the test)
