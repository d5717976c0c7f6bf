"""The one page: a shell with what is known at once inside it; the rest the browser asks of the API."""

from __future__ import annotations

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from .api import state_of
from .app import desk
from .results import colour_names

routes = Blueprint("pages", __name__)


@routes.get("/")
def page() -> ResponseReturnValue:
    """The viewer."""
    start = state_of() | {
        "layers": desk().layers(),
        "visualisers": desk().visualisers(),
        "colours": colour_names(),
    }
    return render_template("viewer.html", start=start, model=start["model"])
