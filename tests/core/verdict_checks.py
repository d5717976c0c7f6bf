"""Holds every visualiser that cnnlens ships to its cell of the table, on a real network; both frameworks use it."""

from __future__ import annotations

import sys
from typing import Any
from unittest import mock

import numpy as np
from verdict_table import FAMILIES, expected

import cnnlens
from cnnlens.errors import Unmet
from cnnlens.panels import panel_array
from cnnlens.testing import assert_untouched, snapshot

PICTURE = np.random.default_rng(0).random((16, 16, 3), np.float32)
SPEC = {"size": 16, "mean": (0.5,) * 3, "std": (0.25,) * 3}
#: Few passes, and yet as many as the visualisers ask for not to complain.
CHEAP: dict[str, dict[str, Any]] = {
    "rise": {"cells": 3, "masks": 18},
    "lime": {"regions": 8, "samples": 18},
    "kernel-shap": {"regions": 6, "samples": 64},
    "extremal": {"steps": 50, "cells": 8},
    "maximise": {"steps": 64, "units": "0,2"},
    "occlusion": {"window": 8, "stride": 8},
    "integrated-gradients": {"steps": 16},
    "smooth-grad-cam++": {"n": 4},
}


def ours() -> list[Any]:
    """The visualisers of this distribution but those that take a value apart: sums say what is, and claim nothing."""
    found = [v for v in cnnlens.visualisers() if v.function.__module__.startswith("cnnlens_plugins")]
    found = [v for v in found if v.family != "taken apart"]
    assert len(found) > 30 and {v.family for v in found} == set(FAMILIES)
    return found


def check(model: cnnlens.Model, key: str) -> list[str]:
    """What differs from the table, in words; each picture is made, or refused for the very reason told."""
    wrong = []
    for one in ours():
        level, words = expected(key, one.name, one.family)
        settings = CHEAP.get(one.name, {})
        told = one.verdict(model, None if one.why_not(model) else one.settings.resolve(settings, model))
        if told.level != level or (words and not any(words in reason for reason in told.because)):
            wrong.append(f"{key}: {one.name} is {told}; the table has {level} {words}")
            continue
        found = refused(model, one, settings, told) if told.why_not else shown(model, one, settings, told)
        wrong += [f"{key}: {one.name}: {text}" for text in found]
    return wrong


def refused(model: cnnlens.Model, one: Any, settings: dict[str, Any], told: cnnlens.Verdict) -> list[str]:
    """That it is refused for that reason and nothing is left behind."""
    before = snapshot(model)
    try:
        cnnlens.look(model, PICTURE if one.reads_image else None, one, **settings)
    except Unmet as error:
        assert_untouched(before, snapshot(model), one.name)
        return [] if str(error) == told.why_not else [f"refused for another reason: {error}"]
    return ["not refused"]


def shown(model: cnnlens.Model, one: Any, settings: dict[str, Any], told: cnnlens.Verdict) -> list[str]:
    """That it runs, shows finite numbers, tells its reasons with the picture, and that nothing is found wrong."""
    room = sys.modules["cnnlens.look"]
    real, found = room.diagnose, list[Any]()

    def noted(*given: Any) -> Any:
        found.extend(real(*given))
        return tuple(found)

    with mock.patch.object(room, "diagnose", noted):
        result = cnnlens.look(model, PICTURE if one.reads_image else None, one, **settings)
    arrays = [values for panel in result.panels if (values := panel_array(panel)) is not None]
    wrong = [] if arrays and all(np.isfinite(values).all() for values in arrays) else ["numbers not finite"]
    wrong += [f"false note: {note.text}" for note in found]
    said = [text for text in result.notes if text.startswith("Read with care: ")]
    if said != [f"Read with care: {reason}" for reason in told.because]:
        wrong.append(f"notes {said} for {told}")
    if result.caption.endswith(" · approximate") != (told.level == "approximate"):
        wrong.append(f"caption {result.caption}")
    return wrong
