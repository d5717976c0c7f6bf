"""How each kind of term is written: a rule each. A rule answers None where the text is not of its kind."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import BadInput, UnknownName, Unmet
from .classes import ClassScore
from .likeness import Likeness, embedded
from .naming import named_class, placed_class, unknown_class
from .probability import Probability
from .term import Reals, Term
from .unit import Unit

if TYPE_CHECKING:
    from ..model import Model

#: Opens the picture that a text names: a cnnlens `Image`. Who reads a text decides what may be opened by it.
Open = Callable[[str], Any]
Rule = Callable[[str, "Model", "Open | None"], "Term | None"]

_UNIT = re.compile(r"(?P<layer>.+)\[\s*(?P<at>\d+(?:\s*,\s*\d+\s*,\s*\d+)?)\s*\]")
_OUTPUT = re.compile(r"(?P<path>.*)\[\s*:\s*(?P<at>(?:,\s*\d+\s*)+)\]")
_BOX = re.compile(r"box(\d{1,4})", re.IGNORECASE)
_PICTURE = re.compile(r"\.(jpe?g|png|webp|gif|bmp|tiff?)$", re.IGNORECASE)
#: The output under which a detector's detections stand, one after the other.
DETECTIONS = "detections"


def class_rule(text: str, model: Model, open: Open | None) -> Term | None:
    """`tabby`, `281`, `top1`."""
    return named_class(text, model)


def place_rule(text: str, model: Model, open: Open | None) -> Term | None:
    """`dog@40,60`, `dog@10:50,20:80`."""
    return placed_class(text, model)


def probability_rule(text: str, model: Model, open: Open | None) -> Term | None:
    """`p(tabby)`, `p(top1)`, `p(dog@40,60)`."""
    within = _within("p", text)
    if within is None:
        return None
    term = named_class(within, model) or placed_class(within, model)
    if not isinstance(term, ClassScore):
        raise unknown_class(within, model)
    return Probability(term, model.activation)


def likeness_rule(text: str, model: Model, open: Open | None) -> Term | None:
    """`like(dog.jpg)`, `like(dog.jpg, layer)`."""
    within = _within("like", text)
    if within is None:
        return None
    picture, comma, last = (part.strip() for part in within.rpartition(","))
    if not comma or not picture:
        picture, last = within, ""
    elif last not in {layer.name for layer in model.layers} and _PICTURE.search(last):
        picture, last = within, ""  # a comma within the picture's name
    layer = model.layer(last) if last else _embedding_layer(model)
    if not layer.shape:
        raise Unmet(f"layer {layer.name!r} of {model.name} does not hand on one array that could be compared")
    if open is None:
        raise BadInput(f"{text}: no picture may be opened by a target here")
    image = open(picture)

    @functools.cache
    def embedding() -> Reals:
        seen = model.trace(np.asarray(model.input.fit(image.pixels))[None], watch=[layer.name])
        return np.asarray(embedded(seen.activations[layer.name])[0])

    return Likeness(layer.name, str(image.digest), embedding, str(image.name))


def output_rule(text: str, model: Model, open: Open | None) -> Term | None:
    """`logits[:,281]`, `[0][:,2]`, `heads.age[:,0]`, `out[:,3,10,12]`."""
    found = _OUTPUT.fullmatch(text)
    if not found:
        return None
    path = found["path"].strip().removeprefix("output:")
    known = {output.path: output for output in model.output_tree}
    if not path and len(known) == 1:
        path = next(iter(known))
    if path not in known:
        raise UnknownName("output", path, known, f" of {model.name}")
    channel, *place = (int(n) for n in found["at"].split(",")[1:])
    _check_unit(f"output {path!r}", known[path].shape, channel, place)
    return Unit(known[path].name, channel, tuple(place) or None, "output")


def unit_rule(text: str, model: Model, open: Open | None) -> Term | None:
    """`layer3.0.conv2[17]`, `layer3.0.conv2[17,4,5]`."""
    found = _UNIT.fullmatch(text)
    if not found:
        return None
    layer = model.layer(found["layer"].strip())
    channel, *place = (int(n) for n in found["at"].split(","))
    _check_unit(f"layer {layer.name!r}", layer.shape, channel, place)
    return Unit(layer.name, channel, tuple(place) or None)


def box_rule(text: str, model: Model, open: Open | None) -> Term | None:
    """`box0`, the score of a detector's first detection."""
    found = _BOX.fullmatch(text)
    detections = next((o for o in model.output_tree if o.path == DETECTIONS), None)
    if not found or detections is None:
        return None
    _check_unit("the list of detections", detections.shape, int(found[1]), [])
    return Unit(detections.name, int(found[1]), None, "score")


#: In this order: the names of classes come first, so that one with brackets or an @ can be asked for.
RULES: tuple[Rule, ...] = (
    class_rule, probability_rule, likeness_rule, output_rule, unit_rule, box_rule, place_rule,
)  # fmt: skip


def _within(word: str, text: str) -> str | None:
    """What stands in the brackets of `word(…)`, where the last bracket closes the first."""
    begins, end = re.match(rf"{word}\s*\(", text, re.IGNORECASE), text.endswith(")")
    if not begins or not end:
        return None
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0 and letter == ")" and place < len(text) - 1:
            return None
    return text[begins.end() : -1].strip()


def _check_unit(what: str, shape: tuple[int, ...], channel: int, place: list[int]) -> None:
    """Refuse a unit outside a shape (…, channels)."""
    if not shape or channel >= shape[-1]:
        raise BadInput(f"{what} has units {shape}, no channel {channel}")
    fits = len(place) == len(shape) - 1 and all(n < side for n, side in zip(place, shape, strict=False))
    if place and not fits:
        raise BadInput(f"{what} has units {shape}, no place {tuple(place)}")


def _embedding_layer(model: Model) -> Any:
    """What goes into the last dense layer; without one, the last layer with maps."""
    dense = [layer for layer in model.layers if layer.kind == "dense"]
    for name in dense[-1].inputs[::-1] if dense else ():
        if model.layer(name).shape:
            return model.layer(name)
    maps = [layer for layer in model.layers if layer.has_maps]
    if not maps:
        raise Unmet(f"{model.name} has no layer to compare pictures at: name one, like(picture, layer)")
    return maps[-1]
