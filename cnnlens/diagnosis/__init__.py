"""What is wrong with a picture that was made, and why: the cause is tested, never guessed.

Healthy panels cost a look at their numbers and no pass. Where something is wrong, passes are run to find out
where it begins; the answers are notes, put behind the panels.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import CnnlensError
from ..model import Model
from ..panels import Heatmap, Note, Panel, panel_array
from ..probe import Probe
from ..probes import Probes
from .evidence import Evidence
from .extremes import few_extremes
from .flat import why_flat
from .not_finite import bad_weights, not_the_models, where_not_finite, why_not_finite
from .precision import saturated, underflow


def diagnose(
    model: Model,
    probe: Probe | None,
    panels: Sequence[Panel],
    needs: Collection[str],
    settings: Mapping[str, Any],
    by_target: bool = True,
) -> tuple[Note, ...]:
    """Notes on what is wrong with panels, for the person looking; none where nothing is.

    `needs` is what the visualiser that made them asked of the model, `settings` what it was given, `by_target`
    whether it explains a target: then the scores are looked at too.
    """
    numbers = [values for panel in panels if (values := panel_array(panel)) is not None]
    broken = sum(int((~np.isfinite(values)).sum()) for values in numbers)
    if probe is None:
        return (Note(_counted(broken, numbers) + bad_weights(model)),) if broken else ()
    evidence = Evidence(
        model, probe, str(settings.get("layer") or "input"), bool({"gradients", "tape"} & set(needs))
    )
    try:
        if broken:
            return (Note(_counted(broken, numbers) + why_not_finite(evidence)),)
        if by_target and not np.isfinite(probe.scores).all():
            return (Note("these numbers are finite, the scores are not: " + why_not_finite(evidence)),)
        return tuple(Note(text) for text in _causes(evidence, panels))
    except CnnlensError as error:
        return (Note(f"something is wrong with these numbers, and the search for the cause ended: {error}"),)


def diagnose_several(
    probes: Probes, panels: Sequence[Panel], needs: Collection[str], settings: Mapping[str, Any]
) -> tuple[Note, ...]:
    """A note on numbers that are not finite in what was made of several pictures: with which they begin, and where.

    What else is looked for is looked for in a panel of one picture. Cost: where something is wrong, a pass or two for
    each picture until one shows it.
    """
    numbers = [values for panel in panels if (values := panel_array(panel)) is not None]
    broken = sum(int((~np.isfinite(values)).sum()) for values in numbers)
    if not broken:
        return ()
    layer, by_gradients = str(settings.get("layer") or "input"), bool({"gradients", "tape"} & set(needs))
    try:
        for probe in probes:
            evidence = Evidence(probes.model, probe, layer, by_gradients)
            if found := where_not_finite(evidence):
                return (Note(f"{_counted(broken, numbers)}with {probe.image.name} {found}"),)
        return (Note(_counted(broken, numbers) + "of every " + not_the_models(evidence)),)
    except CnnlensError as error:
        return (Note(f"something is wrong with these numbers, and the search for the cause ended: {error}"),)


def why_failed(model: Model, probe: Probe) -> str | None:
    """Why there was nothing to work with for a visualiser that fell over; None where the scores are as they should."""
    try:
        if np.isfinite(probe.scores).all():
            return None
        return why_not_finite(Evidence(model, probe, "input", False))
    except Exception:  # what made the visualiser fall makes this pass fall too, and is told as it is
        return None


def _causes(evidence: Evidence, panels: Sequence[Panel]) -> Iterator[str]:
    if evidence.by_gradients and (told := saturated(evidence) or underflow(evidence)):
        yield told
        return
    maps = [panel for panel in panels if isinstance(panel, Heatmap)]
    spoken = any(isinstance(panel, Note) for panel in panels)
    for panel in maps:
        if np.ptp(panel.values) == 0:
            if told := why_flat(panel, evidence, spoken):
                yield told
        elif told := few_extremes(panel):
            yield told


def _counted(broken: int, numbers: Sequence[Any]) -> str:
    return f"{broken} of {sum(values.size for values in numbers)} numbers are NaN or infinite: "
