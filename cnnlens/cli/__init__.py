"""The command line: a thin switch. Each command imports what it needs when it is called."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

from ..errors import CnnlensError, UsageError
from .arguments import bytes_in, check_out, key_values, open_model
from .door import DOOR, door, door_options
from .printing import hand_out, layer_row, output_row, place_row, print_visualiser
from .progress import Progress

C = TypeVar("C", bound=Callable[..., Any])
_memory = click.option(
    "--memory", metavar="BYTES", help="what passes may take: 500MB, 2GiB …; by default half of what is free"
)


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
        click.option("--scores", "output", metavar="PATH",
                     help="which of several outputs is the scores: aux, [1], heads.age …"),
        click.option("--device", metavar="DEVICE", help="cpu, cuda or mps, for PyTorch"),
        _memory,
        click.option("--precision", metavar="bf16|fp16|fp32",
                     help="what passes compute in; by default what the weights are. Results say what it cost"),
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
@click.argument("name", default="efficientnet-lite0")
@click.option(
    "--framework",
    type=click.Choice(["torch", "keras"]),
    help="of cats-and-dogs; by default what is installed",
)
@door_options
@_memory
def demo(name: str, framework: Literal["torch", "keras"] | None, memory: str | None, **given: Any) -> None:
    """The viewer on a network that comes along, and on real photographs, a cat first.

    NAME is efficientnet-lite0, which knows the classes of ImageNet, or cats-and-dogs, which has three convolutions
    and can be taken apart by beginners.
    """
    from ..demo import DEMOS, demo_images, demo_model, demo_weights
    from ..viewer import Loader, serve

    size = demo_weights(name, framework=framework).stat().st_size
    opens = functools.partial(demo_model, name, framework=framework, memory=memory)
    serve(Loader(DEMOS[name].title, opens, size), demo_images(name), **door(given))


@main.command()
@click.argument("model")
@click.argument("images", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--against", metavar="MODEL", help="a second checkpoint, to compare it with; opened with the same options"
)
@click.option(
    "--deadline", type=click.FloatRange(1, 86400), metavar="SECONDS", default=900.0, show_default=True,
    help="how long one result may take; after that it is stopped",
)  # fmt: skip
@click.option("--memory-limit", metavar="BYTES", help="what the model's process may have at most: 8GB …")
@door_options
@model_options
def view(
    model: str, images: tuple[Path, ...], against: str | None, deadline: float, memory_limit: str | None,
    **given: Any,
) -> None:  # fmt: skip
    """The viewer on your checkpoint MODEL and on IMAGES, files or folders."""
    from ..images import find_images
    from ..memory import read_memory
    from ..viewer import Loader, serve

    where = door(given)
    opening = {name: value for name, value in given.items() if name not in DOOR}
    pictures = find_images(list(images))
    limit = None if memory_limit is None else read_memory(memory_limit)

    def loader(path: str) -> Loader:
        opens = functools.partial(open_model, path, opening)  # in another process, so it can be pickled
        return Loader(Path(path).name or path, opens, bytes_in(Path(path)))

    other = loader(against) if against else None
    serve(loader(model), pictures, against=other, deadline=deadline, memory_limit=limit, **where)


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
    "-t",
    "--target",
    "targets",
    multiple=True,
    help="top1 …, a class, p(class), layer[channel] …; may be repeated",
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

    Several images or targets go into a folder or one .html page; a visualiser that reads several pictures
    together gives one result. `cnnlens plugins` lists the visualisers
    with their settings.
    """
    from .. import registry
    from ..images import find_images
    from ..look import sheet

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
        apart = max(1, len(pictures)) if chosen.reads_image and not chosen.reads_several else 1
        check_out(out, several=apart * (len(asked) if chosen.by_target else 1) > 1)
    opened = open_model(model, opening)
    with Progress(visualiser) as progress:
        results = sheet(
            opened, pictures, [chosen], targets=asked, settings={visualiser: given}, progress=progress
        ).results
    hand_out(results, out, theme, as_json)


@main.command()
@click.argument("model")
@click.option("--outputs", is_flag=True, help="what MODEL returns instead, and what is taken as its scores")
@click.option(
    "--places", is_flag=True, help="the layers that can be explained at instead, and which is taken"
)
@click.option("--json", "as_json", is_flag=True, help="print JSON")
@model_options
def layers(model: str, outputs: bool, places: bool, as_json: bool, **opening: Any) -> None:
    """The layers of MODEL in call order: name, kind, output shape, parameters."""
    from ..candidates import candidates
    from ..describe import describe_output

    if outputs and places:
        raise UsageError("--outputs and --places are two different lists: ask for one of them")
    opened = open_model(model, opening)
    if outputs:
        told = [describe_output(output) for output in opened.output_tree]
        rows = [("output", "shape", ""), *map(output_row, told)]
    elif places:
        told = [dataclasses.asdict(one) for one in candidates(opened)]
        rows = [("layer", "kind", "places", "pixels to a place", "pixels seen", ""), *map(place_row, told)]
    else:
        told = [vars(layer) for layer in opened.layers]
        rows = [("layer", "kind", "output", "parameters"), *map(layer_row, told)]
    if as_json:
        click.echo(json.dumps(told, default=list))
        return
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
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
    from ..doctor import doctor as examine

    if opening["precision"] is not None:
        raise UsageError(
            "doctor tells the model from its preparation in full precision: leave --precision out"
        )
    opened = open_model(model, opening)
    with Progress("doctor") as progress:
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
    from ..opening import inspect as look_into

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
    from .. import registry
    from ..describe import describe_visualiser

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
            print_visualiser(v)
    for problem in found.problems:
        click.echo(f"left out: {problem}")
