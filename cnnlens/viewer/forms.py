"""What the page says of visualisers, and a control for each of their settings, as trees of elements (render.trees)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..panels import Bars
from ..render.trees import Tree, paper_tree
from ..result import Result

#: Whose first panel is what the network says that a picture is.
PREDICTION = "class-probabilities"


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


def prediction_of(result: Result) -> list[Tree] | None:
    """What it says that the picture is, where it says so first of all."""
    said = next(iter(result.panels), None)
    return prediction_tree(said) if isinstance(said, Bars) else None


def prediction_tree(panel: Bars) -> list[Tree]:
    """The likeliest classes as buttons that choose what is explained: key, name, probability, and its length."""
    found: list[Tree] = []
    for rank, (name, value) in enumerate(zip(panel.names, panel.values.tolist(), strict=True), 1):
        known = f"{value:.3f}" if math.isfinite(value) else "–"
        part = f"{min(max(value, 0.0), 1.0) if math.isfinite(value) else 0.0:.5f}"
        # no style, which the page's policy forbids in markup
        length = ["progress", {"value": part, "max": "1", "aria-hidden": "true"}]
        key = {"title": f"Explain {name} ({rank})", "data-key": str(rank), "aria-pressed": "false"}
        words = [["kbd", str(rank)], ["span.name", name], ["span.num", known]]
        found.append(["button.bar-row", key, *words, length])
    return found


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
