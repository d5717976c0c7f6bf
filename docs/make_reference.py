"""Write `docs/reference/` from the code: `python docs/make_reference.py`; `--check` fails where it is stale.

Whatever is told here is told once, where it is declared: a docstring, a signature, a setting's description,
an option's help. Nothing is read that depends on the machine, on other plugins, or on a library's version.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
import runpy
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import click

import cnnlens
import cnnlens.testing
from cnnlens import cli, errors, hookspecs, registry
from cnnlens.describe import describe_settings
from cnnlens.panels import Panel
from cnnlens.preprocess import KEYS, PRESETS
from cnnlens.render.style import DIVERGING, SEQUENTIAL, Style
from cnnlens.result import SUFFIXES
from cnnlens.visualiser import Visualiser

FOLDER = Path(__file__).parent / "reference"
MADE = "<!-- Made by docs/make_reference.py from the code; edit the code, then run it. -->\n\n"
EXITS = {
    0: "done",
    1: "failed",
    2: "what was asked for makes no sense; nothing was run",
    3: "refused for safety",
}


def main(arguments: list[str]) -> int:
    """Write every page, or with `--check` say which of them are stale."""
    stale = []
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages():
        path = FOLDER / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path}")
    if stale and "--check" in arguments:
        print(f"stale: {', '.join(stale)}; run python docs/make_reference.py", file=sys.stderr)
        return 1
    return 0


def anchor_of(name: str) -> str:
    """The anchor of a visualiser's heading: pages drop signs, and number what is then the same as one before."""
    plain = re.sub(r"[^\w-]", "", name)
    alike = [one.name for one in ours() if re.sub(r"[^\w-]", "", one.name) == plain]
    place = alike.index(name)
    return f"{plain}-{place}" if place else plain


def pages() -> Iterator[tuple[str, str]]:
    """Each page's file name and text."""
    makers: dict[str, Callable[[], Iterable[str]]] = {
        "cli.md": command_line,
        "python.md": python,
        "visualisers.md": visualisers,
        "settings.md": settings,
        "panels.md": panels,
        "hooks.md": hooks,
        "errors.md": error_tree,
        "testing.md": testing,
        "rest.md": rest,
        "verdicts.md": verdicts,
    }
    for name, make in makers.items():
        text = re.sub(r"[ \t]+\n", "\n", "\n".join(make()))
        yield name, MADE + re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


# -- the command line ---------------------------------------------------------------------------


def command_line() -> Iterator[str]:
    """Every command with its arguments and options."""
    yield "# The command line\n\nMODEL is a checkpoint file. What the options of opening mean in full: "
    yield "[how to open your own](../how-to.md).\n"
    for name, command in sorted(cli.main.commands.items()):
        yield from _command(name, command)
    yield "## Exit codes\n\n| code | means |\n|---|---|"
    yield from (f"| {code} | {words} |" for code, words in EXITS.items())
    yield "\n`CNNLENS_DEBUG=1` shows the traceback behind an error's one line."


def _command(name: str, command: click.Command) -> Iterator[str]:
    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    shown = "".join(" " + _argument(p) for p in arguments)
    yield f"## cnnlens {name}\n\n```\ncnnlens {name}{shown} [OPTIONS]\n```\n"
    yield inspect.cleandoc(command.help or "") + "\n"
    yield "| option | what it does |\n|---|---|"
    for option in (p for p in command.params if isinstance(p, click.Option)):
        names = ", ".join(f"`{one}`" for one in sorted(option.opts, key=len))
        yield f"| {names}{_value(option)} | {_cell(option.help or '')}{_extras(option)} |"
    yield ""


def _argument(one: click.Argument) -> str:
    name = (one.name or "").upper()
    name = f"{name} …" if one.nargs == -1 else name
    return name if one.required else f"[{name}]"


def _value(option: click.Option) -> str:
    if option.is_flag:
        return ""
    if isinstance(option.type, click.Choice):
        return f" {_cell(' | '.join(option.type.choices))}"
    return f" {_cell(option.metavar or (option.name or '').upper())}"


def _extras(option: click.Option) -> str:
    told = []
    if option.multiple and "repeated" not in (option.help or ""):
        told.append("may be repeated")
    if option.show_default and option.default is not None:
        told.append(f"default {option.default}")
    return f" ({', '.join(told)})" if told else ""


# -- Python -------------------------------------------------------------------------------------


def python() -> Iterator[str]:
    """Every public name."""
    yield "# Python\n\nThe names of `cnnlens.__all__`. `import cnnlens` loads no framework.\n"
    for name in sorted(cnnlens.__all__, key=str.lower):
        yield from _name(f"cnnlens.{name}", getattr(cnnlens, name))


