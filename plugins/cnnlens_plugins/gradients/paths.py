"""From a baseline to the picture: where the gradient is read on the way, and how much each reading weighs."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from cnnlens import Note

Rule = Literal["gauss-legendre", "trapezoid", "right"]
Values = npt.NDArray[np.float64]


def quadrature(rule: Rule, steps: int) -> tuple[Values, Values]:
    """Places in [0, 1] and weights that add up to one, `steps` of each.

    `right` is the paper's sum; a trapezoid of one step is its middle.
    """
    if rule == "gauss-legendre":
        at, weights = np.polynomial.legendre.leggauss(steps)
        return (at + 1) / 2, weights / 2
    if rule == "right":
        return np.arange(1, steps + 1) / steps, np.full(steps, 1 / steps)
    if steps == 1:
        return np.array([0.5]), np.ones(1)
    weights = np.full(steps, 1 / (steps - 1))
    weights[[0, -1]] /= 2
    return np.linspace(0, 1, steps), weights


def completeness(total: float, fall: float, remedy: str) -> Note:
    """How far what the map adds up to is from what it should, in words."""
    gap = abs(total - fall)
    share = f", {100 * gap / abs(fall):.2g} % of it" if fall else ""
    return Note(
        f"the map adds up to {total:.4g}; from baseline to picture the score changes by {fall:.4g}: "
        f"a gap of {gap:.2g}{share}; {remedy}"
    )
