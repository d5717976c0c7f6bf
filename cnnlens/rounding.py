"""What a lower precision did to this picture and target, measured by one pass in full precision, and said in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .arrays import Array
from .errors import Unmet
from .model import Model
from .panels import Note
from .probe import Probe
from .visualiser import Visualiser

Numbers = np.ndarray[Any, np.dtype[np.float64]]


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


def _correlation(one: Numbers, other: Numbers) -> float | None:
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


def told(found: Mapping[str, Any], probe: Probe, chosen: Visualiser[Any, Any]) -> Iterator[Note]:
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
    yield Note(text + _of_gradients(found, full) + _of_the_rest(chosen, full))


def _of_gradients(found: Mapping[str, Any], full: str | None) -> str:
    if "gradient_correlation" not in found:
        return ""
    correlation = found["gradient_correlation"]
    if correlation is not None:
        return f"; the gradient at the pixels correlates {correlation:.3f} with that in {full}"
    why = found.get("gradient", "one of the two is flat or not finite")
    return f"; gradients at the pixels cannot be compared with those in {full}: {why}"


def _of_the_rest(chosen: Visualiser[Any, Any], full: str | None) -> str:
    """What is not lowered."""
    tape = f"; its tape, and what is walked back over it, stays in {full}" if "tape" in chosen.needs else ""
    past = f"; what it runs past cnnlens stays in {full}" if chosen.frameworks else ""
    return tape + past


def rounded(
    model: Model,
    probe: Probe | None,
    chosen: Visualiser[Any, Any],
    settings: Mapping[str, Any],
    of: int = 1,
) -> tuple[tuple[Note, ...], dict[str, Any]]:
    """Notes and facts on the error of a lower precision; nothing of a model in full precision.

    Gradients are compared where the visualiser declares them or the probe has any. Without a picture a grey one tells;
    where the probe is the first `of` so many, that is said.
    """
    if not model.is_lowered:
        return (), {}
    cost = chosen.cost_of(model, settings)
    if probe is None and not cost.forwards + cost.backwards:
        note = Note(f"no pass was made: the weights are {model.weights_in}, and shown as they are")
        return (note,), {"precision": {"computed_in": model.weights_in}}
    asked = probe or Probe(model, model.input.grey()[0])
    by_gradients = "gradients" in chosen.needs or (cost.backwards > 0 and "tape" not in chosen.needs)
    found = measure(asked, by_gradients or asked.has_gradients)
    notes = tuple(told(found, asked, chosen))
    if probe is None:
        found["measured_on"] = "a grey picture"
        notes += (Note("there is no picture here: the error is that of a grey one"),)
    if of > 1:
        found["measured_on"] = asked.image.name
        notes += (Note(f"the error is that of {asked.image.name}, the first of {of} pictures"),)
    return notes, {"precision": found}
