"""Pictures that were climbed to, shown as panels: in colour, with what each is worth."""

from __future__ import annotations

import numpy as np

from cnnlens import Array, Curve, Note, Table, Tiles

from .asked import Asked
from .climbing import Climbed


def shown(found: Climbed, asked: Asked, enlarged: str) -> tuple[Tiles | Table | Curve | Note, ...]:
    """The pictures, each with its value and that of the noise before; the values on the way; what went wrong."""
    names = [
        f"{name}: {before:.3g} → {after:.3g}"
        for name, before, after in zip(asked.names, found.start, found.end, strict=True)
    ]
    unit = asked.targets[0].unit
    tiles = _tiles(found.pictures, names, asked.of, np.flatnonzero(found.end <= found.start).tolist())
    columns = (
        "channel" if unit == "activation" else "class",
        f"{unit} of the noise",
        f"{unit} of the picture",
    )
    rows = [
        (name, float(f"{before:.4g}"), float(f"{after:.4g}"))
        for name, before, after in zip(asked.names, found.start, found.end, strict=True)
    ]
    steps = np.arange(1, len(found.values) + 1, dtype=np.float32)
    curve = Curve(steps, found.values.T, asked.names, "On the way, shaken", "step", unit)
    return tiles, Table(columns, rows), curve, *(Note(text) for text in _told(found, asked, enlarged))


def _tiles(pictures: Array, names: list[str], title: str, lower: list[int]) -> Tiles:
    """Colours as they are; one channel as grey; of other counts each channel beside the others."""
    channels = pictures.shape[-1]
    marks = dict.fromkeys(lower, "no higher than noise")
    if channels != 3:
        names = [name if channels == 1 else f"{name} (input {c})" for name in names for c in range(channels)]
        pictures = np.moveaxis(pictures, -1, 1).reshape(-1, *pictures.shape[1:3])
        marks = {channels * place: text for place, text in marks.items()}
    limits = np.tile(np.asarray((0, 1), np.float32), (len(pictures), 1))
    return Tiles(pictures, names, title=title, unit="intensity", limits=limits, marks=marks)


def _told(found: Climbed, asked: Asked, enlarged: str) -> list[str]:
    lower = [name for name, low in zip(asked.names, found.end <= found.start, strict=True) if low]
    told = [enlarged] if enlarged else []
    if lower:
        told.append(
            f"{', '.join(lower)}: no picture was found that is answered to more than noise is. It may answer "
            "to nothing, or only to what no gradient leads to: another seed, or more steps."
        )
    return told
