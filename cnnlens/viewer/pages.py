"""The page: a shell with what is known at once inside it; the rest the browser asks of the API."""

from __future__ import annotations

import hashlib
from importlib import resources
from itertools import groupby
from typing import Any

from flask import Blueprint, current_app, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from markupsafe import Markup

from ..render.trees import Tree, markup
from .api import state_of
from .app import desk, desks
from .forms import PREDICTION, about_tree, form_tree, prediction_of
from .layer_tree import flat_of, grouped, settings_of, times, tree_of, words_of
from .results import KEEP, colour_data

#: How a picture comes to have the input's size, in words.
FITTED = {"squash": "squashed", "crop": "cropped", "pad": "padded"}

_STATIC = {
    file.name: file.read_bytes()
    for file in resources.files(__package__).joinpath("static").iterdir()
    if file.is_file()
}
#: Says which scripts and styles these are, in their address: a browser may then keep them, and never has old ones.
VERSION = hashlib.sha256(b"".join(_STATIC[name] for name in sorted(_STATIC))).hexdigest()[:12]
#: What `main.js` brings in, and what that brings in: asked for at once, not one after the other.
MODULES = sorted(name for name in {*_STATIC} - {"main.js", "loading.js", "theme.js"} if name.endswith(".js"))

routes = Blueprint("pages", __name__)


@routes.get("/")
def page() -> ResponseReturnValue:
    """The viewer; while the model is still being opened, a page that says so and waits."""
    start = state_of()
    shown = next((one for one in start["images"] if one["id"] == request.args.get("img")), None)
    shown = shown or next(iter(start["images"]), None)
    if start["model"] is None:
        return render_template("loading.html", opening=start["opening"], images=start["images"], shown=shown)
    layers, visualisers = desk().layers(), desk().visualisers()
    given = start["model"]["input"]
    start["model"]["input"] = given | {"resize": FITTED.get(given["resize"], given["resize"])}
    classes = start["model"].pop("classes") or []
    named = {one["name"]: one for one in visualisers}
    able = [one["name"] for one in visualisers if not one["why_not"]]
    start["visualiser"] = "grad-cam" if "grad-cam" in able else next(iter([*able, *named]), None)
    start["against"] = next((other.opening() for other in desks()[1:]), None)
    start["layer"] = ((named.get("feature-maps") or {}).get("resolved") or {}).get("layer")
    start |= {"layers": _layers(layers, visualisers), "visualisers": _visualisers(visualisers)}
    start["colours"] = colour_data()
    return render_template(
        "viewer.html",
        start=start,
        model=start["model"],
        classes=classes,
        rows=tree_of(layers),
        layers=layers,
        visualisers=visualisers,
        families=_families(visualisers),
        modules=MODULES,
        form=_first_form(named, start["visualiser"]),
        shown=shown,
        which="input" if request.args.get("seen") == "input" else "original",
        prediction=_prediction(named, shown),
        grouped=grouped,
        times=times,
        settings=settings_of,
    )


#: What the scripts know of each: the rest is on the page already, or asked for when it is wanted.
_OF_LAYERS = ("name", "kind", "type", "shape", "has_maps", "has_kernels")
_OF_VISUALISERS = ("name", "title", "reads_image", "by_target", "why_not")


def _visualisers(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {name: one[name] for name in _OF_VISUALISERS}
        | {
            "settings": [setting["name"] for setting in one["settings"]],
            "reads": (_layer_of(one) or {}).get("layer"),
        }
        for one in told
    ]


def _layers(layers: list[dict[str, Any]], visualisers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each layer with its words, and the kinds of layers that it can be chosen as: with maps, with places, …"""
    choices = {found["layer"]: {*found["choices"]} for one in visualisers if (found := _layer_of(one))}
    return [
        {name: layer[name] for name in _OF_LAYERS}
        | {
            "words": words_of(layer),
            "flat": flat_of(layer),
            "fits": [k for k in choices if layer["name"] in choices[k]],
        }
        for layer in layers
    ]


def _layer_of(told: dict[str, Any]) -> dict[str, Any] | None:
    """The schema of a visualiser's first setting that is a layer of this model."""
    return next((one for one in told["schema"].values() if one.get("choices") and "layer" in one), None)


@routes.app_context_processor
def _version() -> dict[str, str]:
    return {"static": f"static/v{VERSION}"}


@routes.get("/static/v<version>/<path:name>")
def asset(version: str, name: str) -> ResponseReturnValue:
    """A script or a style; to be kept where it is of the version that was asked for."""
    response = current_app.send_static_file(name)
    if version == VERSION:
        response.headers["Cache-Control"] = KEEP
    return response


@routes.get("/form")
def form() -> ResponseReturnValue:
    """What the chosen visualisers are, and a control for each of their settings, as the page's address has them."""
    return jsonify(_form([desk().visualiser(name, {}) for name in request.args.get("vis", "").split(",")]))


def _form(some: list[dict[str, Any]]) -> dict[str, list[Tree]]:
    given = {name[2:]: value for name, value in request.args.items() if name.startswith("s.")}
    about = about_tree(some[0]) if len(some) == 1 else [["p.facts", "Settings of the same name are shared."]]
    return {"about": about, "fields": form_tree(some, given)}


def _first_form(named: dict[str, dict[str, Any]], otherwise: str | None) -> dict[str, Markup]:
    """The form as it will be, where the page opens on Explain: nothing then moves when it is asked for."""
    asked = [named[name] for name in request.args.get("vis", "").split(",") if name in named]
    some = [one for one in asked if not one["why_not"]] if len(asked) > 1 else asked
    some = some or [named[name] for name in (otherwise,) if name is not None]
    if request.args.get("view") != "explain" or not some:
        return {}
    return {part: Markup("".join(map(markup, trees))) for part, trees in _form(some).items()}


def _prediction(named: dict[str, dict[str, Any]], shown: dict[str, Any] | None) -> Markup | None:
    """What the network says of the picture, where it has said it before: it is then there with the page."""
    asked = named.get(PREDICTION)
    if asked is None or asked["why_not"] or shown is None:
        return None
    found = desk().known(PREDICTION, asked["resolved"], shown["id"])
    rows = prediction_of(found) if found is not None else None
    return Markup("".join(map(markup, rows))) if rows is not None else None


def _families(visualisers: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The visualisers by family, families in the order in which they first come."""
    order = list(dict.fromkeys(one["family"] for one in visualisers))
    ranked = sorted(visualisers, key=lambda one: order.index(one["family"]))
    return [(family, list(some)) for family, some in groupby(ranked, key=lambda one: one["family"])]
