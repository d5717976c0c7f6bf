"""The visualisers that are a formula over activations and gradients of a layer; one pass serves them all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

from cnnlens import Array, Cost, Field, Panel, PlacesLayers, Probe, Visualiser, visualiser

from . import formulas
from .places import judge_places, judge_sums, seen
from .showing import panels

LAYER = Field(description="the layer whose places are weighed, or several with commas; usually the last")
POSITIVE = Field(description="keep only what speaks for the class, below zero nothing")


class Method(NamedTuple):
    """A row of the table: what is told of a formula, and whether its paper ends with a ReLU."""

    title: str
    formula: Callable[[Array, Array], Array]
    positive: bool
    judge: Any
    paper: str
    link: str
    description: str
    details: str


METHODS = (
    Method(
        "Grad-CAM", formulas.grad_cam, True, judge_places,
        "Selvaraju et al., 2016", "https://arxiv.org/abs/1610.02391",
        "A layer's maps, each weighted by the mean gradient of the score over it, summed.",
        "In units of score.",
    ),
    Method(
        "Grad-CAM++", formulas.grad_cam_plus_plus, True, judge_sums,
        "Chattopadhay et al., 2018", "https://arxiv.org/abs/1710.11063",
        "A layer's maps, each weighted by its positive gradients; made for several objects of one class.",
        "The paper explains the exponential of the score; the factor which that brings is left out, so the map is "
        "the paper's up to scale. It divides by sums of activations: take a layer behind a ReLU.",
    ),
    Method(
        "XGrad-CAM", formulas.xgrad_cam, True, judge_sums,
        "Fu et al., 2020", "https://arxiv.org/abs/2008.02312",
        "A layer's maps, each weighted by its gradient averaged over where the map itself is active.",
        "In units of score. Before the ReLU its places add up to the sum of activation times gradient.",
    ),
    Method(
        "HiResCAM", formulas.hires_cam, True, judge_places,
        "Draelos & Carin, 2020", "https://arxiv.org/abs/2011.08891",
        "Activation times gradient, place by place, summed over a layer's maps.",
        "In units of score; where only one dense layer follows, the places and its bias add up to the score.",
    ),
    Method(
        "LayerCAM", formulas.layer_cam, True, judge_places,
        "Jiang et al., 2021", "https://doi.org/10.1109/TIP.2021.3089943",
        "Activation times gradient where that is positive, place by place; made for early layers too.",
        "In units of score.",
    ),
    Method(
        "Eigen-Grad-CAM", formulas.eigen_grad_cam, False, judge_places,
        "after Muhammad & Yeasin, 2020", "https://arxiv.org/abs/2008.00299",
        "What activation times gradient has in common over a layer's maps: its first singular direction.",
        "In units of score. The sign of a singular direction is free; it is chosen so that the map goes with "
        "HiResCAM's.",
    ),
)  # fmt: skip


def _made(method: Method) -> Visualiser[Any, Any]:
    def look_through(
        probe: Probe,
        *,
        layer: Annotated[PlacesLayers, LAYER] = "last",
        positive: Annotated[bool, POSITIVE] = method.positive,
    ) -> tuple[Panel, ...]:
        maps = [(one, method.formula(a, g)) for one, a, g in seen(probe, layer)]
        return panels(method.title, maps, probe.model, positive=positive)

    look_through.__doc__ = (
        f"{method.description}\n\n{method.details}\n\nAt the layer's own resolution, not normalised."
    )
    return visualiser(
        title=method.title,
        needs={"activations", "gradients"},
        paper=method.paper,
        link=method.link,
        cost=Cost(1, 1),
        judge=method.judge,
        name=NAMES.get(method.title, method.title.lower()),
    )(look_through)


#: In kebab case, where lower case alone does not make it so.
NAMES = {"HiResCAM": "hires-cam", "LayerCAM": "layer-cam"}

gradient_cams = tuple(_made(method) for method in METHODS)
