"""The visualiser: how many maps are dead, of which layer, over how many pictures, and what they look like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np

from cnnlens import Bars, Cost, Curve, Field, Link, Note, Probes, Table, Tiles, visualiser

from .tally import ROOM, Census, Tally, in_groups, judged_layers


@visualiser(title="Dead filters", family="features", needs={"activations"}, cost=Cost(1), by_target=False)
def dead_filters(
    probes: Probes,
    *,
    alike: Annotated[
        float, Field(gt=0, le=1, description="two maps are near-duplicates from this correlation on")
    ] = 0.99,
    layers: Annotated[int, Field(ge=0, le=64, description="of how many layers the dead maps are shown")] = 4,
) -> tuple[Note | Bars | Curve | Table | Tiles, ...]:
    """The maps of every activation that say nothing of any of the pictures, or nothing that another map does not say.

    Never active: zero at every place of every picture. Saturated: one other value at all of them, as at the upper
    bound of a ReLU6. Near-duplicate: its values rise and fall with those of an earlier map of the layer (Pearson's
    correlation over the places of all pictures), so that it adds a factor and no more. A network without activation
    layers of its own is judged by its convolutions. What is silent for one picture may speak for another: give many,
    and the curve shows whether more would still wake some. A wide network is gone through several times over several
    pictures, a few layers at a time, so that what is added up about them stays below half a gigabyte.
    """
    tallies = [Tally(layer) for layer in judged_layers(probes.model)]
    asleep, found = [0] * len(probes), []
    if len(probes) == 1:  # in one pass; with several no picture but the one that is added up is kept
        probes.first.look_at(*(one.layer.name for one in tallies))
    for some in in_groups(tallies, ROOM if len(probes) > 1 else 0):
        for number, probe in enumerate(probes):
            probe.look_at(*(one.layer.name for one in some))
            for one in some:
                one.add(probe.activations(one.layer.name), probe.image.name)
            asleep[number] += sum(one.asleep for one in some)
        for one in some:
            found.append(one.census(alike))
            one.let_go()
    counts = np.asarray([one.dead.sum() for one in found], np.float32)
    names = [one.layer.name for one in found]
    return (
        Note(in_words(found, asleep)),
        Bars(counts, names, "Maps that are never active, by layer", "maps"),
        *([curve_of(asleep)] if len(asleep) > 1 else []),
        _table(found, len(asleep)),
        *_pictures(probes, tallies, found, layers),
    )


def in_words(found: Sequence[Census], asleep: Sequence[int]) -> str:
    """How many of how many; of several pictures also what the later ones changed."""
    every, pictures = sum(len(one.dead) for one in found), len(asleep)
    dead, full, twice, silent = (
        sum(int(each.sum()) for each in some)
        for some in (
            [one.dead for one in found],
            [one.saturated for one in found],
            [one.doubled for one in found],
            [one.silent > 0 for one in found],
        )
    )
    of = "this picture" if pictures == 1 else f"any of these {pictures} pictures"
    text = f"{dead} of {every} maps are never active for {of}, {full} are saturated, {twice} are near-duplicates."
    if pictures == 1:
        return text
    half = pictures // 2
    woken = asleep[half - 1] - asleep[-1]
    return (
        f"{text} {silent} are silent for at least one of them. Of the {asleep[half - 1]} that were never active for "
        f"the first {half}, the other {pictures - half} woke {woken}"
        + (": more may wake more." if woken else ".")
    )


def curve_of(asleep: Sequence[int]) -> Curve:
    """How many maps were never active for the first picture, the first two, and so on."""
    title = "Maps that were never active, by how many pictures were seen"
    values = np.asarray([asleep], np.float32)
    return Curve(
        np.arange(1, len(asleep) + 1, dtype=np.float32), values, ("never active",), title, "pictures", "maps"
    )


def _table(found: Sequence[Census], pictures: int) -> Table:
    columns = ["layer", "maps", "never active", "saturated", "near-duplicates"]
    columns += ["silent at least once"] if pictures > 1 else []
    rows: list[tuple[str | int, ...]] = []
    for one in found:
        counted = [one.dead, one.saturated, one.doubled, *([one.silent > 0] if pictures > 1 else [])]
        rows.append((one.layer.name, len(one.dead), *(int(some.sum()) for some in counted)))
    return Table(columns, rows, title="By layer")


def _pictures(probes: Probes, tallies: Sequence[Tally], found: Sequence[Census], layers: int) -> list[Tiles]:
    """The dead maps beside the strongest of their layer for the first picture, on its scale: black, the others not.

    Where maps are not finite, those of the first such layer instead.
    """
    for tally, one in zip(tallies, found, strict=True):
        if tally.lost is not None:  # it is the cause, what follows its effects
            picture, some, values = tally.lost
            of = f" with {picture}" if len(probes) > 1 else ""
            title = f"{one.layer.name}: {int(one.broken.sum())} maps that are not finite{of}"
            marks = dict.fromkeys(range(len(some)), "not finite")
            return [Tiles(values, [str(n) for n in some], title=title, unit="activation", marks=marks)]
    worst = sorted((one for one in found if one.dead.any()), key=lambda one: -float(one.dead.mean()))[:layers]
    of = f", for {probes.first.image.name}" if len(probes) > 1 else ""
    shown = []
    for one in worst:
        maps = np.moveaxis(probes.first.activations(one.layer.name), -1, 0)
        strongest = int(np.square(maps, dtype=np.float64).mean((1, 2)).argmax())
        places = [strongest, *np.flatnonzero(one.dead)[:31].tolist()]
        marks = {place: "dead" for place in range(1, len(places))}
        dead = f"{len(places) - 1} of {int(one.dead.sum())} never active"
        title = f"{one.layer.name}: its strongest map{of}, then {dead}"
        opens = Link("unit", {"layer": one.layer.name}, "this map", tile="unit")
        names = [str(place) for place in places]
        shown.append(Tiles(maps[places], names, title=title, unit="activation", marks=marks, opens=opens))
    return shown
