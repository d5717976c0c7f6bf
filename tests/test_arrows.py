"""Arrows go one way: which room may import which, read off the source and held to a table.

A room is a module or a package right under `cnnlens/`. Imports inside functions count like all others; those
under `if TYPE_CHECKING:` are for readers and type checkers, run never, and may point back (`SEEN_BY_TYPES`).
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
CORE = ROOT / "cnnlens"
PLUGINS = ROOT / "plugins" / "cnnlens_plugins"
GUESTS = ROOT / "examples" / "third_party"

#: The public face is the package itself; of our own rooms only `cli` and `viewer` may go by it, as guests do.
FACE = "cnnlens"

#: Who may import whom. A room reads down this table from the files that know nothing to those that know most.
ARROWS: dict[str, set[str]] = {
    # nouns that everybody speaks in
    "arrays": set(),
    "errors": set(),
    "hookspecs": set(),
    "layer": set(),
    "outputs": set(),
    "pointing": {"errors"},
    "diagram": {"errors", "pointing"},
    "panels": {"arrays", "diagram", "errors", "pointing"},
    "files": {"arrays", "errors"},
    "attribution": {"panels"},
    "enlarging": set(),
    "windows": set(),
    "tape": {"arrays", "errors", "targets", "windows"},
    "arithmetic": {"tape"},
    "passes": {"arrays"},
    "verdict": set(),
    "preprocess": {"arrays", "errors"},
    "images": {"arrays", "errors"},
    "labels": {"errors"},
    "targets": {"arrays", "errors"},
    # the process that all this runs in
    "runtime": set(),
    # a file becomes a native model, a native model a Model
    "memory": {"errors", "layer", "runtime"},
    "budget": {"errors", "memory"},
    "batches": {"arrays", "errors", "passes", "runtime", "targets"},
    "precision": {"budget", "errors"},
    "slopes": {"arrays", "batches", "passes", "targets"},
    "model": {"batches", "slopes", "passes", "precision", "arrays", "budget", "errors", "layer", "memory", "outputs",
              "preprocess", "tape", "targets"},
    "checkpoints": {"errors", "labels", "preprocess"},
    "backends": {"passes", "arrays", "errors", "layer", "model", "outputs", "preprocess", "tape", "targets"},
    "opening": {"backends", "checkpoints", "errors", "labels", "memory", "model", "precision"},
    # what a precision did to a picture
    "rounding": {"arrays", "errors", "model", "panels", "probe", "visualiser"},
    "demo": {"errors", "opening"},
    # which layers have places of the picture, and which of them to take
    "tokens": {"arrays", "errors", "layer", "model"},
    "reach": {"layer", "model"},
    "receptive": {"windows", "errors", "model", "passes", "tape"},
    "once": {"layer", "model"},
    "candidates": {"layer", "model", "once", "reach", "tokens"},
    # a Model and a picture become panels
    "probe": {"passes", "arrays", "errors", "images", "layer", "model", "tape", "targets"},
    "probes": {"errors", "images", "model", "probe", "targets"},
    "settings": {"candidates", "errors", "layer", "model"},
    "doctor": {"passes", "arrays", "errors", "images", "layer", "model", "preprocess"},
    "traits": {"model", "once", "verdict"},
    "visualiser": {"errors", "model", "panels", "probe", "probes", "settings", "traits", "verdict"},
    "pictured": {"probe", "probes", "targets", "visualiser"},
    "registry": {"errors", "hookspecs", "visualiser"},
    "describe": {"arrays", "errors", "layer", "model", "outputs", "receptive", "registry", "visualiser"},
    # panels become pixels; a Result holds both ends
    "diagnosis": {"passes", "arrays", "errors", "layer", "model", "panels", "probe", "probes"},
    "render": {"arrays", "diagram", "errors", "panels"},
    "result": {"arrays", "errors", "files", "panels", "render"},
    "differing": set(),
    "difference": {"arrays", "differing", "errors", "panels", "result"},
    "look": {
        "diagnosis", "diagram", "errors", "images", "model", "panels", "pictured", "probe", "probes", "registry",
        "result",
        "rounding", "runtime", "targets",
        "verdict", "versions", "visualiser",
    },
    "versions": set(),
    # the kit, for guests as for us
    "tiny": {"passes", "arrays", "layer", "model", "preprocess"},
    "testing": {
        "arrays", "errors", "layer", "look", "model", "opening", "panels", "settings", "tape", "targets",
        "tiny",
        "visualiser",
    },
    # the faces
    FACE: {
        "arithmetic", "arrays", "attribution", "candidates", "diagram", "difference", "enlarging", "errors",
        "hookspecs", "images", "layer",
        "look", "model", "opening", "panels", "passes", "pointing",
        "preprocess", "probe", "probes", "registry", "result", "settings", "tape", "targets", "tokens", "verdict",
        "receptive", "viewer", "visualiser", "doctor",
    },
    "viewer": {
        FACE, "arrays", "demo", "describe", "diagram",
        "difference", "errors", "images", "labels", "layer", "look", "model",
        "opening", "panels", "pointing", "preprocess", "probe", "probes", "receptive", "registry", "render", "result",
        "runtime", "settings", "targets", "visualiser",
    },
    "cli": {
        FACE, "candidates", "demo", "describe", "doctor", "errors", "files", "images", "labels", "layer", "look",
        "memory",
        "model", "opening", "panels", "registry", "render", "result", "runtime", "viewer", "visualiser",
    },
    "__main__": {"cli"},
}  # fmt: skip

#: Arrows back, for types alone: `render` names the Result whose panels it is handed, and so on.
SEEN_BY_TYPES: dict[str, set[str]] = {
    "batches": {"model"},
    "budget": {"model"},
    "cli": {"model", "result"},
    "demo": {"model"},
    "hookspecs": {"visualiser"},
    "precision": {"model"},
    "render": {"result"},
    "slopes": {"model"},
    "targets": {"model"},
}

#: The face hands out `view` by name and on request, so the arrow to the viewer is no circle at run time.
LATER = {(FACE, "viewer")}

#: What each file may import from outside while it is being imported, beyond the standard library. The longest
#: matching entry holds; a file that no entry matches may import none of it.
EVERYWHERE = {"numpy"}
AT_IMPORT: dict[str, set[str]] = {
    "cnnlens/cli/__init__.py": {"click"},
    "cnnlens/cli/door.py": {"click"},
    "cnnlens/cli/printing.py": {"click"},
    "cnnlens/hookspecs.py": {"pluggy"},
    "cnnlens/images/": {"PIL"},
    "cnnlens/preprocess/": {"PIL"},
    "cnnlens/registry.py": {"pluggy"},
    "cnnlens/render/": {"PIL"},
    "cnnlens/render/diagram/axes.py": {"matplotlib"},
    "cnnlens/render/figure.py": {"PIL", "matplotlib"},
    "cnnlens/settings.py": {"pydantic"},
    "cnnlens/backends/torch": {"torch"},
    "cnnlens/backends/_torch": {"torch"},
    "cnnlens/backends/keras": {"keras"},
    "cnnlens/backends/_keras": {"keras"},
    "cnnlens/backends/_keras_replay": {"keras", "torch"},
    "cnnlens/backends/replay/": {"torch"},
    "cnnlens/backends/_engines": {"keras"},
    "cnnlens/viewer/": {"PIL", "flask", "markupsafe", "werkzeug", "pydantic", "waitress"},
}
#: What they may import besides within a function: then it loads only for those who need it.
ON_CALL: dict[str, set[str]] = {
    "cnnlens/cli/progress.py": {"tqdm"},
    "cnnlens/cli/__init__.py": {"numpy"},
    "cnnlens/checkpoints/keras_source.py": {"h5py"},
    "cnnlens/checkpoints/hdf5_tree.py": {"h5py"},
    "cnnlens/checkpoints/keras_file.py": {"keras", "h5py"},
    "cnnlens/checkpoints/torch_file.py": {"torch", "safetensors"},
    "cnnlens/checkpoints/hugging_face.py": {"safetensors"},
    "cnnlens/checkpoints/unwrapping.py": {"torch"},
    "cnnlens/checkpoints/zoo.py": {"torch"},
    "cnnlens/backends/_engines": {"torch", "tensorflow", "jax"},
    "cnnlens/backends/keras": {"torch", "tensorflow", "jax"},
    "cnnlens/backends/_keras": {"torch", "tensorflow", "jax"},
    "cnnlens/tiny.py": {"torch", "keras"},
    "cnnlens/runtime/blas.py": {"threadpoolctl"},
}
#: What a shipped visualiser may use.
FOR_PLUGINS = {"numpy", "PIL", "scipy", "skimage", "sklearn"}


class Import(NamedTuple):
    """One imported module: its dotted name, the name taken from it, and where the statement stands."""

    module: str
    name: str
    line: int
    for_types: bool
    on_call: bool


def imports(path: Path, package: str) -> Iterator[Import]:
    """Every import of a file, relative ones made absolute."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    yield from _walk(tree, package, for_types=False, on_call=False)


