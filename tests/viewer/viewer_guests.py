"""Visualisers of strangers, as the viewer meets them."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import numpy as np

from cnnlens import Curve, Field, Heatmap, Note, Panel, Probe, Table, hookimpl, visualiser


@visualiser(title="Breaks")
def breaks(probe: Probe) -> Heatmap:
    """Raises what nobody expects."""
    raise RuntimeError("a guest's own fault")


@visualiser(title="Leaves")
def leaves(probe: Probe) -> Heatmap:
    """Ends the process, if it may."""
    sys.exit("goodbye")


@visualiser(title="Slow <i>guest</i>", by_target=False)
def slow(
    probe: Probe, *, steps: Annotated[int, Field(ge=1, le=10000, description="<b>how many</b>")] = 400
) -> Note:
    """Waits in small steps, and says how far it is."""
    for step in range(steps):
        time.sleep(0.01)
        probe.tick(step + 1, steps)
    return Note("<script>alert(1)</script> done")


@visualiser(title="Everything")
def everything(probe: Probe) -> tuple[Panel, ...]:
    """The panels that ours do not make, and numbers that JSON has not."""
    values = np.asarray([[np.nan, 1.0], [-np.inf, 2.0]], np.float32)
    return (
        Heatmap(values, signed=True, title="<img src=x onerror=alert(1)>"),
        Curve(np.arange(3.0), np.asarray([1.0, np.nan, 2.0]), title="curve"),
        Table(("name", "value"), [("<b>a</b>", 0.5)], title="table"),
        Note("note"),
    )


@hookimpl
def cnnlens_visualisers() -> list[object]:
    """All of them."""
    return [breaks, leaves, slow, everything]
