"""REST, second half: results as manifests, as palette pictures of one pixel a value, as numbers.

`A~B` in the place of a result's id is what A has more than B, made when it is asked for.
"""

from __future__ import annotations

import base64
import contextlib
from typing import Any, cast, overload

import numpy as np
from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue
from PIL import Image

from .. import pointing
from ..arrays import Array
from ..diagram import Diagram
from ..difference import difference
from ..errors import Unmet, UsageError
from ..panels import Bars, Curve, Heatmap, Panel, Picture, Tiles, describe, panel_array
from ..render.card import draw_panel
from ..render.charts import bar_ends
from ..render.colour import LEVELS, ODD_COLOUR, tables
from ..render.html import png
from ..render.pointing import is_written
from ..render.raster import (
    columns_of,
    draw_heatmap,
    draw_picture,
    draw_tiles,
    heatmap_limits,
    shown_tiles,
    tiles_limits,
)  # fmt: skip
from ..render.style import DIVERGING, SEQUENTIAL, Shared, Show, Style
from ..render.trees import panel_tree, paper_tree
from ..render.words import alt_text
from ..result import Result
from .api import number_in
from .app import desks
from .desks.desk import NotThere
from .forms import PREDICTION, prediction_of

routes = Blueprint("results", __name__, url_prefix="/api/v1")

KEEP = "private, max-age=86400, immutable"  # an id is made from all that a result hangs on
MOST_VALUES = 2_000_000


@routes.get("/results/<id>")
def result(id: str) -> ResponseReturnValue:
    """The manifest: the facts, and what each panel is, without the values of maps."""
    found = result_of(id)
    told = {
        "id": id,
        "caption": found.caption,
        "under": _under(found),
        "facts": found.facts,
        "paper": paper_tree(found.facts),
    }
    rows = prediction_of(found) if found.facts.get("visualiser") == PREDICTION else None
    if rows is not None:
        told["rows"] = rows
    return _kept(jsonify(told | {"panels": [_described(p) for p in found.panels]}))


@routes.get("/results/<id>/panels/<int:n>.png")
def panel_png(id: str, n: int) -> ResponseReturnValue:
    """A panel as a picture, a pixel a value; of tiles an atlas, `count` from `first`, `columns` in a row."""
    found, style = result_of(id), style_of()
    match panel := _panel(found, n):
        case Heatmap():
            drawn = draw_heatmap(panel, style)
        case Tiles():
            _first_of(panel)
            drawn = draw_tiles(panel, style, number_in("columns", 0, 0, 4096) or None)
        case Picture():
            drawn = draw_picture(panel)
        case _:
            drawn = draw_panel(panel, found.pixels, style)
    return _kept(Response(png(drawn), mimetype="image/png"))


@routes.get("/results/<id>/panels/<int:n>.json")
def panel_json(id: str, n: int) -> ResponseReturnValue:
    """A panel's raw values; of tiles, `count` from `first`."""
    panel = _panel(result_of(id), n)
    values = panel_array(panel)
    if values is None:
        raise Unmet(f"panel {n} is text and has no values")
    if isinstance(panel, Tiles):
        _first_of(panel)
        shown = shown_tiles(panel, style_of())
        values = values[shown.start : shown.stop]
    if values.size > MOST_VALUES:
        raise UsageError(
            f"{values.size} values are too many for JSON: ask for fewer tiles, or download the .npz"
        )
    return _kept(jsonify({"shape": values.shape, "values": _short(values)}))


@routes.get("/colours/<name>.png")
def colours(name: str) -> ResponseReturnValue:
    """A colour map as a strip, a pixel a level, the lowest on the left."""
    if name not in tables():
        raise NotThere("colour map", name, tables())
    strip = Image.fromarray(np.ascontiguousarray(tables()[name].reshape(1, LEVELS, 3)))
    return _kept(Response(png(strip), mimetype="image/png"))


def result_of(id: str) -> Result:
    """The result of that id at whichever desk has it, or of `A~B` the difference. Raises NotThere, UsageError."""
    first, minus, second = id.partition("~")
    return difference(_found(first), _found(second)) if minus else _found(id)


def _found(id: str) -> Result:
    own, *others = desks()
    try:
        return own.result(id)
    except NotThere as error:
        for other in others:
            with contextlib.suppress(NotThere):
                return other.result(id)
        raise error


