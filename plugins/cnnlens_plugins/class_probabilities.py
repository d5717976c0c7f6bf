"""Class probabilities: what does the network say this is?"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from cnnlens import Bars, Cost, Field, Note, Probe, hookimpl, visualiser


@visualiser(title="Class probabilities", family="features", needs={"classes"}, cost=Cost(1), by_target=False)
def class_probabilities(
    probe: Probe,
    *,
    top: Annotated[int, Field(ge=1, le=1000, description="how many classes, the likeliest first")] = 5,
) -> tuple[Bars, Bars] | tuple[Bars, Bars, Note]:
    """The likeliest classes by name, with their probabilities and the scores they come from.

    Probabilities are what the model's own last activation (softmax or sigmoid) makes of the scores.
    """
    scores, probabilities = probe.scores, probe.probabilities
    order = np.argsort(-scores, kind="stable")[:top]
    names = [probe.model.class_name(int(i)) for i in order]
    chances = Bars(probabilities[order], names, title="Probability", unit="probability", limits=(0.0, 1.0))
    raw = Bars(scores[order], names, title="Score", unit="score")
    if np.isfinite(scores).all():
        return chances, raw
    return chances, raw, Note(f"{int((~np.isfinite(scores)).sum())} scores are NaN or infinite")


@hookimpl
def cnnlens_visualisers() -> list[object]:
    """What this plugin brings."""
    return [class_probabilities]
