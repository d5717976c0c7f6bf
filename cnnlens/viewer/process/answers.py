"""What the process that runs the model tells of it, held to what it may be told as."""

from __future__ import annotations

from typing import Any

from ...images import MAX_PIXELS
from ...preprocess import InputSpec
from ..desks.desk import MAX_PARTS, Request
from ..desks.jobs import Part
from .crossing import facts_of, unpacked
from .wire import Garbled


def read_facts(told: Any) -> dict[str, Any]:
    """Facts by name: `model`, `layers`, `plugins`, `visualisers`, or some of them. Raises Garbled."""
    facts = facts_of(told)
    for name in ("layers", "visualisers"):
        several = facts.get(name, [])
        if not isinstance(several, list) or not all(isinstance(one, dict) for one in several):
            raise Garbled(f"{name} are told one by one")
    if "model" in facts:
        input_of(facts["model"])
        if not isinstance(facts.get("plugins"), dict):
            raise Garbled("plugins are told of by name")
    return facts


def input_of(model: Any) -> InputSpec:
    """What the model expects to be fed, as its facts tell it. Raises Garbled."""
    try:
        spec = InputSpec(**model["input"])
        pixels = int(spec.height * spec.width * spec.channels)
    except Exception as error:
        raise Garbled(f"a model's input is not told so: {error}") from None
    if pixels > 4 * MAX_PIXELS:
        raise Garbled(f"no picture has {spec.height}×{spec.width}×{spec.channels} numbers")
    return spec


def read_parts(told: Any, request: Request) -> list[Part]:
    """The parts of a request, which ask for nothing that the request did not. Raises Garbled."""
    found = unpacked(told)
    if not isinstance(found, list) or len(found) > MAX_PARTS:
        raise Garbled("a request is taken apart into parts")
    return [_part(one, request) for one in found]


def _part(told: Any, request: Request) -> Part:
    names = {ask.name for ask in request.visualisers}
    match told:
        case {"id": str(id), "visualiser": str(name), "settings": dict(settings), **rest}:
            image: Any = rest.get("image")
            target, images = rest.get("target"), rest.get("images", [])
            of = (
                image in (None, *request.images) and images in ([], request.images) and not (image and images)
            )
            if name in names and of and target in (None, *request.asked):
                return Part(id[:64], name, settings, image, target, tuple(request.images if images else ()))
    raise Garbled("a part is no part of its request")
