"""What a lower precision did to this picture and target, measured by one pass in full precision, and said in words."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from .arrays import Array
from .errors import Unmet
from .model import Model
from .panels import Note
from .probe import Probe


def is_lowered(model: Model) -> bool:
    """Whether its passes are in a lower precision than its weights, because somebody asked for it."""
    return model.weights_in not in (None, model.precision)


def measure(probe: Probe, gradients: bool) -> dict[str, Any]:
    """The picture's numbers in both precisions: the target's value, the first class, and how alike gradients are.

    It costs a pass in full precision, and with `gradients` one back to the pixels in each, once a probe and target.
    `gradient_correlation` is Pearson's, over pixels and channels; None where a gradient is flat or none comes back.
    """
    full, at = probe.in_full, {}
    if gradients:
        at = _gradients(probe, full)
    score, truly = probe.score, full.score
    return {
        "computed_in": probe.model.precision,
        "score": score,
        "score_in_full": truly,
        "difference": score - truly,
        "relative_difference": abs(score - truly) / abs(truly) if truly else None,
        **_winners(probe.scores, full.scores, probe.model),
        **at,
    }


def _gradients(probe: Probe, full: Probe) -> dict[str, Any]:
    try:
        one, other = (each.gradients().ravel().astype(np.float64) for each in (probe, full))
    except Unmet as error:
        return {"gradient_correlation": None, "gradient": str(error)}
    return {"gradient_correlation": _correlation(one, other)}


def _correlation(one: Array, other: Array) -> float | None:
    if not (np.isfinite(one).all() and np.isfinite(other).all() and np.ptp(one) and np.ptp(other)):
        return None
    one, other = one - one.mean(), other - other.mean()
    found = float(one @ other / math.sqrt(float(one @ one) * float(other @ other)))
    return found if math.isfinite(found) else None


def _winners(scores: Array, full: Array, model: Model) -> dict[str, Any]:
    """The class that comes first in both; of scores at places the share of places where another one does."""
    if scores.shape[-1] == 1:
        if model.activation != "sigmoid":
            return {}
        one, other = scores > 0, full > 0
    else:
        one, other = scores.argmax(-1), full.argmax(-1)
    if scores.ndim > 1:
        return {"places_won_by_another": float((one != other).mean())}
    if scores.shape[-1] == 1:
        return {"top1": "yes" if one[0] else "no", "top1_in_full": "yes" if other[0] else "no"}
    return {"top1": model.class_name(int(one)), "top1_in_full": model.class_name(int(other))}


def told(found: dict[str, Any], probe: Probe, needs: Collection[str]) -> Iterator[Note]:
    """The same in words; first of all, loudly, where the answer itself is another one."""
    low, full, name = found["computed_in"], probe.model.weights_in, probe.target.label(probe.model)
    if found.get("top1") != found.get("top1_in_full"):
        yield Note(
            f"TOP-1 CHANGES WITH THE PRECISION: in {low} it is {found['top1']}, in {full} it is "
            f"{found['top1_in_full']}. Do not trust {low} for this picture: leave the precision out"
        )
    share = found["relative_difference"]
    part = "" if share is None or not math.isfinite(share) else f", {100 * share:.2g} % of it"
    text = (
        f"the model computes in {low}: {name} is {found['score']:.6g} {probe.target.unit}, in {full} "
        f"{found['score_in_full']:.6g}, off by {abs(found['difference']):.2g}{part}"
    )
    if places := found.get("places_won_by_another"):
        text += f"; ANOTHER CLASS WINS at {100 * places:.2g} % of the places"
    yield Note(text + _of_gradients(found, full) + _of_tape(needs, low, full))


def _of_gradients(found: dict[str, Any], full: str | None) -> str:
    if "gradient_correlation" not in found:
        return ""
    correlation = found["gradient_correlation"]
    if correlation is not None:
        return f"; the gradient at the pixels correlates {correlation:.3f} with that in {full}"
    why = found.get("gradient", "one of the two is flat or not finite")
    return f"; gradients at the pixels cannot be compared with those in {full}: {why}"


def _of_tape(needs: Collection[str], low: str, full: str | None) -> str:
    return f"; its tape, and what is walked back over it, stays in {full}" if "tape" in needs else ""


def rounded(
    model: Model, probe: Probe | None, needs: Collection[str], gradients: bool, passes: bool
) -> tuple[tuple[Note, ...], dict[str, Any]]:
    """Notes and facts on the error of a lower precision; nothing of a model in full precision.

    `needs` is what the visualiser asked of the model, `gradients` whether it may have read any, `passes` whether it
    ran the model at all. Without a picture a grey one tells.
    """
    if not is_lowered(model):
        return (), {}
    if probe is None and not passes:
        return (Note(f"no pass was made: the weights are {model.weights_in}, and shown as they are"),), {
            "precision": {"computed_in": model.weights_in}
        }
    grey = probe is None
    if probe is None:
        spec = model.input
        probe = Probe(model, np.full((spec.height, spec.width, spec.channels), 0.5, np.float32))
    found = measure(probe, gradients or probe.has_gradients)
    notes = tuple(told(found, probe, needs))
    if grey:
        found["measured_on"] = "a grey picture"
        notes = (*notes, Note("there is no picture here: the error is that of a grey one"))
    return notes, {"precision": found}
