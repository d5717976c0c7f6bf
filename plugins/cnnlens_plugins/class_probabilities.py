"""Class probabilities: what does the network say this is?"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from cnnlens import Array, Bars, Cost, Field, Note, Probe, hookimpl, visualiser


@visualiser(title="Class probabilities", family="features", cost=Cost(1), by_target=False)
def class_probabilities(
    probe: Probe,
    *,
    top: Annotated[int, Field(ge=1, le=1000, description="how many classes, the likeliest first")] = 5,
) -> tuple[Bars, Bars] | tuple[Bars, Bars, Note]:
    """The likeliest classes by name, with their probabilities and the scores they come from.

    Probabilities are what the model's own last activation (softmax or sigmoid) makes of the scores. Where
    there is a score for each class at each place, as in segmentation, the share of places that a class wins
    stands in the place of its probability, and its mean score over all places beside it.
    """
    scores, chances, title, unit = probe.scores, probe.probabilities, "Probability", "probability"
    strange = int((~np.isfinite(scores)).sum())
    if scores.ndim > 1:
        chances, scores = shares(scores), scores.reshape(-1, scores.shape[-1]).mean(0)
        title, unit = "Share of places won", "share of places"
    order = np.lexsort((-scores, -chances if unit == "share of places" else -scores))[:top]
    names = [probe.model.class_name(int(i)) for i in order]
    told = Bars(chances[order], names, title=title, unit=unit, limits=(0.0, 1.0))
    raw = Bars(scores[order], names, title="Score" if title == "Probability" else "Mean score", unit="score")
    return (told, raw, Note(f"{strange} scores are NaN or infinite")) if strange else (told, raw)


def shares(scores: Array) -> Array:
    """Scores (h, w, classes) → the share of places that each class wins; one that is alone wins above zero."""
    if scores.shape[-1] == 1:
        return np.asarray([(scores > 0).mean()], np.float32)
    won = np.bincount(scores.argmax(-1).ravel(), minlength=scores.shape[-1])
    return np.asarray(won / won.sum(), np.float32)


@hookimpl
def cnnlens_visualisers() -> list[object]:
    """What this plugin brings."""
    return [class_probabilities]
