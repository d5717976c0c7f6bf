"""What the page shows of a result as text, as trees: [tag and classes, {attributes}?, children…].

The page builds elements of them and nothing else, so words stay words; whoever reads the API for numbers has them
beside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup, escape

from ..panels import Bars, Note, Panel, Table
from ..render.card import with_unit
from ..render.charts import bar_ends, cell
from ..render.colour import number

MOST_BARS = 24  #: more of them are drawn as a chart

Tree = list[Any]


def markup(tree: Tree | str) -> Markup:
    """The HTML of a tree, as the page's scripts would build it; every word escaped."""
    if isinstance(tree, str):
        return escape(tree)
    (name, *classes), *inside = tree[0].split("."), *tree[1:]
    given = inside.pop(0) if inside and isinstance(inside[0], dict) else {}
    styles = "".join(f"{key}:{value};" for key, value in given.items() if key.startswith("--"))
    attributes = {"class": " ".join(classes), "style": styles} | {
        k: v for k, v in given.items() if k[:2] != "--"
    }
    told = Markup("").join(
        Markup(" {}").format(key) if value is True else Markup(' {}="{}"').format(key, value)
        for key, value in attributes.items()
        if value not in (None, False, "") or (value == "" and key not in ("class", "style"))
    )
    opened = Markup("<{}{}>").format(name, told)
    return (
        opened
        if name == "input"
        else opened + Markup("").join(map(markup, inside)) + Markup("</{}>").format(name)
    )


def panel_tree(panel: Panel) -> Tree | None:
    """Bars, tables and notes; None for what is drawn."""
    match panel:
        case Note():
            return ["p.note", panel.text]
        case Table():
            return _section(panel.title, _table(panel))
        case Bars() if len(panel.values) <= MOST_BARS:
            return _section(with_unit(panel.title, panel.unit), _bars(panel))
    return None


def form_tree(some: Sequence[Mapping[str, Any]], given: Mapping[str, str]) -> list[Tree]:
    """A control for each setting of some visualisers, from their declarations; `given` are values by name.

    A setting that several have is the first's.
    """
    found: dict[str, Tree] = {}
    for told in some:
        for one in told["settings"] or []:
            otherwise = _text_of(one["default"])
            shown = (
                (told["resolved"] or {}).get(one["name"], otherwise) if one["kind"] == "layer" else otherwise
            )
            found.setdefault(one["name"], _control(one, given.get(one["name"], _text_of(shown)), otherwise))
    return list(found.values())


def _control(one: Mapping[str, Any], now: str, otherwise: str) -> Tree:
    key = {"data-set": one["name"], "data-otherwise": otherwise}
    flag = one["input"].get("type") == "checkbox"
    if flag:
        control = ["input", {**one["input"], **key, "checked": now == "true"}]
    elif one["choices"]:
        texts = [_text_of(choice) for choice in one["choices"]]
        options = [["option", {"value": text, "selected": text == now}, text] for text in texts]
        control = ["select", key, *options]
    else:
        value = "" if now in ("null", "None") else now
        control = ["input", {**one["input"], **key, "spellcheck": "false", "value": value}]
    name = ["span", one["name"].replace("_", " ")]
    return ["label.field.toggle" if flag else "label.field", name, control, ["small", one["hint"]]]


def _text_of(value: object) -> str:
    """A value as the address has it."""
    return str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)


def about_tree(told: Mapping[str, Any]) -> list[Tree]:
    """What a visualiser is, whose it is, and what its numbers mean."""
    paper = paper_tree(told)
    guest = not str(told.get("plugin") or "").startswith("cnnlens:")
    origin = f"from {told.get('plugin')} {told.get('version')}" if guest else ""
    source = [part for part in (paper, " · " if paper and origin else "", origin) if part]
    fold = ["details", ["summary", "What its numbers mean"], ["p", told["details"]]]
    return [["p", told["description"]], ["p.facts", *source], *([fold] if told["details"] else [])]


def paper_tree(told: Mapping[str, Any]) -> Tree | None:
    """A plugin's paper, with its link if that is one to the web: nothing else becomes an address."""
    paper, link = str(told.get("paper") or ""), str(told.get("link") or "")
    if not paper:
        return None
    web = link.lower().startswith(("http://", "https://"))
    return ["a", {"href": link, "target": "_blank", "rel": "noopener noreferrer"} if web else {}, paper]


def _section(title: str, body: Tree) -> Tree:
    return ["section.panel", *([["h4", title]] if title else []), body]


def _table(panel: Table) -> Tree:
    head = ["thead", ["tr", *(["th", {"scope": "col"}, name] for name in panel.columns)]]
    rows = [
        ["tr", *([f"td{'' if isinstance(one, str) else '.num'}", cell(one)] for one in row)]
        for row in panel.rows
    ]
    return ["div.scroll", ["table", head, ["tbody", *rows]]]


def _bars(panel: Bars) -> Tree:
    low, high = bar_ends(panel)
    rows: list[Tree] = []
    for i, (name, value) in enumerate(zip(panel.names, panel.values.tolist(), strict=True)):
        known = float(np.clip(value, low, high)) if np.isfinite(value) else 0.0
        start, end = (100 * (edge - low) / (high - low) for edge in (min(0.0, known), max(0.0, known)))
        fill = ["i.fill", {"--from": f"{start:.3f}%", "--part": f"{end - start:.3f}%"}]
        inside = [["span.name", name], ["span.num", number(value)], ["span.track", fill]]
        link = panel.opens[i] if panel.opens else None
        opens = {"data-opens": str(i), "title": link.words} if link is not None else None
        rows.append(["button.bar-row", opens, *inside] if opens else ["div.bar-row", *inside])
    return ["div.predictions.wide", *rows]
