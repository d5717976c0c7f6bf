"""Visualisers of strangers, as the viewer meets them."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint
from typing import Annotated, Any

import numpy as np

from cnnlens import (
    Approximate,
    Bars,
    Curve,
    Field,
    Heatmap,
    Model,
    Note,
    Panel,
    Probe,
    Probes,
    Table,
    hookimpl,
    registry,
    visualiser,
)


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


@visualiser(title="Strolls", by_target=False)
def strolls(probes: Probes) -> Note:
    """Takes its time over each of many pictures, and leaves it to others to say how far it is."""
    for _ in probes:
        time.sleep(0.05)
    return Note(f"{len(probes)} seen")


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


@visualiser(title="Hangs", by_target=False)
def hangs(probe: Probe) -> Note:
    """Never ends, and never says how far it is."""
    while True:
        time.sleep(0.05)


def _dawdle(model: Model, settings: Mapping[str, Any]) -> Iterator[Approximate]:
    while settings.get("wait"):
        time.sleep(0.05)
    yield Approximate("it was asked in time")


@visualiser(title="Dawdles", by_target=False, judge=_dawdle)
def dawdles(probe: Probe, *, wait: bool = False) -> Note:
    """Cannot make up its mind about a setting."""
    return Note("done")


@visualiser(title="Dies", by_target=False)
def dies(probe: Probe, *, how: Annotated[int, Field(ge=1, le=30)] = int(signal.SIGKILL)) -> Note:
    """Ends the process by a signal; nobody can hinder that."""
    os.kill(os.getpid(), how)
    time.sleep(60)
    return Note("it lives")


@visualiser(title="Crashes", by_target=False)
def crashes(probe: Probe) -> Note:
    """Reads where nothing is."""
    return Note(str(ctypes.string_at(0)))


@visualiser(title="Greedy", by_target=False)
def greedy(probe: Probe, *, gibibytes: int = 64) -> Heatmap:
    """Wants more memory than there is."""
    return Heatmap(np.ones((gibibytes, 2**28), np.float32))


@visualiser(title="Hooks", by_target=False)
def hooks(probe: Probe) -> Bars:
    """How many hooks there are on a PyTorch model."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    modules = list(probe.model.native.modules())
    return Bars(np.asarray([sum(len(getattr(m, kind)) for m in modules) for kind in kinds]), kinds)


@hookimpl
def cnnlens_visualisers() -> list[object]:
    """All of them."""
    return [breaks, leaves, slow, strolls, everything, hangs, dies, crashes, greedy, hooks, dawdles]


def with_guests() -> registry.Registry:
    """Our own visualisers and these: one that breaks, one that waits, one that leaves, and worse."""
    ours = registry.installed()
    guest = registry.find([EntryPoint("guests", "viewer_guests", registry.GROUP)])
    problems = (registry.Problem("broken:guest", "ImportError: it wants what is not there"),)
    return registry.Registry(
        {**ours.visualisers, **guest.visualisers}, (*ours.plugins, *guest.plugins), problems
    )
