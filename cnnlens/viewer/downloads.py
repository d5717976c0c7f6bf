"""REST, results as files: one, or several in one file, made just as `Result.save` and `Sheet.save` make them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue

from ..errors import UsageError
from ..panels import panel_array
from ..result import Result, Sheet
from .desks.desk import MAX_PARTS, NotThere
from .results import result_of, style_of

routes = Blueprint("downloads", __name__, url_prefix="/api/v1")

FILES = {
    "png": "image/png", "npz": "application/octet-stream", "html": "text/html", "json": "application/json",
    "svg": "image/svg+xml",
}  # fmt: skip
MOST_BYTES = 512 * 2**20  #: of all values of one file
MOST_FIGURES = 64  #: results in one SVG; each takes about a second to draw
MOST_IN_JSON = 20_000_000  #: numbers written out; each takes many times its four bytes on the way


@routes.get("/results/<id>/download.<suffix>")
def one(id: str, suffix: str) -> ResponseReturnValue:
    """The result as a file; `show`, `alpha`, `theme`, `colours` … as the page shows it."""
    _known(suffix)
    return _file(suffix, [result_of(id)])


@routes.get("/download.<suffix>")
def several(suffix: str) -> ResponseReturnValue:
    """The results of every `id` in that order, in one file; an id that comes twice counts once."""
    _known(suffix)
    ids = list(dict.fromkeys(request.args.getlist("id")))
    if not ids:
        raise UsageError("say which results: ?id=…&id=…, a result's id or A~B for a difference")
    if len(ids) > MAX_PARTS:
        raise UsageError(f"these are {len(ids)} results; {MAX_PARTS} is the most for one file")
    if suffix == "svg" and len(ids) > MOST_FIGURES:
        raise UsageError(f"an .svg holds {MOST_FIGURES} results at most, not {len(ids)}: ask for the .html")
    found, size = [], 0
    for id in ids:
        found.append(result_of(id))
        size += sum(values.nbytes for values in map(panel_array, found[-1].panels) if values is not None)
        if size > MOST_BYTES:
            raise UsageError(
                f"the first {len(found)} of these results have more than {MOST_BYTES // 2**20} MiB of numbers: "
                "ask for fewer at once"
            )
    if suffix == "json" and size // 4 > MOST_IN_JSON:
        raise UsageError(f"{size // 4} numbers are too many for JSON: ask for fewer results, or for the .npz")
    return _file(suffix, found)


def _known(suffix: str) -> None:
    if suffix not in FILES:
        raise NotThere("format", suffix, FILES)


def _file(suffix: str, results: Sequence[Result]) -> Response:
    style = vars(style_of())  # checked in any case; where there is nothing to draw it says nothing
    options: dict[str, Any] = {} if suffix in ("npz", "json") else style
    with tempfile.TemporaryDirectory(prefix="cnnlens-") as folder:
        path = Path(folder) / f"result.{suffix}"
        if len(results) == 1:
            results[0].save(path, **options)
        else:
            Sheet(tuple(results)).save(path, **options)
        data = path.read_bytes()
    headers = {"Content-Disposition": f'attachment; filename="{_name([r.facts for r in results])}.{suffix}"'}
    return Response(data, mimetype=FILES[suffix], headers=headers)


def _name(several: Sequence[Mapping[str, Any]]) -> str:
    """What a file is called: visualiser and picture where all share them, and how many there are."""
    named = {
        "visualiser": {str(facts["visualiser"]) for facts in several},
        "image": {Path(str(facts.get("image", "model"))).stem for facts in several},
    }
    parts = [next(iter(names)) for names in named.values() if len(names) == 1]
    if len(several) > 1:
        parts = [*(parts or ["cnnlens"]), f"{len(several)}_results"]
    plain = ("".join(c if c.isalnum() and c.isascii() else "_" for c in part) for part in parts)
    return "-".join(plain)[:120]
