"""The page: a shell with what is known at once inside it; the rest the browser asks of the API."""

from __future__ import annotations

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from .api import state_of
from .app import desk
from .results import colour_data

routes = Blueprint("pages", __name__)


@routes.get("/")
def page() -> ResponseReturnValue:
    """The viewer; while the model is still being opened, a page that says so and waits."""
    start = state_of()
    if start["model"] is None:
        shown = next((one for one in start["images"] if one["id"] == request.args.get("img")), None)
        shown = shown or next(iter(start["images"]), None)
        return render_template("loading.html", opening=start["opening"], images=start["images"], shown=shown)
    start |= {"layers": desk().layers(), "visualisers": desk().visualisers(), "colours": colour_data()}
    return render_template("viewer.html", start=start, model=start["model"])
