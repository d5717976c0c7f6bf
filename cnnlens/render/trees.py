"""Panels that are text, as trees of elements: [tag and classes, {attributes}?, children…].

The viewer's page builds elements of them and nothing else, the report writes them down, so words stay words in both;
whoever reads the API for numbers has them beside.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np

from ..diagram import Diagram
from ..panels import Bars, Note, Panel, Table
from .card import with_unit
from .charts import bar_ends, cell
from .colour import number
from .diagram import diagram_tree
from .words import alt_text, diagram_words

MOST_BARS = 24  #: more of them are drawn as a chart

Tree = list[Any]


def markup(tree: Tree | str) -> str:
    """The HTML of a tree, as the page's scripts would build it; every word escaped."""
    if isinstance(tree, str):
        return escape(tree)
    (name, *classes), *inside = tree[0].split("."), *tree[1:]
    given = inside.pop(0) if inside and isinstance(inside[0], dict) else {}
    styles = "".join(f"{key}:{value};" for key, value in given.items() if key.startswith("--"))
    attributes = {"class": " ".join(classes), "style": styles} | {
        k: v for k, v in given.items() if k[:2] != "--"
    }
    told = "".join(
        f" {escape(key)}" if value is True else f' {escape(key)}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value not in (None, False, "") or (value == "" and key not in ("class", "style"))
    )
    return f"<{name}{told}>" + ("" if name == "input" else "".join(map(markup, inside)) + f"</{name}>")


def panel_tree(panel: Panel) -> Tree | None:
    """Bars, tables, diagrams and notes; None for what is drawn by pixels."""
    match panel:
        case Note():
            return ["p.note", panel.text]
        case Table():
            return section(panel.title, table_tree(panel))
        case Bars() if len(panel.values) <= MOST_BARS:
            return section(with_unit(panel.title, panel.unit), bars_tree(panel, leads=True))
        case Diagram():
            return section(diagram_words(panel), diagram_tree(panel, alt_text(panel), leads=True))
    return None


def section(title: str, body: Tree) -> Tree:
    """A panel with its title."""
    return ["section.panel", *([["h4", title]] if title else []), body]


def table_tree(panel: Table) -> Tree:
    """A table, numbers short; wide ones scroll in their own box."""
    head = ["thead", ["tr", *(["th", {"scope": "col"}, name] for name in panel.columns)]]
    rows = [
        ["tr", *([f"td{'' if isinstance(one, str) else '.num'}", cell(one)] for one in row)]
        for row in panel.rows
    ]
    scrolls = {"tabindex": "0", "role": "group", "aria-label": panel.title or "table"}
    return ["div.scroll", scrolls, ["table", head, ["tbody", *rows]]]


def bars_tree(panel: Bars, *, leads: bool = False) -> Tree:
    """A row for each bar: name, number and its length from zero; buttons where a bar `leads` on."""
    low, high = bar_ends(panel)
    rows: list[Tree] = []
    for i, (name, value) in enumerate(zip(panel.names, panel.values.tolist(), strict=True)):
        known = float(np.clip(value, low, high)) if np.isfinite(value) else 0.0
        start, end = (100 * (edge - low) / (high - low) for edge in (min(0.0, known), max(0.0, known)))
        fill = ["i.fill", {"--from": f"{start:.3f}%", "--part": f"{end - start:.3f}%"}]
        inside = [["span.name", name], ["span.num", number(value)], ["span.track", fill]]
        link = panel.opens[i] if leads and panel.opens else None
        opens = {"data-opens": str(i), "title": link.words} if link is not None else None
        rows.append(["button.bar-row", opens, *inside] if opens else ["div.bar-row", *inside])
    return ["div.predictions.wide", *rows]


def paper_tree(told: Mapping[str, Any]) -> Tree | None:
    """A plugin's paper, with its link if that is one to the web: nothing else becomes an address."""
    paper, link = str(told.get("paper") or ""), str(told.get("link") or "")
    if not paper:
        return None
    web = link.lower().startswith(("http://", "https://"))
    return ["a", {"href": link, "target": "_blank", "rel": "noopener noreferrer"} if web else {}, paper]
