"""What a command says: results, visualisers and layers as lines of text or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..result import Result


def hand_out(results: tuple[Result, ...], out: Path | None, theme: str, as_json: bool) -> None:
    from ..result import Sheet

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
            print_result(result)


def print_result(result: Result) -> None:
    """A result in words and numbers, for those who named no file."""
    from ..panels import Bars, Note, Table
    from ..render.words import alt_text

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


def print_visualiser(told: Mapping[str, Any]) -> None:
    paper = f"  [{told['paper']}]" if told["paper"] else ""
    each = " a picture" if told["reads_image"] else ""
    click.echo(click.style(told["name"], bold=True) + f"  {told['description']}{paper}")
    click.echo(f"  from {told['plugin']} {told['version']}; costs {told['cost']}{each}")
    if told["verdict"]:
        level, because = told["verdict"]["level"], "; ".join(told["verdict"]["because"])
        click.echo(f"  on this model: {level}" + (f", because {because}" if because else ""))
    for setting in told["settings"]:
        click.echo(
            f"  -s {setting['name']}={setting['default']}  ({setting['type']}) {setting['description']}"
        )


def times(shape: Iterable[object]) -> str:
    return "×".join(map(str, shape)) or "–"


def layer_row(told: Mapping[str, Any]) -> tuple[str, ...]:
    """A layer as a line of a table."""
    return told["name"], told["kind"], times(told["shape"]), f"{told['parameters']:,}"


def place_row(told: Mapping[str, Any]) -> tuple[str, ...]:
    """A layer with places as a line of a table."""
    places, stride = times((told["rows"], told["columns"])), times(f"{n:.3g}" for n in told["stride"])
    taken = f"taken: {told['reason']}" if told["chosen"] else ""
    return told["name"], told["kind"], places, stride, times(told["sees"] or ()), taken


def output_row(told: Mapping[str, Any]) -> tuple[str, ...]:
    notes = ["taken as the scores"] if told["is_scores"] else []
    return told["path"], times(told["shape"]), "; ".join([*notes, *filter(None, [told["means"]])])