def testing() -> Iterator[str]:
    """The kit for tests."""
    yield "# cnnlens.testing\n"
    yield inspect.getdoc(cnnlens.testing) or ""
    yield ""
    for name in cnnlens.testing.__all__:
        yield from _name(f"cnnlens.testing.{name}", getattr(cnnlens.testing, name))


#: Names that are no class or function and so hold no docstring of their own.
WORDS = {
    "cnnlens.Array": "A NumPy array of float32: `numpy.typing.NDArray[numpy.float32]`.",
    "cnnlens.Field": "pydantic's `Field`: bounds and description of a setting. See [settings](settings.md).",
    "cnnlens.KernelsLayer": "`Annotated[str, LayerOf(\"kernels\")]`: a setting that is a layer with kernels.",
    "cnnlens.MapsLayer": "`Annotated[str, LayerOf(\"maps\")]`: a setting that is a layer with maps.",
    "cnnlens.PlacesLayers": "`Annotated[str, LayerOf(\"places\", several=True)]`: a setting that is a layer with "
    "places, or several with commas between them.",
    "cnnlens.Panel": "Any of the [panels](panels.md).",
    "cnnlens.errors": "The module of all [errors](errors.md).",
    "cnnlens.hookimpl": "Marks a function of a plugin as an implementation of a [hook](hooks.md).",
}  # fmt: skip


def _name(full: str, value: Any) -> Iterator[str]:
    yield f"## {full}\n"
    if full in WORDS:
        yield WORDS[full] + "\n"
    elif isinstance(value, type):
        yield from _class(full, value)
    else:
        yield f"```python\n{full}{signature(value)}\n```\n\n{_prose(value)}\n"


def _class(full: str, kind: type) -> Iterator[str]:
    if "__init__" in vars(kind) and not dataclasses.is_dataclass(kind):
        yield f"```python\n{full}{signature(vars(kind)['__init__'], skip=1)}\n```\n"
    yield _prose(kind) + "\n"
    if dataclasses.is_dataclass(kind):
        yield "| field | type | default |\n|---|---|---|"
        for one in dataclasses.fields(kind):
            yield f"| `{one.name}` | {_code(str(one.type))} | {_default_of(one)} |"
        yield ""
    elif hasattr(kind, "_fields"):
        yield f"```python\n{full}{signature(kind)}\n```\n"
    members = list(_members(kind))
    if members:
        yield "| member | what it is |\n|---|---|"
        yield from members
        yield ""


def _members(kind: type) -> Iterator[str]:
    for name, member in vars(kind).items():
        if name.startswith("_"):
            continue
        function = getattr(member, "fget", None) or getattr(member, "func", None) or member
        function = getattr(function, "__func__", function)
        if not inspect.isfunction(function):
            continue
        is_property = function is not member and not isinstance(member, (classmethod, staticmethod))
        shown = name if is_property else f"{name}{signature(function, skip=1, wrap=False)}"
        first = (inspect.getdoc(function) or "").partition("\n\n")[0]
        yield f"| {_code(shown)} | {_cell(first)} |"


def signature(function: Any, skip: int = 0, wrap: bool = True) -> str:
    """A signature as it stands in the source, the first `skip` parameters left out, a line each if long."""
    parts, starred = [], False
    found = inspect.signature(function)
    for one in list(found.parameters.values())[skip:]:
        if one.kind is one.KEYWORD_ONLY and not starred:
            starred = True
            parts.append("*")
        mark = "*" if one.kind is one.VAR_POSITIONAL else "**" if one.kind is one.VAR_KEYWORD else ""
        starred = starred or mark == "*"
        typed = f": {_type(one.annotation)}" if one.annotation is not one.empty else ""
        default = "" if one.default is one.empty else f" = {one.default!r}" if typed else f"={one.default!r}"
        parts.append(f"{mark}{one.name}{typed}{default}")
    back = "" if found.return_annotation is found.empty else f" -> {_type(found.return_annotation)}"
    line = f"({', '.join(parts)}){back}"
    return line if len(line) < 90 or not wrap else "(\n    " + ",\n    ".join(parts) + f",\n){back}"


def _type(annotation: Any) -> str:
    annotation = getattr(annotation, "__forward_arg__", annotation)
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def _default_of(one: dataclasses.Field[Any]) -> str:
    if one.default is not dataclasses.MISSING:
        return _code(repr(one.default))
    return "" if one.default_factory is dataclasses.MISSING else _code(f"{one.default_factory.__name__}()")


