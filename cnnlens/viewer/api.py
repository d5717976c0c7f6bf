"""REST, first half: what there is, and asking for pictures. Everything the page can do is done by these."""

from __future__ import annotations

import base64
import io
import json
import threading
from importlib import metadata
from typing import Any

from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from ..errors import CnnlensError, UsageError
from ..render.html import png
from ..render.raster import pixels_image
from .app import desk, desks
from .desks.desk import Busy, NotThere, Which, error_of, read_request
from .openapi import document

routes = Blueprint("api", __name__, url_prefix="/api/v1")

LONGEST_WAIT = 2.0  #: seconds a request may wait for a job; each holds one of the server's threads
_one_shots = threading.BoundedSemaphore(2)


def state_of(wait: float = 0.0) -> dict[str, Any]:
    """What the page opens with; model and plugins are null until the model is there."""
    opening = desk().opening(wait)
    known = desk().is_known  # as soon as it is there, and from then on
    return {
        "app": "cnnlens",
        "version": metadata.version("cnnlens"),
        "opening": opening,
        "model": desk().model() if known else None,
        "plugins": desk().plugins() if known else None,
        "images": desk().images(),
    }


@routes.get("/state")
def state() -> ResponseReturnValue:
    """The model, the versions, the plugins, the pictures; with `wait` answers when the model is there."""
    return jsonify(state_of(_wait()))


@routes.get("/openapi.json")
def openapi() -> ResponseReturnValue:
    """This API, described."""
    return jsonify(document())


@routes.get("/layers")
def layers() -> ResponseReturnValue:
    """The layers in call order."""
    return jsonify({"layers": desk().layers()})


@routes.get("/layers/<path:name>")
def layer(name: str) -> ResponseReturnValue:
    """One layer, closely."""
    return jsonify(desk().layer(name))


@routes.get("/visualisers")
def visualisers() -> ResponseReturnValue:
    """Every visualiser, and whether it can read this model."""
    return jsonify({"visualisers": desk().visualisers()})


@routes.get("/visualisers/<name>")
def visualiser(name: str) -> ResponseReturnValue:
    """One visualiser; settings in the query are checked, resolved and their cost told. Nothing runs."""
    return jsonify(desk().visualiser(name, request.args.to_dict()))


@routes.get("/images")
def images() -> ResponseReturnValue:
    """The pictures: id and name."""
    return jsonify({"images": desk().images()})


@routes.post("/images")
def add_images() -> ResponseReturnValue:
    """Take in the files of a form; those that are no picture are told of and keep no other out."""
    files = request.files.getlist("image")
    if not files:
        raise UsageError("send pictures as a form, multipart/form-data, each in a part called image")
    taken, refused = [], []
    for file in files:
        try:
            taken.append(desk().add_image(file.read(), file.filename or "picture"))
        except CnnlensError as error:
            refused.append({"error": error_of(error)})
            last = error
    if not taken:
        raise last
    return jsonify({"images": taken, "refused": refused}), 201


@routes.delete("/images/<id>")
def remove_image(id: str) -> ResponseReturnValue:
    """Forget a picture."""
    desk().remove_image(id)
    for other in desks():
        if other is not desk():
            other.forget(id)
    return "", 204


@routes.get("/images/<id>/<which>.png")
def picture(id: str, which: str) -> ResponseReturnValue:
    """A picture: `original`, made smaller where `side` says so, or `input`, what the model is shown."""
    if which not in ("original", "input"):
        raise NotThere("picture", which, ("original", "input"))
    chosen: Which = "original" if which == "original" else "input"
    drawn = pixels_image(desk().picture(id, chosen))
    side = number_in("side", 0, 0, 4096)
    if side:
        drawn.thumbnail((side, side))
    response = Response(png(drawn), mimetype="image/png")
    response.add_etag()
    return response.make_conditional(request)


@routes.get("/jobs")
def jobs() -> ResponseReturnValue:
    """The jobs that are remembered, the newest first."""
    return jsonify({"jobs": [in_words(job) for job in desk().jobs()]})


@routes.post("/jobs")
def submit() -> ResponseReturnValue:
    """Ask for pictures: 202, and where to see how far they are."""
    told = desk().submit(read_request(request.get_json()))
    if waited := _wait():
        told = desk().job(told["id"], waited)
    return jsonify(in_words(told)), 202, {"Location": f"jobs/{told['id']}"}


