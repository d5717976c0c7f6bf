"""The API, described in OpenAPI 3.1. A test holds this table to the routes, and the routes to this table."""

from __future__ import annotations

from importlib import metadata
from typing import Any

from .desks.desk import MAX_PARTS, Request


def _path(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": schema}


_ID = _path("id", {"type": "string"})
_N = _path("n", {"type": "integer", "minimum": 0})
_PNG = {"image/png": {"schema": {"type": "string", "format": "binary"}}}
_Query = tuple[str, dict[str, Any], str]
_STYLE: list[_Query] = [
    ("theme", {"enum": ["light", "dark"]}, "the ground, and the diverging colours that go with it"),
    ("colours", {"type": "string"}, "colour map of unsigned values, viridis by default"),
    ("signed_colours", {"type": "string"}, "colour map of signed values"),
]
_SCALE: list[_Query] = [
    ("low", {"type": "number"}, "the low end of the scale, instead of the panel's own; with high"),
    ("high", {"type": "number"}, "its high end; signed values keep zero in the middle"),
    ("scale", {"enum": ["unit", "layer"]}, "each tile on its own scale, or all of a panel on one"),
]
_DRAWN: list[_Query] = [
    (
        "show",
        {"enum": ["both", "overlay", "raw"]},
        "a map beside and over its picture, over it, or by itself",
    ),
    ("alpha", {"type": "number", "minimum": 0, "maximum": 1}, "how much a map covers it; 0.55 by default"),
]
_SOME: list[_Query] = [
    ("first", {"type": "integer", "minimum": 0}, "the first tile that is drawn"),
    ("count", {"type": "integer", "minimum": 1, "maximum": 4096}, "how many tiles; 64 by default"),
]
_WAIT: list[_Query] = [
    ("wait", {"type": "number", "maximum": 2}, "seconds to wait for the end before answering")
]
_FILES = {
    "type": "object", "required": ["image"],
    "properties": {"image": {"type": "array", "items": {"type": "string", "format": "binary"}}},
}  # fmt: skip
_LOOK = {
    "type": "object", "required": ["visualiser"],
    "properties": {
        **_FILES["properties"],  # type: ignore[dict-item]
        "visualiser": {"type": "array", "items": {"type": "string"}},
        "target": {"type": "array", "items": {"type": "string"}, "default": ["top1"]},
        "settings": {"type": "string", "description": "a JSON object, for each visualiser named"},
        "as": {"enum": ["json", "png"], "default": "json", "description": "all, or the first's picture"},
    },
}  # fmt: skip

_SCHEMES = {
    "bearer": {
        "type": "http", "scheme": "bearer",
        "description": "the token of this start, or the one given by --token or CNNLENS_TOKEN",
    },
    "cookie": {
        "type": "apiKey", "in": "cookie", "name": "cnnlens-8765",
        "description": "what a browser is given for the address with the token; named after the port it asked",
    },
}  # fmt: skip
_DOOR = (401, 403)  #: what every address answers to who may not ask


def document() -> dict[str, Any]:
    """The OpenAPI document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "cnnlens",
            "version": metadata.version("cnnlens"),
            "description": "What a convolutional network saw. Addresses are relative to /api/v1. Programs send "
            "the token that the terminal shows, `Authorization: Bearer TOKEN`; without one every address "
            "answers 401, with a wrong one 403. Writes are accepted from this server's own page and from "
            "programs that are no browser.",
        },
        "servers": [{"url": "."}],
        "security": [{"bearer": []}, {"cookie": []}],
        "paths": _paths(),
        "components": {"schemas": _schemas(), "securitySchemes": _SCHEMES},
    }


def _paths() -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for (method, path), told in {**_about(), **_images(), **_jobs(), **_results()}.items():
        paths.setdefault(path, {})[method] = told
    return paths


Operations = dict[tuple[str, str], dict[str, Any]]


def _about() -> Operations:
    name = _path("name", {"type": "string"})
    checked = "One visualiser; settings in the query are checked and their cost told. Nothing runs"
    return {
        ("get", "/state"): _op(
            "The model, versions, plugins and pictures; while the model is opened, how far that has come",
            200,
            parameters=_query(_WAIT),
        ),
        ("get", "/openapi.json"): _op("This document", 200),
        ("get", "/layers"): _op("The layers in call order", 200, fails=(503,)),
        ("get", "/layers/{name}"): _op(
            "One layer: what a place of it sees of the picture, its weights, its multiply-adds",
            200,
            fails=(404, 422, 503),
            parameters=[name],
        ),
        ("get", "/visualisers"): _op(
            "Every visualiser, and whether it can read this model", 200, fails=(503,)
        ),
        ("get", "/visualisers/{name}"): _op(checked, 200, fails=(400, 404, 503), parameters=[name]),
        ("get", "/colours/{name}.png"): _op(
            "A colour map as a strip, the lowest value on the left",
            200,
            _PNG,
            fails=(404,),
            parameters=[name],
        ),
        ("post", "/restart"): _op("Start the model's process again, where it was given up", 204),
        ("post", "/reset"): _op("Stop the jobs, forget the results, keep the first pictures", 204),
    }


def _images() -> Operations:
    which = _path("which", {"enum": ["original", "input"]})
    side = _query([("side", {"type": "integer", "maximum": 4096}, "the longer side, at most")])
    return {
        ("get", "/images"): _op("The pictures: id and name", 200),
        ("post", "/images"): _op(
            "Upload pictures", 201, fails=(400, 413, 422), body=("multipart/form-data", _FILES)
        ),
        ("delete", "/images/{id}"): _op("Forget a picture", 204, fails=(404,), parameters=[_ID]),
        ("get", "/images/{id}/{which}.png"): _op(
            "A picture as it was opened, or as the model is shown it",
            200,
            _PNG,
            fails=(400, 404, 422, 503),
            parameters=[_ID, which, *side],
        ),
    }


def _jobs() -> Operations:
    job = _json("Job")
    request = ("application/json", {"$ref": "#/components/schemas/Request"})
    return {
        ("get", "/jobs"): _op("The jobs that are remembered, the newest first", 200),
        ("post", "/jobs"): _op(
            "Ask for pictures",
            202,
            job,
            fails=(400, 404, 415, 422, 429, 503),
            parameters=_query(_WAIT),
            body=request,
        ),
        ("post", "/cost"): _op(
            "What a request would cost in passes, and its visualisers' verdicts. Nothing runs",
            200,
            fails=(400, 404, 415, 503),
            body=request,
        ),
        ("get", "/jobs/{id}"): _op(
            "How far a job is, and its results", 200, job, fails=(404,), parameters=[_ID, *_query(_WAIT)]
        ),
        ("delete", "/jobs/{id}"): _op("Ask a job to stop", 200, job, fails=(404,), parameters=[_ID]),
        ("post", "/look"): _op(
            "A picture in, pictures out, in one request",
            200,
            fails=(400, 413, 422, 429, 500, 503),
            body=("multipart/form-data", _LOOK),
        ),
    }


def _results() -> Operations:
    suffix = _path("suffix", {"enum": ["png", "npz", "html", "json", "svg"]})
    file = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    drawn = _query([*_STYLE, *_DRAWN, *_SCALE, *_SOME])
    many = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MAX_PARTS}
    ids = {**_query([("id", many, "a result's id, or A~B; in the order given")])[0], "required": True}
    atlas = _query([*_STYLE, *_SCALE, *_SOME, ("columns", {"type": "integer"}, "tiles in a row")])
    return {
        ("get", "/results/{id}"): _op(
            "A result's facts and panels; of A~B, what A has more than B",
            200,
            fails=(400, 404),
            parameters=[_ID],
        ),
        ("get", "/results/{id}/panels/{n}.png"): _op(
            "A panel, a pixel a value; tiles as an atlas",
            200,
            _PNG,
            fails=(400, 404),
            parameters=[_ID, _N, *atlas],
        ),
        ("get", "/results/{id}/panels/{n}.json"): _op(
            "A panel's raw values", 200, fails=(400, 404, 422), parameters=[_ID, _N, *_query(_SOME)]
        ),
        ("get", "/results/{id}/download.{suffix}"): _op(
            "A result as a file", 200, file, fails=(400, 404), parameters=[_ID, suffix, *drawn]
        ),
        ("get", "/download.{suffix}"): _op(
            "Several results as one file: a sheet, a report, or the numbers of all",
            200,
            file,
            fails=(400, 404),
            parameters=[suffix, ids, *drawn],
        ),
    }


def _schemas() -> dict[str, Any]:
    request = Request.model_json_schema(ref_template="#/components/schemas/{model}")
    counts = {"type": "object", "properties": {"done": {"type": "integer"}, "total": {"type": "integer"}}}
    error = {"type": "object", "properties": {"type": {"type": "string"}, "message": {"type": "string"}}}
    return {
        **request.pop("$defs", {}),
        "Request": request,
        "Error": {"type": "object", "required": ["error"], "properties": {"error": error}},
        "Job": {"type": "object", "properties": {
            "id": {"type": "string"},
            "state": {"enum": ["queued", "running", "done", "cancelled"]},
            "ahead": {"type": "integer", "description": "jobs that come before it"},
            "elapsed": {"type": "number", "description": "seconds"},
            "parts": counts,
            "progress": counts,
            "results": {"type": "array", "items": {"type": "object", "properties": {
                "id": {"type": ["string", "null"]}, "error": {"oneOf": [error, {"type": "null"}]},
                "visualiser": {"type": "string"}, "settings": {"type": "object"},
                "image": {"type": ["string", "null"]}, "target": {"type": ["string", "null"]},
                "images": {"type": "array", "items": {"type": "string"},
                           "description": "of one result of several pictures, theirs; its image is then null"},
            }}},
        }},
    }  # fmt: skip


def _op(
    summary: str,
    status: int,
    content: dict[str, Any] | None = None,
    *,
    fails: tuple[int, ...] = (),
    parameters: list[dict[str, Any]] | None = None,
    body: tuple[str, dict[str, Any]] | None = None,
) -> dict[str, Any]:
    told: dict[str, Any] = {"summary": summary}
    if parameters:
        told["parameters"] = parameters
    if body:
        told["requestBody"] = {"required": True, "content": {body[0]: {"schema": body[1]}}}
    answer: dict[str, Any] = {"description": summary}
    if status != 204:
        answer["content"] = content or {"application/json": {"schema": {"type": "object"}}}
    told["responses"] = {str(status): answer} | {
        str(code): {"description": "refused", "content": _json("Error")} for code in sorted({*fails, *_DOOR})
    }
    return told


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _query(some: list[_Query]) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "schema": schema, "description": words} for name, schema, words in some
    ]