# -- visualisers, settings, panels --------------------------------------------------------------


@functools.cache
def ours() -> list[Visualiser[Any, Any]]:
    """The visualisers of this distribution, whatever guests are installed beside them."""
    found = registry.find(e for e in metadata.entry_points(group=registry.GROUP) if _is_ours(e))
    if found.problems:
        raise SystemExit("; ".join(map(str, found.problems)))
    return list(found)


def _is_ours(entry_point: metadata.EntryPoint) -> bool:
    return entry_point.dist is not None and entry_point.dist.name == "cnnlens"


def visualisers() -> Iterator[str]:
    """Every visualiser that cnnlens ships, with its settings."""
    yield "# Visualisers\n\nThose that cnnlens ships; `cnnlens plugins` lists what is installed beside them."
    yield "Cost is in passes of your network, for one picture and one target.\n"
    yield "| visualiser | what it shows | needs | cost |\n|---|---|---|---|"
    for one in ours():
        needs = ", ".join(sorted(one.needs)) or "none"
        yield f"| [{one.name}](#{anchor_of(one.name)}) | {_cell(one.description)} | {needs} | {_cost(one)} |"
    for one in ours():
        yield f"\n## {one.name}\n\n{one.description}\n\n{one.details}\n"
        if one.paper:
            yield f"Paper: [{one.paper}]({one.link}).\n"
        yield _asks(one) + f" Cost: {_cost(one)}.\n"
        yield "| setting | default | values | what it does |\n|---|---|---|---|"
        for s in describe_settings(one):
            default = _code(_shown(s["default"]))
            yield f"| `{s['name']}` | {default} | {_cell(s['type'])} | {_cell(s['description'])} |"


def _asks(one: Visualiser[Any, Any]) -> str:
    if not one.reads_image:
        return "Reads no picture."
    several = "One result of several pictures together. " if one.reads_several else ""
    return several + ("Explains the target." if one.by_target else "The same for every target.")


def _cost(one: Visualiser[Any, Any]) -> str:
    return "what its settings ask for" if callable(one.cost) else str(one.cost)


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def settings() -> Iterator[str]:
    """The kinds of settings, and every place where one is named."""
    yield "# Settings, preprocessing, drawing\n\n## Settings of visualisers\n"
    yield inspect.getdoc(sys.modules["cnnlens.settings"]) or ""
    yield "\nA setting's type is `int`, `float`, `bool`, `str`, a `Literal[…]`, a layer (`MapsLayer`, `PlacesLayers`,"
    yield "`KernelsLayer`), or one of these or `None`. Bounds and help are added by"
    yield "`Annotated[type, Field(ge=…, le=…, gt=…, lt=…, description=…)]`.\n"
    yield (inspect.getdoc(cnnlens.LayerOf) or "") + "\n"
    yield "| setting | of |\n|---|---|"
    places: dict[str, list[str]] = {}
    for one in ours():
        for name in one.settings.names:
            places.setdefault(name, []).append(f"[{one.name}](visualisers.md#{anchor_of(one.name)})")
    yield from (f"| `{name}` | {', '.join(of)} |" for name, of in sorted(places.items()))
    yield "\n## Preprocessing\n\nPresets:\n\n| preset | what it sets |\n|---|---|"
    for name, values in PRESETS.items():
        yield f"| `{name}` | {', '.join(f'{key} {value}' for key, value in values.items())} |"
    yield f"\nKeys of a mapping or a `.json` file: {', '.join(f'`{key}`' for key in KEYS)}."
    yield "What each means:\n"
    yield (inspect.getdoc(cnnlens.InputSpec) or "") + "\n"
    yield "## Drawing\n\nOptions of `Result.save`, `.image`, `.figure` and `.html`.\n"
    yield (inspect.getdoc(Style) or "") + "\n\n| option | default |\n|---|---|"
    yield from (f"| `{one.name}` | {_default_of(one)} |" for one in dataclasses.fields(Style))
    yield f"\nColour maps, unsigned: {', '.join(SEQUENTIAL)}. Signed: {', '.join(DIVERGING)}.\n"
    yield f"Files that `Result.save` writes: {' '.join(f'`{suffix}`' for suffix in SUFFIXES)}."


def panels() -> Iterator[str]:
    """Every panel with its fields."""
    yield "# Panels\n"
    yield (inspect.getdoc(sys.modules["cnnlens.panels"]) or "") + "\n"
    for kind in Panel.__args__:
        yield f"## {kind.__name__}\n\n{_prose(kind)}\n\n| field | type | default |\n|---|---|---|"
        for one in dataclasses.fields(kind):
            yield f"| `{one.name}` | {_code(str(one.type))} | {_default_of(one)} |"
        yield ""


