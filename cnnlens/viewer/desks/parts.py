"""A request taken apart: which results it asks for, and the id that each will have."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ...errors import Unmet
from ...model import Model
from ...registry import Registry
from ...targets import Target, read_target
from .desk import Request
from .jobs import Part
from .runner import Gallery


def parts_of(request: Request, model: Model, registry: Registry, pictures: Gallery, salt: str) -> list[Part]:
    """In the order picture, target, visualiser; those that read no picture, or all of them together, first.

    Its pictures are there. Raises UnknownName, BadSetting, BadInput and Unmet: whatever can be refused before it runs.
    """
    targets = [(text, repr(target_of(text, model, pictures))) for text in request.asked]
    asks = []
    for ask in request.visualisers:
        chosen = registry.get(ask.name)
        reason = chosen.why_not(model)
        if reason:
            raise Unmet(reason)
        if chosen.reads_image and not request.images:
            raise Unmet(f"{chosen.title} reads a picture and was given none")
        asks.append((chosen, chosen.settings.resolve(ask.settings, model)))
    parts = [_part(salt, v.name, settings) for v, settings in asks if not v.reads_image]
    several = len(request.images) > 1
    for v, settings in asks:
        if v.reads_several and several:
            asked = targets if v.by_target else [()]
            parts += [_part(salt, v.name, settings, tuple(request.images), *one) for one in asked]
    asks = [(v, settings) for v, settings in asks if v.reads_image and not (v.reads_several and several)]
    for image in request.images:
        for number, (target, meant) in enumerate(targets):
            parts += [
                _part(salt, v.name, settings, image, *((target, meant) if v.by_target else ()))
                for v, settings in asks
                if number == 0 or v.by_target
            ]
    return parts


def target_of(text: str, model: Model, pictures: Gallery) -> Target:
    """A target's text; a picture that it names is one of the desk's own, and no file is ever opened."""
    return read_target(text, model, pictures.named)


def _part(
    salt: str,
    name: str,
    settings: dict[str, Any],
    of: str | tuple[str, ...] | None = None,
    target: str | None = None,
    meant: str | None = None,
) -> Part:
    """`meant` is what the target's text stands for now: a picture's name may come to be another's."""
    key = json.dumps([salt, name, settings, of, target, meant], sort_keys=True, default=str)
    image, images = (None, of) if isinstance(of, tuple) else (of, ())
    return Part(hashlib.sha256(key.encode()).hexdigest()[:20], name, settings, image, target, images)
