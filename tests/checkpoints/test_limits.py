"""The limits one by one, the version floors, and where trust may be said."""

from __future__ import annotations

import ast
import io
import random
import re
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from needs import need

import cnnlens
from cnnlens.checkpoints import floors
from cnnlens.checkpoints.archives import read_archive
from cnnlens.checkpoints.dense import check_loaded
from cnnlens.checkpoints.formats import recognise
from cnnlens.checkpoints.keras_config import code_named
from cnnlens.checkpoints.limits import GRACE, MOST, TIMES, check_declared, size
from cnnlens.errors import CannotOpen, CnnlensError, Refused

torch = need("torch")
CORE = Path(cnnlens.__file__).parent
ROOT = Path(__file__).parents[2]


def test_what_a_file_may_declare() -> None:
    check_declared("x", TIMES * 1000 + GRACE, 1000)
    with pytest.raises(Refused, match=r"x is 1000 bytes and declares 64\.0 MiB"):
        check_declared("x", TIMES * 1000 + GRACE + 1, 1000)
    with pytest.raises(Refused, match=r"at most 64\.0 GiB"):
        check_declared("x", MOST + 1, MOST)
    assert [size(n) for n in (0, 1023, 1024, 1 << 40, 1 << 60)] == [
        "0 bytes", "1023 bytes", "1.0 KiB", "1.0 TiB", "1.02e+03 PiB",
    ]  # fmt: skip


def test_an_honest_archive_that_was_packed_again_opens(tmp_path: Path) -> None:
    """People unpack a checkpoint and zip it again, with folders as entries and everything deflated."""
    torch.save({"a.weight": torch.arange(6.0)}, tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt") as old, zipfile.ZipFile(tmp_path / "b.pt", "w", 8) as new:
        new.writestr("a/", b"")
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert all(entry.packed for entry in read_archive(tmp_path / "b.pt").entries.values() if entry.size)
    assert cnnlens.inspect(tmp_path / "b.pt").parameters == 6


def test_a_window_is_a_file(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as new:
        new.writestr("a/x", b"0123456789")
        new.writestr("a/y", b"other")
    with read_archive(tmp_path / "a.zip").open("a/x", 100) as file:
        assert file.read(4) == b"0123" and file.seek(-2, io.SEEK_END) == 8
        assert file.read() == b"89" and file.seek(2) == 2 and file.read(100) == b"23456789"


def test_a_zip64_archive_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as new, new.open("a/x", "w", force_zip64=True) as file:
        file.write(b"content")
    assert read_archive(tmp_path / "a.zip").read("a/x", 100) == b"content"


def test_a_network_of_a_thousand_tensors_costs_little(tmp_path: Path) -> None:
    import time

    weights = {f"layer{i}.conv.weight": torch.zeros(4, 4, 3, 3) for i in range(1500)}
    torch.save({"state_dict": weights}, tmp_path / "a.pt")
    begun = time.perf_counter()
    assert len(cnnlens.inspect(tmp_path / "a.pt").tensors) == 1500
    assert time.perf_counter() - begun < 3


@pytest.mark.parametrize(
    "odd",
    [
        lambda: torch.eye(3).to_sparse(),
        lambda: torch.eye(3).to_sparse_csr(),
        lambda: torch.zeros(3, device="meta"),
        lambda: torch.nested.nested_tensor([torch.zeros(2)]),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_only_dense_tensors_come_through_once_loaded(odd: Any) -> None:
    check_loaded(torch, {"a": [torch.zeros(2).expand(3, 2), {"b": (torch.zeros(0), torch.zeros(()))}]}, "x")
    with pytest.raises(Refused, match="x holds a tensor that is not a plain dense one"):
        check_loaded(torch, {"state_dict": {"w": odd()}}, "x")


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_a_damaged_file_is_told_as_one(tmp_path: Path, kind: str) -> None:
    """Bytes changed at random: an answer or one of our errors, nothing else, three hundred times."""
    weights = {"conv.weight": torch.zeros(4, 3, 3, 3), "fc.weight": torch.zeros(5, 4)}
    file = tmp_path / "a"
    if kind == "safetensors":
        need("safetensors.torch").save_file(weights, file)
    else:
        torch.save(weights, file, _use_new_zipfile_serialization=kind == "zip")
    whole, chance = file.read_bytes(), random.Random(7)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(min(len(data), 1200))] = chance.randrange(256)
        file.write_bytes(bytes(data))
        try:
            told = cnnlens.inspect(file)
        except CnnlensError as error:
            assert str(error)
        else:
            assert all(line.isprintable() for line in told.lines())


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (b"\x1f\x8b\x08", "gzip"), (b"\x93NUMPY", "NumPy"), (b"version https://git-lfs", "Git LFS"),
        (b"\x1c\0\0\0TFL3", "Lite"), (b"\x80\x04K\x01.", "plain pickle"), (b"<html>", "web page"),
        (b"\xff" * 30, "unknown format"),
    ],
)  # fmt: skip
def test_what_people_take_for_a_checkpoint(tmp_path: Path, head: bytes, told: str) -> None:
    (tmp_path / "a.pt").write_bytes(head)
    kind = recognise(tmp_path / "a.pt")
    assert kind.framework == "none" and told in kind.title


def test_code_in_a_configuration() -> None:
    honest = {
        "module": "keras.layers",
        "class_name": "Dense",
        "config": {"activation": "relu", "name": "Lambda"},
    }
    assert code_named(honest) == [] == code_named({"class_name": "Dense", "config": {}})
    assert code_named([{"class_name": "function", "module": "builtins", "config": "relu"}]) == []
    assert code_named({"layers": [honest, {"module": "os", "class_name": "system"}]}) == ["os.system"]
    assert code_named({"class_name": "MyPackage>Lambda", "config": {"name": "l"}}) == [
        "MyPackage>Lambda (layer 'l')"
    ]
    assert code_named({"module": "builtins", "class_name": "eval"}) == ["builtins.eval"]
    assert code_named({"module": "kerasevil.layers", "class_name": "Dense"}) == ["kerasevil.layers.Dense"]


def test_what_is_read_as_nothing_is_named_alike_on_both_sides() -> None:
    from cnnlens.checkpoints.dense import HARMLESS
    from cnnlens.checkpoints.harmless import harmless_globals

    told = [
        one[1] if isinstance(one, tuple) else f"{one.__module__}.{one.__name__}" for one in harmless_globals()
    ]
    assert sorted(told) == sorted(HARMLESS)


FLOORS = {
    "torch": "2.10", "keras": "3.15.1", "pillow": "12.3", "flask": "3.1.3", "werkzeug": "3.1.6",
    "waitress": "3.0.2",
}  # fmt: skip


@pytest.mark.parametrize("package", FLOORS)
def test_the_version_floors_stand_in_pyproject(package: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(one for extra in project["optional-dependencies"].values() for one in extra),
    ]
    floor = next(m[1] for one in wanted if (m := re.fullmatch(rf"{package}>=([\d.]+)", one)))
    assert floors.numbers(floor) >= floors.numbers(FLOORS[package])
    assert floors.FLOORS.get(package, floor) == floor


@pytest.mark.parametrize(
    ("version", "old"),
    [("2.9.1", True), ("2.9.0+cu126", True), ("2.10.0a0", False), ("2.10", False), ("3.0", False)],
)
def test_an_old_framework_is_refused_before_it_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, old: bool
) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "a.pt")
    monkeypatch.setattr(metadata, "version", lambda package: version)
    with pytest.raises(Refused if old else CnnlensError) as told:
        cnnlens.load(tmp_path / "a.pt", arch="cnnlens.testing:tiny_torch")
    assert (f"torch {version} is known to" in str(told.value)) == old


