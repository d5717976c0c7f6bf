"""From maps at layers to panels: one map as it is, several after what they have in common."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from cnnlens import Array, Candidate, Heatmap, Model, Note, Panel, Probe, candidates, enlarged

Maps = list[tuple[Candidate, Array]]


def panels(
    title: str,
    maps: Maps,
    probe: Probe,
    *,
    positive: bool,
    unit: str | None = None,
    means: str = "speaks for the class",
    notes: Iterable[Note] = (),
) -> tuple[Panel, ...]:
    """A heat map for each layer, a fused one before several; then what is to be said of them.

    `unit` is the target's, unless it is said. With `positive` only what is above zero is kept.
    """
    model, unit = probe.model, unit or probe.target.unit
    kept = [(one, np.maximum(values, 0) if positive else values) for one, values in maps]
    shown = [
        Heatmap(values, signed=not positive, title=f"{title} at {one.name}", unit=unit, means=means)
        for one, values in kept
    ]
    if len(shown) > 1:
        fused = Heatmap(
            fuse([values for _, values in kept]),
            signed=not positive,
            title=f"{title}, {len(shown)} layers fused",
            unit="share of the largest",
            means=means,
        )
        shown.insert(0, fused)
    empty = [
        note
        for (one, raw), (_, values) in zip(maps, kept, strict=True)
        if (note := empty_map(one, raw, values))
    ]
    return (*shown, *empty, *notes, *why_here(maps, model))


def fuse(maps: list[Array]) -> Array:
    """Maps (h, w) of several sizes, each divided by its own largest magnitude: their mean, at the largest size."""
    size = (max(m.shape[0] for m in maps), max(m.shape[1] for m in maps))
    largest = [float(np.abs(m).max()) or 1.0 for m in maps]
    shares = [enlarged(m / top, size) for m, top in zip(maps, largest, strict=True)]
    return np.asarray(np.mean(shares, 0), np.float32)


def empty_map(one: Candidate, raw: Array, shown: Array) -> Note | None:
    """That all was cut off; None where something is seen, or nothing was there (of which cnnlens finds the cause)."""
    if shown.any() or not raw.any() or not np.isfinite(raw).all():
        return None
    return Note(
        f"the map is empty: at {one.name} every place speaks against the class "
        f"(from {raw.min():.3g} to {raw.max():.3g}); positive=false shows that"
    )


def why_here(maps: Maps, model: Model) -> Iterable[Note]:
    """Which layer was taken, and why, where it is the one that is taken unasked."""
    taken = next((one for one in candidates(model) if one.chosen), None)
    if taken and len(maps) == 1 and maps[0][0].name == taken.name:
        yield Note(f"{taken.name}: {taken.reason}")
