"""What a manifest says of the picture or pictures that were looked at, and of what was asked of them."""

from __future__ import annotations

import hashlib
from typing import Any

from .probe import Probe
from .probes import Probes
from .targets import Target
from .visualiser import Visualiser


def facts_of_one(probe: Probe, chosen: Visualiser[Any, Any]) -> dict[str, Any]:
    """Which picture it was, how it was prepared, and what was explained."""
    facts: dict[str, Any] = {
        "image": probe.image.name,
        "image_sha256": probe.image.digest,
        "image_notes": list(probe.image.notes),
        "preprocess": probe.model.input.facts(),
    }
    if chosen.by_target:
        facts |= _of_target(probe.target, probe) | {"score": probe.score}
        if probe.target.is_of_classes and len(probe.target.terms) == 1:
            facts["probability"] = probe.value(probability=True)
    return facts


def facts_of_several(probes: Probes, chosen: Visualiser[Any, Any]) -> dict[str, Any]:
    """The same of several pictures, each by its name and sha256; `image_sha256` is that of all of these.

    A score is none of all pictures, and left out.
    """
    origins = probes.origins
    facts: dict[str, Any] = {
        "image": f"{len(origins)} pictures",
        "image_sha256": hashlib.sha256("".join(one["sha256"] for one in origins).encode()).hexdigest(),
        "image_notes": [f"{one['name']}: {note}" for one in origins for note in one["notes"]],
        "images": [{"name": one["name"], "sha256": one["sha256"]} for one in origins],
        "preprocess": probes.model.input.facts(),
    }
    return facts | (_of_target(probes.target, probes.first) if chosen.by_target else {})


def _of_target(target: Target, probe: Probe) -> dict[str, Any]:
    return {
        "target": target.text,
        "target_name": target.label(probe.model),
        "target_index": target.index,
        "target_unit": target.unit,
    }