def _walk(node: ast.AST, package: str, for_types: bool, on_call: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, "", child.lineno, for_types, on_call)
        elif isinstance(child, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - child.level + 1] if child.level else []
            module = ".".join([*above, *([child.module] if child.module else [])])
            for alias in child.names:
                yield Import(module, alias.name, child.lineno, for_types, on_call)
        elif isinstance(child, ast.If) and _is_type_checking(child.test):
            for part in child.body:
                yield from _walk(ast.Module([part], []), package, True, on_call)
            for part in child.orelse:
                yield from _walk(ast.Module([part], []), package, for_types, on_call)
        else:
            inside = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            yield from _walk(child, package, for_types, on_call or inside)


def _is_type_checking(test: ast.expr) -> bool:
    return isinstance(test, (ast.Name, ast.Attribute)) and ast.unparse(test).endswith("TYPE_CHECKING")


def room_of(path: Path) -> str:
    """The room a file of the core is part of."""
    first = path.relative_to(CORE).parts[0]
    return FACE if first == "__init__.py" else first.removesuffix(".py")


def package_of(path: Path, root: Path) -> str:
    """The dotted package that relative imports of a file are counted from."""
    return ".".join(path.relative_to(root).parent.parts)


def reached_room(one: Import, rooms: set[str]) -> str | None:
    """The room of cnnlens that an import leads to; None for one that leads outside."""
    parts = one.module.split(".")
    if parts[0] != "cnnlens":
        return None
    if len(parts) > 1:
        return parts[1]
    return one.name if one.name in rooms and one.name not in FACE_FIRST else FACE