def style_of() -> Style:
    """The look that the query asks for, by the names of `Style`; UsageError for what is none."""
    given = request.args
    return Style(
        theme="dark" if given.get("theme") == "dark" else "light",
        colours=given.get("colours"),
        signed_colours=given.get("signed_colours"),
        alpha=_real("alpha", 0.55),
        first=number_in("first", 0, 0, 10**8),
        count=number_in("count", 64, 1, 4096),
        show=cast(Show, given.get("show", "both")),
        low=_real("low"),
        high=_real("high"),
        scale=cast(Shared | None, given.get("scale")),
    )


@overload
def _real(name: str) -> float | None: ...
@overload
def _real(name: str, default: float) -> float: ...
def _real(name: str, default: float | None = None) -> float | None:
    """A number of the query."""
    text = request.args.get(name)
    if text is None:
        return default
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{name} is a number, not {text[:40]!r}") from None


def colour_data() -> dict[str, Any]:
    """All that the browser needs to colour a palette picture as `draw_tiles` would: the tables as base64."""
    styles = [Style(theme=theme) for theme in ("light", "dark")]
    return {
        "sequential": SEQUENTIAL,
        "diverging": DIVERGING,
        "tables": {name: base64.b64encode(table.tobytes()).decode() for name, table in tables().items()},
        "themes": {style.theme: {
            "gap": style.ground, "plain": style.table_name(False), "signed": style.table_name(True),
        } for style in styles},
        "odd": ODD_COLOUR,
    }  # fmt: skip


def _panel(found: Result, n: int) -> Panel:
    if n >= len(found.panels):
        raise NotThere("panel", str(n), map(str, range(len(found.panels))))
    return found.panels[n]


def _first_of(panel: Tiles) -> int:
    """The first tile that is asked for, which must be there."""
    return number_in("first", 0, 0, len(panel.values) - 1)


def _under(found: Result) -> str:
    """What stands under a result's title: of which picture, at which layer, in which time."""
    facts = found.facts
    layer = (facts.get("settings") or {}).get("layer")
    return " · ".join(str(one) for one in (facts.get("image"), layer, f"{facts['seconds']:.2g} s") if one)


def _described(panel: Panel) -> dict[str, Any]:
    """What a panel is, the ends of its scale, and its values where they are few."""
    told = describe(panel) | {"alt": alt_text(panel)}
    values = panel_array(panel)
    odd = 0 if values is None else int((~np.isfinite(values)).sum())
    if values is not None and odd:
        told["odd"] = f"{odd} of {values.size} values are not finite, and drawn in magenta."
    if isinstance(panel, (Heatmap, Tiles)) and is_written(panel):
        told["written"] = True
    match panel:
        case Heatmap():
            told["limits"] = heatmap_limits(panel)
            if panel.means:
                told["reads"] = f"{'Above zero' if panel.signed else 'High'}: {panel.means}."
        case Tiles():
            limits = tiles_limits(panel)
            own = isinstance(limits, np.ndarray)
            told["limits"] = None if own and len(np.unique(limits, axis=0)) > 1 else _ends(panel, limits)
            told["ranges"] = _ranges(panel.values)
            told["columns"] = columns_of(min(64, len(panel.values)), *panel.values.shape[1:3])
        case Bars():
            told |= {"values": panel.values, "limits": bar_ends(panel)}
        case Curve():
            told["values"] = panel.values
        case Diagram():
            told["opens"] = [pointing.told(node.opens) for node in panel.nodes]
    if tree := panel_tree(panel):
        told["tree"] = tree
    return told


def _ends(panel: Tiles, limits: Any) -> tuple[float, float]:
    low, high = (float(limits[0, 0]), float(limits[0, 1])) if isinstance(limits, np.ndarray) else limits
    most = max(abs(low), abs(high))
    return (-most, most) if panel.signed else (low, high)


def _ranges(values: Array) -> list[list[float | None]]:
    """The least, largest and mean value of each tile, over what is finite."""
    found: list[list[float | None]] = []
    rows = values.reshape(len(values), -1)
    told = np.stack([rows.min(1), rows.max(1), rows.mean(1)], 1)
    if np.isfinite(told).all():
        return [[float(f"{v:.5g}") for v in row] for row in told]
    for tile in values:
        finite = tile[np.isfinite(tile)]
        numbers = [finite.min(), finite.max(), finite.mean()] if finite.size else [None] * 3
        found.append([None if v is None else float(f"{v:.5g}") for v in numbers])
    return found


def _short(values: Array) -> Any:
    """Nested lists of numbers as short as a float32 can be told exactly."""
    flat = [float(text) for text in values.ravel().astype(str)]
    nested: Any = np.asarray(flat, object).reshape(values.shape).tolist()
    return nested


def _kept(response: Response) -> Response:
    response.headers["Cache-Control"] = KEEP
    return response
