"""The documentation is true: whatever it names exists, whatever is public is in it, and what it runs runs.

Two comments mark blocks of Markdown: `<!-- run -->` before one that is run, bash or Python, in the order of
the page and in one folder; `<!-- prints -->` before what the last one printed, decimals to two per cent.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib
import inspect
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest
from needs import need

import cnnlens
from cnnlens import cli, errors, hookspecs, registry
from cnnlens.panels import Panel

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
PAGES += [ROOT / "examples" / "third_party" / "README.md"]
BY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))

_BLOCK = re.compile(r"(?:<!-- (?P<mark>[a-z]+) -->\n+)?^```(?P<lang>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
_NAME = re.compile(r"(?<![\w/.-])cnnlens((?:\.[A-Za-z_]\w*)+)")
_NUMBER = re.compile(r"-?\d+\.\d+")


class Block(NamedTuple):
    """A fenced block: the comment before it, its language, its text."""

    mark: str
    language: str
    text: str


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [Block(m["mark"] or "", m["lang"], m["text"]) for m in _BLOCK.finditer(text)]


# -- commands -----------------------------------------------------------------------------------


def commands(text: str) -> Iterator[list[str]]:
    """The words of every command of cnnlens on a page: lines of blocks, and whole spans of code."""
    spans = re.findall(r"(?<!`)`(cnnlens [a-z][^`]*)`(?!`)", text)
    fenced = [block.text for block in blocks(text) if block.language in ("", "bash", "console", "sh")]
    lines = [line for some in fenced for line in some.replace("\\\n", " ").splitlines()]
    for line in [*spans, *lines]:
        for part in re.split(r"&&|\||;", re.sub(r"\s#.*", "", line)):
            found = re.match(r"\s*(?:[A-Z_]+=\S+ )*cnnlens (?P<words>.*)", part)
            if found and not re.search(r"\[OPTIONS\]|…", part):
                yield [word for word in shlex.split(found["words"]) if not word.startswith("$")]


def fault_of(words: list[str]) -> str:
    """Why cnnlens has no such command line; empty if it has. Nothing is run."""
    if not words or words[0].startswith("-"):
        words, command = words, cli.main
    elif words[0] not in cli.main.commands:
        return f"no command {words[0]!r}"
    else:
        command = cli.main.commands[words[0]]
        words = words[1:]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            context = command.make_context("cnnlens", list(words), resilient_parsing=False)
    except click.exceptions.Exit:
        return ""
    except click.MissingParameter as error:
        return "" if not words else error.format_message()  # `cnnlens view` in a sentence
    except click.ClickException as error:
        return error.format_message()
    return _fault_of_run(context.params) if command.name == "run" else ""


def _fault_of_run(given: dict[str, object]) -> str:
    try:
        chosen = registry.installed().get(str(given["visualiser"]))
        pairs = cli.key_values(tuple(given["settings"]))  # type: ignore[arg-type]
        chosen.settings.parse(pairs | ({"layer": given["layer"]} if given["layer"] else {}))
    except errors.CnnlensError as error:
        return str(error)
    return ""


GUESTS = {"integrated-gradients-captum"}  # installed by those who follow the guest's README


@BY_PAGE
def test_every_command_line_parses(page: Path) -> None:
    for words in commands(page.read_text()):
        if not GUESTS & {*words}:
            assert fault_of(words) == "", f"cnnlens {shlex.join(words)}"


def test_commands_are_found_on_the_pages() -> None:
    counts = {str(page.relative_to(ROOT)): len([*commands(page.read_text())]) for page in PAGES}
    assert counts["README.md"] > 5 and counts["docs/first-steps.md"] > 10 and counts["docs/how-to.md"] > 6
    assert counts["examples/third_party/README.md"] == 1


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("inspekt model.pt", "no command 'inspekt'"),
        ("view model.pt --fullscreen", "No such option"),
        ("run grad-cam m.pt a.png -s shine=1", "no setting 'shine' of grad-cam"),
        ("run grad-cam m.pt a.png -s positive=perhaps", "should be a valid boolean"),
        ("run grand-cam m.pt a.png", "no visualiser 'grand-cam'"),
        ("run class-probabilities m.pt a.png -l conv", "no setting 'layer'"),
    ],
)
def test_a_command_line_that_is_none_is_found_out(line: str, fault: str) -> None:
    (words,) = commands(f"```bash\ncnnlens {line} | less\n```\n")
    assert fault in fault_of(words)


# -- names --------------------------------------------------------------------------------------


def resolves(dotted: str) -> bool:
    """Whether `cnnlens.a.b` is a module, or a name found by walking attributes."""
    parts = dotted.split(".")
    for depth in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:depth]))
        except ImportError:
            continue
        for part in parts[depth:]:
            if not hasattr(found, part):
                return _is_field(found, part)
            found = getattr(found, part)
        return True
    return False


def _is_field(kind: object, name: str) -> bool:
    return name in getattr(kind, "__dataclass_fields__", {})


def names_in(text: str) -> set[str]:
    """Every `cnnlens.X` and every name of a `from cnnlens import …` on a page."""
    text = re.sub(r"https?://\S+", "", text)
    dotted = {f"cnnlens{m[1]}" for m in _NAME.finditer(text)}
    for module, some in re.findall(r"from (cnnlens[\w.]*) import \(?([\w, \n]+)", text):
        dotted |= {f"{module}.{name.strip()}" for name in some.splitlines()[0].split(",") if name.strip()}
    return {name for name in dotted if not re.search(r"\.(md|py|cli:main)$", name)}


@BY_PAGE
def test_every_name_exists(page: Path) -> None:
    assert [name for name in sorted(names_in(page.read_text())) if not resolves(name)] == []


def test_a_name_that_is_none_is_found_out() -> None:
    text = "`cnnlens.look`, `cnnlens.peek`\n```python\nfrom cnnlens import Heatmap, Mapheat\n```\n"
    found = names_in(text)
    assert {name for name in found if not resolves(name)} == {"cnnlens.peek", "cnnlens.Mapheat"}


def calls(text: str) -> Iterator[ast.Call]:
    """Every call of a name of cnnlens in the Python of a page."""
    for block in blocks(text):
        if block.language == "python" and not block.text.startswith("cnnlens"):  # a bare signature
            for node in ast.walk(ast.parse(block.text)):
                if isinstance(node, ast.Call) and re.fullmatch(r"cnnlens(\.\w+)+", ast.unparse(node.func)):
                    yield node


def binds(call: ast.Call) -> str:
    """Why a call does not fit what it calls, or names settings that are none; empty if it fits."""
    _, *path = ast.unparse(call.func).split(".")
    function = functools.reduce(getattr, path, cnnlens)
    named = {k.arg: k.value for k in call.keywords if k.arg}
    try:
        inspect.signature(function).bind(*call.args, **named)
        if function is cnnlens.look and isinstance(call.args[2], ast.Constant):
            chosen = registry.installed().get(call.args[2].value)
            for name in named.keys() - {"target", "progress"} - {*chosen.settings.names}:
                return f"no setting {name!r} of {chosen.name}"
    except (TypeError, errors.UnknownName) as error:
        return f"{ast.unparse(call)}: {error}"
    return ""


@BY_PAGE
def test_every_call_fits_what_it_calls(page: Path) -> None:
    need("flask")
    assert [fault for call in calls(page.read_text()) if (fault := binds(call))] == []


def test_a_call_that_does_not_fit_is_found_out() -> None:
    wrong = (
        "cnnlens.load('a.pt', net=1)",
        "cnnlens.look(m, 'a', 'grad-cam', shine=1)",
        "cnnlens.look(m, 'a', 'x')",
    )
    assert all(binds(call) for line in wrong for call in calls(f"```python\n{line}\n```\n"))
    assert len([*calls((ROOT / "README.md").read_text())]) == 3


def headings(page: str) -> set[str]:
    """The headings of a page of the reference."""
    return set(re.findall(r"^#+ (.+)$", (DOCS / "reference" / page).read_text(), re.M))


def test_every_public_name_has_a_heading() -> None:
    assert {f"cnnlens.{name}" for name in cnnlens.__all__} <= headings("python.md")


def test_every_panel_is_documented() -> None:
    assert {kind.__name__ for kind in Panel.__args__} <= headings("panels.md")


def test_every_hook_is_documented_with_its_signature() -> None:
    hooks = {name: value for name, value in vars(hookspecs).items() if name.startswith("cnnlens_")}
    assert hooks.keys() <= headings("hooks.md")
    text = (DOCS / "reference" / "hooks.md").read_text()
    for name, function in hooks.items():
        assert f"{name}({', '.join(inspect.signature(function).parameters)}" in text
    named = {
        hook
        for page in PAGES
        for hook in re.findall(r"\bcnnlens_(?!plugins|captum|score_cam)\w+", page.read_text())
    }
    assert named <= hooks.keys()


def test_every_error_is_documented() -> None:
    text = (DOCS / "reference" / "errors.md").read_text()
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, errors.CnnlensError):
            assert f"| `{name}` |" in text
            assert re.search(rf"\b{name}\b", inspect.getdoc(errors) or ""), (
                f"{name} is not in the tree of errors"
            )


def test_every_shipped_visualiser_and_setting_is_documented() -> None:
    text = (DOCS / "reference" / "visualisers.md").read_text()
    for one in registry.installed():
        if registry.installed().origin(one.name).name.startswith("cnnlens:"):
            section = text.partition(f"\n## {one.name}\n")[2].partition("\n## ")[0]
            assert one.description in section
            assert all(f"| `{name}` |" in section for name in one.settings.names)


def test_every_command_and_option_is_documented() -> None:
    text = (DOCS / "reference" / "cli.md").read_text()
    for name, command in cli.main.commands.items():
        section = text.partition(f"\n## cnnlens {name}\n")[2].partition("\n## ")[0]
        options = [one for p in command.params if isinstance(p, click.Option) for one in p.opts]
        assert section and all(f"`{one}`" in section for one in options)


def test_every_route_of_the_rest_api_is_documented() -> None:
    need("flask")
    from cnnlens.viewer.openapi import document

    routes = {f"{verb.upper()} {path}" for path, verbs in document()["paths"].items() for verb in verbs}
    assert routes <= headings("rest.md")


def test_the_reference_is_what_the_code_says() -> None:
    check = [sys.executable, DOCS / "make_reference.py", "--check"]
    run = subprocess.run(check, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr


# -- links and pictures -------------------------------------------------------------------------


def anchors(text: str) -> set[str]:
    """The anchors that the headings of a page are given; what is the same as one before gets a number."""
    given: list[str] = []
    for heading in re.findall(r"^#+ (.+)$", text, re.M):
        given.append(re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-"))
    return {f"{name}-{n}" if (n := given[:at].count(name)) else name for at, name in enumerate(given)}


@BY_PAGE
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, fragment = target.partition("#")
        other = (page.parent / place).resolve() if place else page
        assert other.exists(), target
        if fragment:
            assert fragment in anchors(other.read_text()), target


def test_the_gallery_shows_every_picture_that_was_made() -> None:
    made = {path.name: path.stat().st_size for path in (DOCS / "pictures").glob("*.png")}
    sheet = made.pop("explanations.png")
    assert sheet <= 250_000 and "(pictures/explanations.png)" in (DOCS / "explanations.md").read_text()
    assert made.pop("maximised.png") <= 400_000
    assert "(pictures/maximised.png)" in (DOCS / "maximise.md").read_text()
    assert made.pop("growth.png") <= 100_000
    assert "(pictures/growth.png)" in (DOCS / "performance.md").read_text()
    screens = {name: made.pop(name) for name in [*made] if name.startswith("viewer-")}
    tour = (DOCS / "viewer.md").read_text()
    assert screens.keys() == set(re.findall(r"\(pictures/([\w-]+\.png)\)", tour)) and len(screens) == 16
    assert max(screens.values()) <= 300_000
    shown = set(re.findall(r"docs/pictures/([\w-]+\.png)", (ROOT / "README.md").read_text()))
    assert made.keys() == shown
    assert sum(made.values()) < 600_000


def test_the_readme_opens_with_the_two_commands() -> None:
    first, second = blocks((ROOT / "README.md").read_text())[:2]
    assert (ROOT / "README.md").read_text().startswith("```\n")
    assert first.text == "pip install -e '.[demo]' && cnnlens demo\n"
    assert second.text == "pip install -e '.[test]' && pytest\n"


# -- what is run --------------------------------------------------------------------------------


def run_page(page: Path, folder: Path) -> None:
    """Run the marked blocks of a page in a folder and compare what they print with what the page says."""
    names: dict[str, object] = {"__name__": "__page__"}
    variables, printed = "", ""
    for block in blocks(page.read_text()):
        if block.mark == "prints":
            assert_prints(printed, block.text)
            printed = ""
        elif block.mark == "run" and block.language == "bash":
            printed = _run_bash(variables + block.text, folder)
            variables += "".join(re.findall(r"^[A-Z0-9]+=.*\n", block.text, re.M))
        elif block.mark == "run":
            printed = _run_python(block.text, names, page)


def _run_bash(text: str, folder: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    run = subprocess.run(
        ["bash", "-euc", text],
        capture_output=True, text=True, timeout=300, cwd=folder, env=os.environ | {"PATH": path},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return run.stdout


def _run_python(text: str, names: dict[str, object], page: Path) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(text, str(page), "exec"), names)
    return out.getvalue()


def assert_prints(printed: str, told: str) -> None:
    """What was printed holds the lines that were told, in order; decimals may differ by two per cent."""
    lines = iter(printed.splitlines())
    for wanted in told.splitlines():
        assert any(_alike(line, wanted) for line in lines), f"not printed: {wanted!r}\n{printed}"


def _alike(line: str, wanted: str) -> bool:
    if _NUMBER.sub("#", line).split() != _NUMBER.sub("#", wanted).split():
        return False
    pairs = zip(_NUMBER.findall(line), _NUMBER.findall(wanted), strict=True)
    return all(float(one) == pytest.approx(float(other), rel=0.02, abs=2e-4) for one, other in pairs)


def test_write_a_visualiser_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("torch")  # for the tape alone
    monkeypatch.chdir(tmp_path)
    run_page(DOCS / "write-a-visualiser.md", tmp_path)


def test_the_first_steps_run_as_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("torchvision", "efficientnet_lite_pytorch", "skimage"):
        need(package)
    monkeypatch.chdir(tmp_path)
    run_page(DOCS / "first-steps.md", tmp_path)
    made = {path.name for path in tmp_path.iterdir()}
    assert {
        "cam.png",
        "occlusion.png",
        "rather.png",
        "maps.png",
        "saliency.npz",
        "sheet.html",
        "shapes.png",
    } <= made


def test_the_recipes_that_are_marked_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("torchvision", "efficientnet_lite_pytorch", "skimage"):
        need(package)
    monkeypatch.chdir(tmp_path)
    run_page(DOCS / "how-to.md", tmp_path)
    made = {path.name for path in tmp_path.iterdir()}
    assert {
        "report.html",
        "sheet.png",
        "values.npz",
        "more.png",
        "chelsea-maps.png",
        "coffee-maps.png",
    } == made


def test_the_readmes_visualiser_runs() -> None:
    from cnnlens.testing import check_visualiser, tiny_model

    (source,) = [b.text for b in blocks((ROOT / "README.md").read_text()) if "@visualiser" in b.text]
    names: dict[str, object] = {"__name__": "__page__"}
    exec(source, names)
    check_visualiser(names["gradient_times_input"], [tiny_model()])  # type: ignore[arg-type]