#: `from cnnlens import look` is the function on the face, `from . import registry` the room.
FACE_FIRST = {"candidates", "difference", "doctor", "look", "visualiser"}


def core_files() -> list[Path]:
    return sorted(CORE.rglob("*.py"))


def rooms() -> set[str]:
    return {room_of(path) for path in core_files()}


def broken_arrows(path: Path, package: str, room: str) -> list[str]:
    """The imports of a file of the core that its row of the table does not allow."""
    row = ARROWS.get(room, set())
    found = []
    for one in imports(path, package):
        other = reached_room(one, set(ARROWS))
        allowed = row | (SEEN_BY_TYPES.get(room, set()) if one.for_types else set())
        if other is not None and other != room and other not in allowed:
            found.append(f"{path.name}:{one.line}: {room} → {other}")
    return found


def allowance(table: dict[str, set[str]], path: str) -> set[str]:
    """What the longest entry that the path begins with allows."""
    fitting = [entry for entry in table if path.startswith(entry)]
    return table[max(fitting, key=len)] if fitting else set()


def broken_borders(path: Path, package: str, shown: str) -> list[str]:
    """The imports from outside that a file of the core may not make where it makes them."""
    found = []
    for one in imports(path, package):
        top = one.module.partition(".")[0]
        if one.for_types or top in sys.stdlib_module_names or top in EVERYWHERE | {"cnnlens", "__future__"}:
            continue
        allowed = allowance(AT_IMPORT, shown) | (allowance(ON_CALL, shown) if one.on_call else set())
        if top not in allowed:
            found.append(f"{shown}:{one.line}: imports {top}{'' if one.on_call else ' while it is imported'}")
    return found


def broken_plugin(path: Path, root: Path, allowed: set[str], public: set[str]) -> list[str]:
    """What a visualiser imports that a stranger's could or should not."""
    found = []
    package = package_of(path, root)
    for one in imports(path, package):
        top = one.module.partition(".")[0]
        if (
            top in sys.stdlib_module_names
            or top in allowed
            or one.module in ("cnnlens.testing", "__future__")
        ):
            continue
        own = one.module.startswith(package) and ("." in package or top != "cnnlens_plugins")
        if own and top != "cnnlens":
            continue  # a plugin of several files reads its own
        if one.module != "cnnlens" or (one.name and one.name not in public):
            found.append(f"{path.name}:{one.line}: {one.module} {one.name}".rstrip())
    return found


