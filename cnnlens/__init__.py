"""cnnlens: see what a convolutional network saw.

The public names. Importing this loads no framework, no Flask and no matplotlib: what opens a model or a
viewer comes in when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import errors
from .arithmetic import multiply_adds
from .arrays import Array
from .attribution import Join, attributed, join_channels
from .candidates import Candidate, candidates
from .diagram import Diagram, Edge, Node
from .difference import difference
from .doctor import doctor
from .enlarging import enlarged, interpolation
from .errors import CnnlensError
from .hookspecs import hookimpl
from .images import Image, cover_of, open_image
from .layer import Layer
from .look import look, sheet
from .model import Model
from .panels import Bars, Curve, Heatmap, Note, Panel, Picture, Table, Tiles, mark_of
from .passes import Trace
from .pointing import Link, Outline
from .preprocess import InputSpec
from .probe import Probe
from .probes import Probes
from .receptive import ReceptiveField, receptive_fields
from .result import Result, Sheet
from .settings import Field, KernelsLayer, LayerOf, MapsLayer, PlacesLayers, names_of
from .tape import Call, CallInfo, Tape
from .targets import Target
from .tokens import Grid, fold
from .verdict import Approximate, Impossible, Verdict
from .visualiser import Cost, Visualiser, visualiser

if TYPE_CHECKING:
    from .opening import Inspection, inspect, load, wrap
    from .viewer import view

__version__ = "0.1.0"

#: Names that bring in a framework or Flask; they live elsewhere until asked for.
_LATER = {
    "Inspection": "opening", "inspect": "opening", "load": "opening", "wrap": "opening", "view": "viewer",
}  # fmt: skip


def visualisers() -> tuple[Visualiser[Any, Any], ...]:
    """Every visualiser that is installed, by title; ours and those of guests alike."""
    from .registry import installed

    return tuple(installed())


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'cnnlens' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_LATER[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})


__all__ = [
    "Approximate", "Array", "Bars", "Call", "CallInfo", "Candidate", "CnnlensError", "Cost", "Curve",
    "Diagram", "Edge", "Field", "Grid", "Heatmap", "Image", "Impossible", "InputSpec", "Inspection", "Join",
    "KernelsLayer", "Layer", "LayerOf", "Link", "MapsLayer", "Model", "Node", "Note", "Outline", "Panel",
    "Picture", "PlacesLayers", "Probe", "Probes", "ReceptiveField", "Result", "Sheet", "Table", "Tape", "Target",
    "Tiles", "Trace", "Verdict", "Visualiser", "attributed", "candidates", "cover_of", "difference", "doctor",
    "enlarged", "errors", "fold", "hookimpl", "inspect", "interpolation", "join_channels", "load",
    "look", "mark_of", "multiply_adds", "names_of", "open_image", "receptive_fields", "sheet", "view", "visualiser",
    "visualisers", "wrap",
]  # fmt: skip
