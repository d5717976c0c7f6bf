"""The command line: a thin switch. Each command imports what it needs when it is called."""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .errors import CnnlensError, UsageError

if TYPE_CHECKING:
    from tqdm import tqdm

    from .model import Model
    from .result import Result

C = TypeVar("C", bound=Callable[..., Any])


class _Errors(click.Group):
    """Prints what cnnlens raises as one line and leaves with its exit code; a traceback reaches nobody."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except CnnlensError as error:
            _leave(str(error), error.exit_code, error)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except BrokenPipeError:  # whoever read us has seen enough, as `head` has
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise click.exceptions.Exit(0) from None
        except Exception as error:
            told = f"something unforeseen: {type(error).__name__}: {error} (CNNLENS_DEBUG=1 shows where)"
            _leave(told, 1, error)


def _leave(message: str, code: int, error: Exception) -> None:
    if os.environ.get("CNNLENS_DEBUG"):
        raise error
    click.echo(f"Error: {message}", err=True)
    raise click.exceptions.Exit(code) from error


def model_options(command: C) -> C:
    """The options that every command takes which opens a model."""
    for option in reversed((
        click.option("--arch", metavar="NAME|CODE",
                     help="torchvision or timm name, package.module:callable or file.py:callable"),
        click.option("--arch-arg", multiple=True, metavar="KEY=VALUE",
                     help="an argument for --arch; may be repeated"),
        click.option("--custom", metavar="FILE.py", help="code of a Keras file's own layers, which is run"),
        click.option("--labels", metavar="FILE|imagenet", help="names of the classes"),
        click.option("--preprocess", metavar="PRESET|FILE",
                     help="imagenet, caffe, -1..1, unit, raw …, or a .json file"),
        click.option("--device", metavar="DEVICE", help="cpu, cuda or mps, for PyTorch"),
        click.option("--trust", is_flag=True, help="open a file that holds code, and run that code"),
    )):  # fmt: skip
        command = option(command)
    return command


@click.group(cls=_Errors, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="cnnlens")
def main() -> None:
    """See what a convolutional network saw.

    Point it at a PyTorch or Keras checkpoint and at a picture: feature maps, filters, what it predicts, and
    where it looked.
    """


@main.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0 takes any free one"
)
@click.option("--no-open", is_flag=True, help="do not open a browser")
def demo(port: int, no_open: bool) -> None:
    """The viewer on a real network (EfficientNet-Lite0, ImageNet) and real photographs, a cat first."""
    from .demo import demo_images, demo_model
    from .viewer import serve

    serve(demo_model(), demo_images(), port=port, open_browser=not no_open)


@main.command()
@click.argument("model")
@click.argument("images", nargs=-1, type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="where to listen")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0 takes any free one"
)
@click.option("--no-open", is_flag=True, help="do not open a browser")
@model_options
def view(model: str, images: tuple[Path, ...], host: str, port: int, no_open: bool, **opening: Any) -> None:
    """The viewer on your checkpoint MODEL and on IMAGES, files or folders."""
    from .images import find_images
    from .viewer import serve

    pictures = find_images(list(images))
    serve(open_model(model, opening), pictures, host=host, port=port, open_browser=not no_open)


@main.command()
@click.argument("visualiser")
@click.argument("model")
@click.argument("images", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help=".png .npz .html .json .svg .pdf, or a folder"
)
@click.option(
    "-s", "--set", "settings", multiple=True, metavar="KEY=VALUE", help="a setting; may be repeated"
)
@click.option(
    "-t", "--target", "targets", multiple=True, help="top1 …, a class name or number; may be repeated"
)
@click.option(
    "--top", type=click.IntRange(1, 100), help="the K likeliest classes of each picture, one after the other"
)
@click.option("-l", "--layer", help="the layer, the same as -s layer=…")
@click.option("--theme", type=click.Choice(["light", "dark"]), default="light", help="of pictures and pages")
@click.option("--json", "as_json", is_flag=True, help="print the manifest as JSON")
@model_options
def run(
    visualiser: str, model: str, images: tuple[Path, ...], out: Path | None, settings: tuple[str, ...],
    targets: tuple[str, ...], top: int | None, layer: str | None, theme: str, as_json: bool, **opening: Any,
) -> None:  # fmt: skip
    """Run VISUALISER on MODEL and IMAGES, and write what it shows to OUT.

    Several images or targets go into a folder or one .html page. `cnnlens plugins` lists the visualisers
    with their settings.
    """
    from . import registry
    from .images import find_images
    from .look import sheet

    chosen = registry.installed().get(visualiser)
    given = key_values(settings)
    if layer is not None:
        if given.setdefault("layer", layer) != layer:
            raise UsageError(f"--layer {layer} and -s layer={given['layer']} differ: give one of them")
    chosen.settings.parse(given)
    pictures = find_images(list(images))
    if chosen.reads_image and not pictures:
        raise UsageError(f"{visualiser} reads a picture: name one after the model")
    if top and targets:
        raise UsageError("--top and --target both say what is explained: give one of them")
    asked = [f"top{rank}" for rank in range(1, top + 1)] if top else list(targets or ("top1",))
    if out is not None:
        _check_out(out, several=max(1, len(pictures)) * len(asked) > 1)
    opened = open_model(model, opening)
    with _progress(visualiser) as progress:
        results = sheet(
            opened, pictures, [chosen], targets=asked, settings={visualiser: given}, progress=progress
        ).results
    _hand_out(results, out, theme, as_json)


@main.command()
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
@model_options
def layers(model: str, as_json: bool, **opening: Any) -> None:
    """The layers of MODEL in call order: name, kind, output shape, parameters."""
    opened = open_model(model, opening)
    if as_json:
        click.echo(json.dumps([vars(layer) for layer in opened.layers], default=list))
        return
    rows = [
        (layer.name, layer.kind, "×".join(map(str, layer.shape)) or "–", f"{layer.parameters:,}")
        for layer in opened.layers
    ]
    head = ("layer", "kind", "output", "parameters")
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(4)]
    for row in (head, *rows):
        click.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    for ability, reason in sorted(opened.cannot.items()):
        click.echo(f"no {ability}: {reason}", err=True)


@main.command()
@click.argument("model")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option(
    "--labels-csv",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="file,label for each picture of FOLDER",
)
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="pictures to look at")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="write the preprocessing found, for --preprocess"
)
@click.option("--json", "as_json", is_flag=True, help="print JSON")
@model_options
def doctor(
    model: str, folder: Path | None, labels_csv: Path | None, limit: int, out: Path | None, as_json: bool,
    **opening: Any,
) -> None:  # fmt: skip
    """Which preprocessing MODEL was trained with, and what is wrong with it.

    FOLDER holds a sub-folder of pictures for each class, or pictures and a labels.csv of file,label; without
    it only what needs no picture is looked at. Leaves with 0 whatever is found.
    """
    from .doctor import doctor as examine

    opened = open_model(model, opening)
    with _progress("doctor") as progress:
        found = examine(opened, folder, labels_csv=labels_csv, limit=limit, progress=progress)
    click.echo(json.dumps(found.facts(), ensure_ascii=False) if as_json else str(found))
    if out is not None:
        found.save(out)
        click.echo(f"wrote {out}", err=as_json)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--all", "every", is_flag=True, help="list every tensor, of many too")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def inspect(file: Path, every: bool, as_json: bool) -> None:
    """What is in the checkpoint FILE, and what loading it would run; nothing of it is executed."""
    from .opening import inspect as look_into

    found = look_into(file)
    if as_json:
        click.echo(json.dumps(found.facts(), ensure_ascii=False, default=str))
        return
    for line in found.lines(every=every):
        click.echo(line)


@main.command()
@click.argument("model", required=False)
@click.option("--json", "as_json", is_flag=True, help="print JSON")
@model_options
def plugins(model: str | None, as_json: bool, **opening: Any) -> None:
    """The visualisers that are installed, with their settings; what was left out and why.

    With MODEL also whether each of them can read it.
    """
    from . import registry
    from .describe import describe_visualiser

    found = registry.installed()
    opened = open_model(model, opening) if model else None
    told = [describe_visualiser(v, found.origin(v.name), opened) for v in found]
    problems = [{"plugin": p.plugin, "reason": p.reason} for p in found.problems]
    if as_json:
        click.echo(json.dumps({"visualisers": told, "problems": problems}, ensure_ascii=False, default=str))
        return
    for family, some in itertools.groupby(told, lambda v: v["family"]):
        click.echo(click.style(f"\n{family.upper()}", dim=True))
        for v in some:
            _print_visualiser(v)
    for problem in found.problems:
        click.echo(f"left out: {problem}")


def _print_visualiser(told: Mapping[str, Any]) -> None:
    paper = f"  [{told['paper']}]" if told["paper"] else ""
    click.echo(click.style(told["name"], bold=True) + f"  {told['description']}{paper}")
    click.echo(f"  from {told['plugin']} {told['version']}; costs {told['cost']} a picture")
    if told["verdict"]:
        level, because = told["verdict"]["level"], "; ".join(told["verdict"]["because"])
        click.echo(f"  on this model: {level}" + (f", because {because}" if because else ""))
    for setting in told["settings"]:
        click.echo(
            f"  -s {setting['name']}={setting['default']}  ({setting['type']}) {setting['description']}"
        )


def open_model(path: str, opening: Mapping[str, Any]) -> Model:
    """The model that the common options describe."""
    from .opening import load

    given = dict(opening)
    arguments = key_values(given.pop("arch_arg"))
    return load(path, arch_args={k: _value(v) for k, v in arguments.items()}, **given)


def key_values(pairs: tuple[str, ...]) -> dict[str, str]:
    """`("a=1", "b=x")` → a dict; UsageError for what has no `=`."""
    found: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"{pair!r} is not KEY=VALUE")
        found[key.strip()] = value.strip()
    return found


def _value(text: str) -> Any:
    """An argument of an architecture: JSON where it is JSON (numbers, true, lists), else text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _check_out(out: Path, several: bool) -> None:
    """Refuse a place that cannot be written to before anything runs."""
    from .result import SUFFIXES, check_place

    if str(out) in ("", ".", "-"):
        raise UsageError("name a file or a folder after -o")
    if out.is_dir():
        return
    if out.suffix and out.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"cannot write {out.name}: the suffix is one of {' '.join(SUFFIXES)}, or name a folder"
        )
    if not out.suffix and out.exists():
        raise UsageError(
            f"{out} is a file without a suffix: name a folder, or a file with {' '.join(SUFFIXES)}"
        )
    if out.suffix:
        check_place(out)
        if several and out.suffix.lower() != ".html":
            raise UsageError(f"several results do not fit into {out.name}: name a folder or an .html file")


