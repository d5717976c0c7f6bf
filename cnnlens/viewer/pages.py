"""The page: a shell with what is known at once inside it; the rest the browser asks of the API."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from flask import Blueprint, jsonify, render_template, request
from flask.typing import ResponseReturnValue

from .api import state_of
from .app import desk, desks
from .layer_tree import flat_of, grouped, settings_of, times, tree_of, words_of
from .results import colour_data
from .trees import about_tree, form_tree

#: How a picture comes to have the input's size, in words.
FITTED = {"squash": "squashed", "crop": "cropped", "pad": "padded"}

routes = Blueprint("pages", __name__)


@routes.get("/")
def page() -> ResponseReturnValue:
    """The viewer; while the model is still being opened, a page that says so and waits."""
    start = state_of()
    if start["model"] is None:
        shown = next((one for one in start["images"] if one["id"] == request.args.get("img")), None)
        shown = shown or next(iter(start["images"]), None)
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


@routes.get("/form")
def form() -> ResponseReturnValue:
    """What the chosen visualisers are, and a control for each of their settings, as the page's address has them."""
    names = request.args.get("vis", "").split(",")
    some = [desk().visualiser(name, {}) for name in names]
    given = {name[2:]: value for name, value in request.args.items() if name.startswith("s.")}
    about = about_tree(some[0]) if len(some) == 1 else [["p.facts", "Settings of the same name are shared."]]
    return jsonify({"about": about, "fields": form_tree(some, given)})


def _families(visualisers: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The visualisers by family, families in the order in which they first come."""
    order = list(dict.fromkeys(one["family"] for one in visualisers))
    ranked = sorted(visualisers, key=lambda one: order.index(one["family"]))
    return [(family, list(some)) for family, some in groupby(ranked, key=lambda one: one["family"])]
