"""A map in numbers: how large, how sparse, where it is strongest and what that place sees."""

from __future__ import annotations

import numpy as np

from cnnlens import Array, ReceptiveField, Table, mark_of

Row = tuple[str, str | float | int]


def statistics(one: Array, field: ReceptiveField | None) -> Table:
    """The table of a map (h, w); places are (row, column) from 0, boxes in pixels of what the model is shown."""
    finite, mark = one[np.isfinite(one)].astype(np.float64), mark_of(one)
    rows: list[Row] = [("size of the map", f"{one.shape[0]} × {one.shape[1]}")]
    if finite.size:
        rows += [("smallest", float(finite.min())), ("largest", float(finite.max()))]
        rows += [("mean", float(finite.mean())), ("standard deviation", float(finite.std()))]
        rows += [
            ("share of zeros", float((finite == 0).mean())),
            ("share of negatives", float((finite < 0).mean())),
        ]
    if mark:
        rows.append(("this map is", mark))
    if finite.size and finite.max() > finite.min():
        i, j = (
            int(n) for n in np.unravel_index(np.nanargmax(np.where(np.isfinite(one), one, np.nan)), one.shape)
        )
        rows.append(("strongest at", f"row {i}, column {j}"))
        if field is not None:
            y0, x0, y1, x1 = field.box(i, j)
            seen = (
                f"rows {y0} to {y1 - 1}, columns {x0} to {x1 - 1}" if y0 < y1 and x0 < x1 else "padding alone"
            )
            rows.append(("which sees of the picture", seen))
    if field is None:
        rows.append(("receptive field", "the whole picture, or not known"))
    else:
        rows.append(("receptive field", f"{field.size[0]} × {field.size[1]} pixels"))
        rows.append(("from one place to the next", f"{field.stride[0]} down, {field.stride[1]} across"))
    return Table(("of the map", "value"), rows, title="In numbers")