def _hand_out(results: tuple[Result, ...], out: Path | None, theme: str, as_json: bool) -> None:
    from .result import Sheet

    options = {"theme": theme}
    if out is not None:
        styled = {} if out.suffix.lower() in (".npz", ".json") else options
        folder = not out.suffix or out.is_dir()
        written = (
            Sheet(results).save(out, **styled)
            if folder or len(results) > 1
            else [results[0].save(out, **styled)]
        )
        for path in written:
            click.echo(f"wrote {path}", err=as_json)
    if as_json:
        manifests = [result.manifest for result in results]
        told = manifests[0] if len(manifests) == 1 else manifests
        click.echo(json.dumps(told, ensure_ascii=False, default=str))
    elif out is None:
        for result in results:
            _print_result(result)


def _print_result(result: Result) -> None:
    """A result in words and numbers, for those who named no file."""
    from .panels import Bars, Note, Table
    from .render.html import alt_text

    click.echo(result.caption)
    for panel in result.panels:
        if isinstance(panel, Bars) and len(panel.values) <= 50:
            click.echo(f"  {panel.title}:")
            for name, value in zip(panel.names, panel.values, strict=True):
                click.echo(f"    {value: .4f}  {name}")
        elif isinstance(panel, Table):
            for row in (panel.columns, *panel.rows):
                click.echo("  " + "  ".join(map(str, row)))
        else:
            click.echo("  " + (panel.text if isinstance(panel, Note) else alt_text(panel)))


class _progress:
    """A progress bar on the terminal for work of many passes; silent where nobody looks."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._bar: tqdm[Any] | None = None

    def __enter__(self) -> Callable[[int, int], None]:
        return self._tick

    def __exit__(self, *_: object) -> None:
        self._close()

    def _tick(self, done: int, total: int) -> None:
        if self._bar is None or self._bar.total != total or done < self._bar.n:
            self._close()
            self._bar = self._open(total)
        self._bar.update(done - self._bar.n)

    def _open(self, total: int) -> tqdm[Any]:
        from tqdm import tqdm

        return tqdm(total=total, desc=self._title, unit="pass", disable=not sys.stderr.isatty(), leave=False)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar = None