@routes.post("/cost")
def cost() -> ResponseReturnValue:
    """What a request would cost, and what is to be known before it runs. Nothing runs."""
    asked = read_request(request.get_json())
    some = [desk().visualiser(one.name, one.settings) for one in asked.visualisers]
    counts = [
        (len(asked.images) or 1 if one["reads_image"] else 1) * (len(asked.asked) if one["by_target"] else 1)
        for one in some
    ]
    passes = sum((one["passes"] or 0) * count for one, count in zip(some, counts, strict=True))
    words = some[0]["cost"] if counts == [1] else f"{passes} passes in all"
    if len(some) == 1:
        verdicts = [some[0]["verdict"]["words"]]
    else:
        verdicts = [
            f"{one['title']}: {one['verdict']['words']}" for one in some if one["verdict"]["level"] != "valid"
        ]
    return jsonify({"passes": passes, "words": words, "verdict": "\n".join(verdicts)})


@routes.get("/jobs/<id>")
def job(id: str) -> ResponseReturnValue:
    """How far a job is; with `wait` answers at its end, or after so many seconds."""
    return jsonify(in_words(desk().job(id, _wait())))


@routes.delete("/jobs/<id>")
def cancel(id: str) -> ResponseReturnValue:
    """Ask a job to stop; with `mine`, only when nobody else has asked for the same."""
    return jsonify(in_words(desk().cancel(id, bool(request.args.get("mine")))))


@routes.post("/reset")
def reset() -> ResponseReturnValue:
    """Back to the start: no jobs, no results, the pictures of the start."""
    for one in desks():
        one.reset()
    return "", 204


@routes.post("/restart")
def restart() -> ResponseReturnValue:
    """Start the model's process again, where it was given up after it had died too often."""
    for one in desks():
        one.restart()
    return "", 204


@routes.post("/look")
def look() -> ResponseReturnValue:
    """A picture in, pictures out, in one request: for scripts. Nothing of it stays."""
    form = request.form
    asked: dict[str, Any] = {
        "visualisers": [{"name": n, "settings": _settings()} for n in form.getlist("visualiser")],
        "targets": form.getlist("target") or ["top1"],
    }
    if form.get("as", "json") not in ("json", "png"):
        raise UsageError("as is json (all results) or png (the first result's picture)")
    read_request(asked)
    if not _one_shots.acquire(blocking=False):
        raise Busy("two of these requests are running already: try again in a moment")
    ids: list[str] = []
    try:
        for file in request.files.getlist("image"):
            ids.append(desk().add_image(file.read(), file.filename or "picture", listed=False)["id"])
        told = desk().submit(read_request(asked | {"images": ids}))
        while told["state"] in ("queued", "running"):
            told = desk().job(told["id"], 30.0)
        return _looked(told, form.get("as", "json"))
    finally:
        _one_shots.release()
        for id in set(ids):
            desk().remove_image(id)


def _looked(told: dict[str, Any], kind: str) -> ResponseReturnValue:
    found = []
    for answer in told["results"]:
        if answer["error"]:
            found.append({"error": answer["error"]})
            continue
        result = desk().result(answer["id"])
        drawn = png(result.image())
        if kind == "png":
            return Response(drawn, mimetype="image/png")
        found.append(result.manifest | {"id": answer["id"], "png": base64.b64encode(drawn).decode()})
    worst = 200 if any("error" not in one for one in found) else 500
    return jsonify({"results": found}), worst


def _settings() -> dict[str, Any]:
    try:
        given = json.load(io.StringIO(request.form.get("settings", "{}")))
    except ValueError as error:
        raise UsageError(f"settings is a JSON object; {error}") from None
    if not isinstance(given, dict):
        raise UsageError("settings is a JSON object, a value for each name")
    return given


def in_words(job: dict[str, Any]) -> dict[str, Any]:
    """A job, and how far it is: as a share from 0 to 1, and as people say it."""
    parts, steps = job["parts"], job["progress"]
    failed = sum(answer["error"] is not None for answer in job["results"])
    within = steps["done"] / steps["total"] if steps["total"] else 0
    words = [f"waiting for {job['ahead']} before it" if job["ahead"] else job["state"]]
    if job["state"] == "running" and steps["total"]:
        words = [f"{steps['done']} of {steps['total']} passes"]
    if parts["total"] > 1:
        words.append(f"{parts['done']} of {parts['total']} results")
    words += [f"{failed} failed"] if failed else []
    words.append(f"{job['elapsed']:.1f} s")
    share = min(1.0, (parts["done"] + within) / parts["total"])
    return job | {"share": share, "words": " · ".join(words), "over": job["state"] in ("done", "cancelled")}


def _wait() -> float:
    try:
        wait = float(request.args.get("wait", 0))
    except ValueError:
        raise UsageError("wait is a number of seconds") from None
    return wait if 0 < wait <= LONGEST_WAIT else LONGEST_WAIT if wait > 0 else 0.0


def number_in(name: str, default: int, least: int, most: int) -> int:
    """A whole number of the query, within bounds."""
    text = request.args.get(name)
    if text is None:
        return default
    if not text.isdecimal() or len(text) > 9 or not least <= int(text) <= most:
        raise UsageError(f"{name} is a whole number from {least} to {most}, not {text[:40]!r}")
    return int(text)