def test_trust_does_not_open_what_is_broken(tmp_path: Path) -> None:
    (tmp_path / "a.keras").write_bytes(b"PK\3\4 and no more")
    with pytest.raises(CannotOpen):
        cnnlens.load(tmp_path / "a.keras", trust=True)


def calls(tree: ast.AST) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def sources(under: Path) -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(under.rglob("*.py"))}


def test_the_viewer_never_says_trust() -> None:
    for path, tree in sources(CORE / "viewer").items():
        for node in ast.walk(tree):
            named = getattr(node, "id", None) or getattr(node, "attr", None) or getattr(node, "arg", None)
            assert named != "trust", f"{path.name}:{getattr(node, 'lineno', '?')}"
            assert not (isinstance(node, ast.Constant) and node.value == "trust"), path.name


def test_nothing_says_trust_by_itself() -> None:
    """`trust` is handed on as it came, or is False; True is only ever written by a person."""
    for path, tree in sources(CORE).items():
        for call in calls(tree):
            for word in call.keywords:
                if word.arg in ("trust", "is_trusted"):
                    assert not (isinstance(word.value, ast.Constant) and word.value.value), path


def test_unsafe_reading_has_one_place_and_a_guard() -> None:
    """`weights_only` is never False as such, and no loader stands where another has just failed.

    Pickles are read where the model's process learns from the viewer that started it what to open, and nowhere
    else; the viewer reads none that comes back.
    """
    places, pickles = [], []
    for path, tree in sources(CORE).items():
        for call in calls(tree):
            name = ast.unparse(call.func)
            for word in call.keywords:
                if word.arg == "weights_only":
                    places.append((path.name, ast.unparse(word.value)))
            if name in ("pickle.load", "pickle.loads", "pickle.Unpickler"):
                pickles.append(path.relative_to(CORE).as_posix())
            assert name not in ("marshal.loads", "torch.hub.load"), path
            assert not name.endswith("enable_unsafe_deserialization"), path
        for handler in (node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)):
            again = [ast.unparse(call.func) for call in calls(handler)]
            assert not any(name.endswith((".load", "load_model", "load_file")) for name in again), path
    assert places == [("torch_file.py", "not trust")]
    assert pickles == ["viewer/process/child.py"]


def test_safe_mode_is_off_only_by_trust() -> None:
    for path, tree in sources(CORE).items():
        for call in calls(tree):
            for word in call.keywords:
                if word.arg == "safe_mode":
                    assert ast.unparse(word.value) in ("True", "not trust", "not asked.trust"), path
