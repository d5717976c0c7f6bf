"""A report: one page with several results, and with what any reader asks of them first.

It is opened from the disk: its own policy forbids it to load, send or run anything. Light or dark is the
style's, because the colours of signed maps go with the ground.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib import resources
from typing import TYPE_CHECKING, Any

from .card import headline
from .html import CSS, body_html
from .style import style_of

if TYPE_CHECKING:
    from ..result import Result

PAGE = resources.files(__package__).joinpath("report.css").read_text("utf-8")
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

#: What is told of a model, in this order.
OF_A_MODEL = (
    ("model", "Model"),
    ("arch", "Architecture"),
    ("framework", "Framework"),
    ("device", "Device"),
    ("checkpoint", "Checkpoint"),
    ("checkpoint_sha256", "SHA-256"),
    ("format", "Format"),
    ("labels", "Names of classes"),
    ("preprocess", "Preprocessing"),
    ("versions", "Versions"),
)
#: Those of them that take a row each.
WRITTEN_OUT = {"checkpoint_sha256", "preprocess", "versions"}
LONG = ' class="long"'


def draw_report(results: Sequence[Result], title: str, **options: Any) -> str:
    """A whole page: title, the models with their preprocessing and versions, then every result."""
    style = style_of(options)
    models = "".join(_model(facts) for facts in _models(results))
    many = len(results) > 1
    listed = "".join(
        f'<li><a href="#r{n}">{escape(headline(one))}</a></li>' for n, one in enumerate(results, 1)
    )
    contents = f'<nav aria-label="Results"><ol>{listed}</ol></nav>' if many else ""
    sections = "\n".join(
        f'<section class="cnnlens" id="r{n}">{body_html(one, style)}</section>'
        for n, one in enumerate(results, 1)
    )
    return (
        f'<!doctype html>\n<html lang="en" class="{style.theme}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="{style.theme}">'
        f"<title>{escape(title)}</title><style>{PAGE}{CSS}</style></head>\n"
        f"<body><header><h1>{escape(title)}</h1>{models}{contents}</header>\n"
        f"<main>{sections}</main></body></html>\n"
    )


def _models(results: Sequence[Result]) -> list[dict[str, Any]]:
    """What is told of each model, once; of a difference those of both sides."""
    found: list[dict[str, Any]] = []
    for result in results:
        for facts in _sides(result.facts):
            told = {name: facts[name] for name, _ in OF_A_MODEL if facts.get(name)}
            same = [
                one for one in found if all(one.get(k) == told.get(k) for k in ("model", "checkpoint_sha256"))
            ]
            for one in same:  # a visualiser that reads no picture tells of no preprocessing
                one |= told
            found += [] if same else [told]
    return found


def _sides(facts: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if taken := facts.get("difference"):
        for side in ("a", "b"):
            yield from _sides(taken[side])
    else:
        yield facts


def _model(facts: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<div{LONG if name in WRITTEN_OUT else ''}><dt>{words}</dt><dd>{escape(_words(facts[name]))}</dd></div>"
        for name, words in OF_A_MODEL
        if name in facts
    )
    return f"<dl>{rows}</dl>"


def _words(value: Any) -> str:
    """A fact as a person reads it."""
    if isinstance(value, Mapping):
        return " · ".join(f"{name} {_words(one)}" for name, one in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_words, value))
    return str(value)
