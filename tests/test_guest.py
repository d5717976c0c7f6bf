"""Plugins by strangers: a real one from its wheel, four broken ones, and none at all.

Each is looked at from a fresh process, as its user would: `cnnlens plugins`, `cnnlens run`, Python.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from needs import need

GUEST = Path(__file__).parents[1] / "examples" / "third_party"
OURS = ["class-probabilities", "feature-maps", "filter-weights", "grad-cam", "occlusion", "saliency"]


def python(code: str, *arguments: object, path: Path | None = None) -> str:
    """What a fresh interpreter prints, with `path` among the folders it finds packages in."""
    environment = os.environ | ({"PYTHONPATH": str(path)} if path else {})
    run = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True, text=True, timeout=300, env=environment,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return run.stdout


def cnnlens(*arguments: object, path: Path | None = None) -> str:
    """What a command of cnnlens prints."""
    return python("from cnnlens.cli import main; main(prog_name='cnnlens')", *arguments, path=path)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the guest is installed into, from the wheel that its own pyproject builds."""
    need("build")
    need("captum")
    need("torch")
    wheels, folder = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(wheels), str(GUEST)]
    subprocess.run(build, check=True, capture_output=True, timeout=300)
    (wheel,) = wheels.glob("cnnlens_captum-*.whl")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(folder)]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True, timeout=300)
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network's weights, the file that builds it, its preprocessing and a picture, in one folder."""
    torch = need("torch")
    from PIL import Image

    from cnnlens.testing import picture, tiny_model, tiny_torch

    folder = tmp_path_factory.mktemp("checkpoint")
    torch.save(tiny_torch().state_dict(), folder / "tiny.pt")
    (folder / "net.py").write_text("from cnnlens.testing import tiny_torch as build\n")
    (folder / "input.json").write_text(json.dumps({"size": 8, "mean": [0.5], "std": [0.25]}))
    pixels = (picture(tiny_model()) * 255).round().astype(np.uint8)
    Image.fromarray(pixels).save(folder / "picture.png")
    return folder


def opened(folder: Path) -> list[object]:
    """The words of the command line that open the small network."""
    net, spec = folder / "net.py", folder / "input.json"
    return [folder / "tiny.pt", folder / "picture.png", "--arch", f"{net}:build", "--preprocess", spec]


def test_the_guest_is_listed_beside_ours(site: Path) -> None:
    told = json.loads(cnnlens("plugins", "--json", path=site))
    (guest,) = [v for v in told["visualisers"] if v["plugin"].startswith("cnnlens-captum:")]
    assert guest["name"] == "integrated-gradients-captum" and guest["version"] == "0.1.0"
    assert [s["name"] for s in guest["settings"]] == ["steps", "baseline", "sign"]
    assert {*OURS} <= {v["name"] for v in told["visualisers"]}
    assert told["problems"] == []


def test_the_guest_is_seen_from_python(site: Path) -> None:
    names = python("import cnnlens; print(*(v.name for v in cnnlens.visualisers()))", path=site).split()
    assert "integrated-gradients-captum" in names and {*OURS} <= {*names}


def test_the_guest_loads_no_framework_until_it_runs(site: Path) -> None:
    code = "import cnnlens, sys; cnnlens.visualisers(); print({'torch', 'captum'} & sys.modules.keys())"
    assert python(code, path=site).strip() == "set()"


def test_the_guest_runs_from_the_shell_and_says_what_captum_says(site: Path, checkpoint: Path) -> None:
    out = checkpoint / "shares.npz"
    settings = ["-s", "steps=24", "-s", "baseline=white", "-t", "1", "-o", out]
    cnnlens("run", "integrated-gradients-captum", *opened(checkpoint), *settings, path=site)
    held = np.load(out)
    manifest = json.loads(str(held["manifest"]))
    assert manifest["facts"]["settings"] == {"steps": 24, "baseline": "white", "sign": "signed"}

    import torch
    from captum.attr import IntegratedGradients

    from cnnlens.testing import tiny_torch

    fed, plain = ((torch.from_numpy(a) - 0.5) / 0.25 for a in (held["input"], np.ones_like(held["input"])))
    fed, plain = fed.movedim(-1, 0)[None], plain.movedim(-1, 0)[None]
    direct = IntegratedGradients(tiny_torch().eval()).attribute(fed, plain, target=1, n_steps=24)
    np.testing.assert_allclose(held["panel0"], direct[0].sum(0).numpy(), rtol=1e-4, atol=1e-5)


