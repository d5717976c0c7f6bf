"""Tokens of a transformer ↔ places of the picture: which rows of (tokens, dim) are patches, and of which grid."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .arrays import Array
from .errors import BadInput
from .layer import Layer
from .model import Model

#: Tokens that may stand before the patches: none, a class token, one more for distillation, or four registers.
LEADING = (0, 1, 2, 5)


@dataclass(frozen=True)
class Grid:
    """Patches as places: `rows` × `columns`, after `leading` tokens that are no place."""

    rows: int
    columns: int
    leading: int = 0

    @property
    def tokens(self) -> int:
        """How many tokens there are in all."""
        return self.leading + self.rows * self.columns


def grid_of(layer: Layer, model: Model) -> Grid | None:
    """The grid of a layer of shape (tokens, dim); None where its tokens are no patches of the model's input.

    Patches are squares of whole pixels, so the grid has the input's aspect ratio; at least two by two.
    """
    if len(layer.shape) != 2 or layer.kind == "attention":
        return None
    height, width = model.input.height, model.input.width
    for leading in LEADING:
        places = layer.shape[0] - leading
        if places < 4:
            return None
        rows = math.isqrt(places * height // width)
        if rows < 2 or places % rows:
            continue
        columns = places // rows
        if columns >= 2 and rows * width == columns * height and height % rows == 0:
            return Grid(rows, columns, leading)
    return None


def fold(values: Array, grid: Grid) -> Array:
    """Values by token (tokens, dim) → by place (rows, columns, dim); leading tokens are left out."""
    if values.ndim != 2 or len(values) != grid.tokens:
        raise BadInput(f"{grid} folds ({grid.tokens}, dim), got {values.shape}")
    return np.reshape(values[grid.leading :], (grid.rows, grid.columns, -1))