TABLE = Path(__file__).parents[1] / "tests" / "core" / "verdict_table.py"


def verdicts() -> Iterator[str]:
    """What is told of each family on each kind of network: the table that tests hold real networks to."""
    table = runpy.run_path(str(TABLE))
    yield "# Verdicts\n\nWhat cnnlens tells before each picture, by kind of network. Every cell is tested: a small real"
    yield "network of that kind is looked at with every visualiser, and what is not possible is refused for that"
    yield "reason. A network of several kinds has the reasons of all of them. `cnnlens plugins MODEL` tells the"
    yield "verdicts of your own.\n"
    yield "| network | visualisers | verdict | because |\n|---|---|---|---|"
    for key, (words, _) in table["TABLE"].items():
        for who, level, reason in table["rows_of"](key):
            names = ", ".join(_linked(name) for name in who)
            shown = names.replace("the others", "all" if len(table["rows_of"](key)) == 1 else "the others")
            yield f"| {_cell(words)} | {shown} | {level} | {_cell(reason)} |"
            words = ""


def _linked(name: str) -> str:
    return f"[{name}](visualisers.md#{anchor_of(name)})" if any(name == one.name for one in ours()) else name


# -- hooks, errors, REST ------------------------------------------------------------------------


def hooks() -> Iterator[str]:
    """Every hook with its signature."""
    yield "# Hooks\n"
    yield (inspect.getdoc(hookspecs) or "") + "\n"
    for name, function in sorted(vars(hookspecs).items()):
        if name.startswith("cnnlens_"):
            yield f"## {name}\n\n```python\n{name}{signature(function)}\n```\n\n{_prose(function)}\n"


def error_tree() -> Iterator[str]:
    """Every error with its place and exit code."""
    yield "# Errors\n\nAll are in `cnnlens.errors`; `cnnlens.CnnlensError` is the root.\n"
    tree = (inspect.getdoc(errors) or "").partition("::\n\n")[2]
    yield f"```\n{inspect.cleandoc(tree.partition(chr(10) * 2)[0])}\n```\n"
    yield "| error | raised as a kind of | exit code | when |\n|---|---|---|---|"
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, errors.CnnlensError):
            when = _cell((inspect.getdoc(kind) or "").partition("\n")[0])
            yield f"| `{name}` | {kind.__bases__[0].__name__} | {kind.exit_code} | {when} |"


def rest() -> Iterator[str]:
    """Every route of the REST API, from the document that the viewer serves."""
    from cnnlens.viewer.openapi import document

    told = document()
    yield f"# The REST API\n\n{told['info']['description']} The viewer serves this as a document too: "
    yield f"`GET /api/v1/openapi.json`, OpenAPI {told['openapi'].rpartition('.')[0]}.\n"
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            yield from _operation(path, method.upper(), operation)
    yield "## Schemas\n"
    for name, schema in told["components"]["schemas"].items():
        yield f"### {name}\n\n| property | type | what it is |\n|---|---|---|"
        for key, value in schema.get("properties", {}).items():
            need = ", required" if key in schema.get("required", ()) else ""
            yield f"| `{key}` | {_cell(_kind(value))}{need} | {_cell(value.get('description', ''))} |"
        yield ""


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {method} {path}\n\n{operation['summary']}.\n"
    for one in operation.get("parameters", ()):
        words = f": {one['description']}" if "description" in one else ""
        yield f"- `{one['name']}` ({one['in']}, {_kind(one['schema'])}){words}"
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        keys = ", ".join(f"`{key}`" for key in content["schema"].get("properties", {}))
        yield f"- body: {kind}" + (f" with {keys}" if keys else f", a {_kind(content['schema'])}")
    answers = ", ".join(f"{code}" for code in operation["responses"])
    yield f"- answers: {answers}\n"


def _kind(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(_kind(part) for part in schema[several])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    kind = schema.get("type", "any")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


# -- words --------------------------------------------------------------------------------------


def _prose(value: Any) -> str:
    """A docstring as Markdown: `::` blocks become fenced ones."""
    text = inspect.getdoc(value) or ""
    found = re.split(r"::\n\n((?:    .*(?:\n|$)|\n)+)", text)
    for place in range(1, len(found), 2):
        found[place - 1] += ":"
        found[place] = f"\n\n```python\n{inspect.cleandoc(found[place])}\n```\n\n"
    return "".join(found).strip()


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _code(text: str) -> str:
    return f"`{_cell(text)}`" if text else ""


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