@pytest.mark.parametrize("path", core_files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_every_file_keeps_to_its_row_of_the_table(path: Path) -> None:
    assert broken_arrows(path, package_of(path, ROOT), room_of(path)) == []


@pytest.mark.parametrize("path", core_files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_frameworks_and_servers_stay_in_their_rooms(path: Path) -> None:
    assert broken_borders(path, package_of(path, ROOT), path.relative_to(ROOT).as_posix()) == []


def test_the_table_and_the_tree_name_the_same_rooms() -> None:
    assert rooms() - set(ARROWS) == set(), "a room without a row"
    assert set(ARROWS) - rooms() == set(), "a row without a room"
    named = set().union(*ARROWS.values(), *SEEN_BY_TYPES.values(), SEEN_BY_TYPES)
    assert named <= set(ARROWS)


def test_the_arrows_have_no_circle() -> None:
    graph = {room: {other for other in row if (room, other) not in LATER} for room, row in ARROWS.items()}
    order = list(TopologicalSorter(graph).static_order())
    assert order.index("model") < order.index("probe") < order.index("look") < order.index("cli")


def test_what_the_design_promises_is_in_the_table() -> None:
    assert [room for room, row in ARROWS.items() if row & {"viewer", "cli"}] == [FACE, "cli", "__main__"]
    assert "viewer" in ARROWS["cli"]
    assert [room for room, row in ARROWS.items() if "cli" in row] == ["__main__"]
    sees_visualisers = {"look", "probe", "registry", "render", "result", "settings", "visualiser", FACE}
    for blind in ("backends", "checkpoints", "model"):
        assert not ARROWS[blind] & sees_visualisers
    assert ARROWS["render"] <= {"arrays", "diagram", "errors", "panels"}


def test_our_visualisers_import_what_a_stranger_could() -> None:
    import cnnlens

    files = sorted(PLUGINS.rglob("*.py"))
    assert len(files) > 6
    found = [
        one for f in files for one in broken_plugin(f, PLUGINS.parent, FOR_PLUGINS, set(cnnlens.__all__))
    ]
    assert found == []


def test_the_guest_imports_the_public_names_alone() -> None:
    import cnnlens

    files = sorted(GUESTS.rglob("*.py"))
    assert files
    outside = {"numpy", "captum", "cnnlens_captum", "torch", "pytest"}
    found = [one for f in files for one in broken_plugin(f, GUESTS, outside, set(cnnlens.__all__))]
    assert found == []


def test_the_walk_sees_every_way_to_import(tmp_path: Path) -> None:
    source = """
from typing import TYPE_CHECKING
import flask.views
from . import look
from ..registry import installed
import cnnlens.cli
if TYPE_CHECKING:
    from ..result import Result
else:
    from ..viewer import serve
def later():
    if True:
        import torch
class Held:
    import keras
"""
    path = tmp_path / "colour.py"
    path.write_text(source)
    assert broken_arrows(path, "cnnlens.render", "render") == [
        "colour.py:5: render → registry",
        "colour.py:6: render → cli",
        "colour.py:10: render → viewer",
    ]
    assert broken_borders(path, "cnnlens.render", "cnnlens/render/colour.py") == [
        "cnnlens/render/colour.py:3: imports flask while it is imported",
        "cnnlens/render/colour.py:13: imports torch",
        "cnnlens/render/colour.py:15: imports keras while it is imported",
    ]


def test_the_walk_refuses_a_plugin_that_reaches_inside(tmp_path: Path) -> None:
    folder = tmp_path / "cnnlens_plugins"
    folder.mkdir()
    path = folder / "mine.py"
    path.write_text(
        "import cnnlens\nfrom cnnlens import Probe, registry\nfrom cnnlens.model import Layer\n"
        "from .occlusion import squares\nimport torch\n"
    )
    assert broken_plugin(path, tmp_path, FOR_PLUGINS, {"Probe"}) == [
        "mine.py:2: cnnlens registry",
        "mine.py:3: cnnlens.model Layer",
        "mine.py:4: cnnlens_plugins.occlusion squares",
        "mine.py:5: torch",
    ]