def test_the_guests_own_tests_pass(site: Path) -> None:
    code = "import pytest, sys; sys.exit(pytest.main(sys.argv[1:]))"
    told = python(
        code, "-q", "-p", "no:cacheprovider", "-c", GUEST / "pyproject.toml", GUEST / "tests", path=site
    )
    assert "5 passed" in told


BROKEN = {
    "raises": ("raise RuntimeError('no graphics card today')", "RuntimeError: no graphics card today"),
    "misspells": (
        "from cnnlens import hookimpl\n@hookimpl\ndef cnnlens_visualizers(): return []",
        "unknown hook 'cnnlens_visualizers'",
    ),
    "untyped": (
        "from cnnlens import *\n"
        "@visualiser(title='Untyped')\n"
        "def untyped(probe: Probe, *, corners: dict = {}) -> Note:\n    'Nothing.'\n    return Note('')",
        "setting 'corners' has type dict; settings are int, float, bool, str",
    ),
    "taken": (
        "from cnnlens import *\n"
        "@visualiser(title='Another occlusion')\n"
        "def occlusion(probe: Probe) -> Note:\n    'Not ours.'\n    return Note('')\n"
        "@visualiser(title='Beside it')\n"
        "def beside_it(probe: Probe) -> Note:\n    'The same plugin, another name.'\n    return Note('')\n"
        "@hookimpl\ndef cnnlens_visualisers(): return [occlusion, beside_it]",
        "visualiser 'occlusion' is left out: cnnlens:masks has that name already",
    ),
}  # fmt: skip


def install_by_hand(folder: Path, name: str, source: str) -> None:
    """A distribution of one module with one entry point, as an installer would leave it."""
    (folder / f"guest_{name}.py").write_text(source)
    info = folder / f"guest_{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: guest-{name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[cnnlens]\n{name} = guest_{name}\n")


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all four kinds of broken plugin, beside each other."""
    folder = tmp_path_factory.mktemp("broken")
    for name, (source, _) in BROKEN.items():
        install_by_hand(folder, name, source)
    return folder


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_one_clear_line(name: str, broken: Path) -> None:
    lines = [line for line in cnnlens("plugins", path=broken).splitlines() if line.startswith("left out: ")]
    assert len(lines) == len(BROKEN)
    (line,) = [one for one in lines if f"guest-{name}:{name}" in one]
    assert BROKEN[name][1] in line


def test_nothing_stops_for_broken_plugins(broken: Path, checkpoint: Path) -> None:
    told = json.loads(cnnlens("plugins", "--json", path=broken))
    origins = {v["name"]: v["plugin"] for v in told["visualisers"]}
    assert all(origins[name].startswith("cnnlens:") for name in OURS)
    assert origins["beside-it"] == "guest-taken:taken"  # what is sound of a plugin stays
    assert cnnlens("run", "saliency", *opened(checkpoint), path=broken).startswith("Saliency · ")


EMPTY = """
import sys
from importlib import metadata
metadata.entry_points = lambda **_: metadata.EntryPoints()
from cnnlens.cli import main
main(prog_name="cnnlens")
"""


def test_without_any_plugin_the_commands_still_run(checkpoint: Path) -> None:
    assert python(EMPTY, "plugins").strip() == ""
    model, _, *opening = opened(checkpoint)
    assert "conv" in python(EMPTY, "layers", model, *opening)
    run = subprocess.run(
        [sys.executable, "-c", EMPTY, "run", "occlusion", *map(str, opened(checkpoint))],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert run.returncode == 2 and "no visualiser 'occlusion'" in run.stderr


def test_without_any_plugin_the_core_still_looks() -> None:
    code = """
from importlib import metadata
metadata.entry_points = lambda **_: metadata.EntryPoints()
import cnnlens
from cnnlens.testing import picture, tiny_model
@cnnlens.visualiser(title="Brightness")
def brightness(probe: cnnlens.Probe) -> cnnlens.Heatmap:
    "How bright each place is."
    return cnnlens.Heatmap(probe.pixels.mean(-1))
assert cnnlens.visualisers() == ()
model = tiny_model()
print(cnnlens.look(model, picture(model), brightness).array.shape)
"""
    assert python(code).strip() == "(8, 8)"
