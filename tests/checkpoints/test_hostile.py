"""Nothing in the corpus runs, hangs or fills the memory: load refuses it, inspect answers or refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import hostile_archives  # noqa: F401 - registers its files
import hostile_keras  # noqa: F401
import hostile_torch  # noqa: F401
import pytest
from hostile import CORPUS
from needs import need

import cnnlens

HERE = Path(__file__).parent
SECONDS = 10
MEGABYTES = 512

for part in ("torch", "h5py", "safetensors", "keras"):
    if find_spec(part) is None:  # found, not imported: TensorFlow and PyTorch do not bear each other for long
        need(part)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus on disk, and honest files to warm up on."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "canaries").mkdir()
    (folder / "warm").mkdir()
    done = python("hostile_build.py", str(folder))
    assert done.returncode == 0, done.stderr[-2000:]
    assert list((folder / "canaries").iterdir()) == []  # to build a trap is not to walk into it
    return folder


def python(script: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A script of this folder in a process of its own, with the engine that starts fastest."""
    here = str(Path(cnnlens.__file__).parents[1])  # the cnnlens under test, whichever else is installed
    path = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "KERAS_BACKEND": "torch", "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    command = [sys.executable, str(HERE / script), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)


def run(what: str, folder: Path) -> dict[str, dict[str, Any]]:
    """What came of each file, by the name of its case."""
    files = [str(folder / case.file) for case in CORPUS.values()]
    done = python("hostile_runner.py", what, str(folder / "warm"), *files)
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    names = list(CORPUS)
    ended = names[min(len(told), len(names) - 1)]
    assert len(told) == len(names), f"{ended} ended the process ({done.returncode}): {done.stderr[-2000:]}"
    return dict(zip(names, told, strict=True))


@pytest.fixture(scope="module")
def loaded(folder: Path) -> dict[str, dict[str, Any]]:
    return run("load", folder)


@pytest.fixture(scope="module")
def inspected(folder: Path) -> dict[str, dict[str, Any]]:
    return run("inspect", folder)


def test_the_corpus_is_large_enough() -> None:
    assert len(CORPUS) >= 100
    assert sum(case.file.endswith((".keras", ".h5")) for case in CORPUS.values()) >= 30


@pytest.mark.parametrize("name", CORPUS)
def test_load_refuses_it_with_a_typed_error(
    loaded: dict[str, dict[str, Any]], folder: Path, name: str
) -> None:
    told = loaded[name]
    assert told["typed"] and CORPUS[name].error in told["kinds"], told
    assert len(told["message"]) < 600 and told["message"].isprintable()
    assert told["seconds"] < SECONDS and told["grown_mb"] < MEGABYTES
    assert not (folder / "canaries" / name).exists()


@pytest.mark.parametrize("name", CORPUS)
def test_inspect_runs_nothing_of_it(inspected: dict[str, dict[str, Any]], folder: Path, name: str) -> None:
    told = inspected[name]
    assert told["seen"] == []
    assert told["typed"], told
    assert told["seconds"] < SECONDS and told["grown_mb"] < MEGABYTES
    assert not (folder / "canaries" / name).exists()


WOULD_RUN = {
    "os_system_in_zip": "posix.system", "os_system_in_legacy": "posix.system",
    "trap_as_a_weight": "posix.system",
    "named_on_the_stack": "posix.system", "by_inst": "os.system", "by_obj": "os.system",
    "by_the_name_of_python_2": "builtins.eval", "thrown_away_again": "os.system",
    "protocol_0": "posix.system",
    "by_an_extension_code": "copyreg.extension 7", "whole_module": "torch.nn.modules.container.Sequential",
    "lambda_in_keras": "keras.layers.Lambda (layer 'odd')", "lambda_in_h5": "Lambda (layer 'odd')",
    "tensorflow_program": "keras.layers.TFSMLayer (layer 'odd')", "class_of_another_module": "os.system",
    "function_of_another_module": "os.system", "exported_program": "the program models/model.json",
}  # fmt: skip


@pytest.mark.parametrize("name", WOULD_RUN)
def test_inspect_says_what_loading_would_run(inspected: dict[str, dict[str, Any]], name: str) -> None:
    assert WOULD_RUN[name] in inspected[name]["facts"]["would_run"]


HARMLESS = {"dicts_in_dicts", "memo_far_away"}  # to a reader that runs nothing


@pytest.mark.parametrize("name", sorted(set(CORPUS) - HARMLESS))
def test_inspect_finds_something_to_say(inspected: dict[str, dict[str, Any]], name: str) -> None:
    told = inspected[name]
    assert told["error"] or told["facts"]["would_run"] or told["facts"]["problems"]


def test_the_watch_sees_what_it_is_there_for(tmp_path: Path) -> None:
    """The canaries work, and so does the hook: an unpickled trap trips both."""
    code = (
        "import pickle, sys; sys.path.insert(0, sys.argv[1]); import hostile_runner as r\n"
        "sys.addaudithook(r.watch); r.armed = True\n"
        "pickle.load(open(sys.argv[2], 'rb')); r.armed = False; print(r.seen)"
    )
    trap, canary = tmp_path / "trap", tmp_path / "canary"
    CORPUS["plain_pickle"].build(trap, canary)
    done = subprocess.run([sys.executable, "-c", code, str(HERE), str(trap)], capture_output=True, text=True)
    assert canary.exists() and "os.system" in done.stdout and "pickle.find_class" in done.stdout, done
