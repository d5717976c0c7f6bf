"""What is being explained: a class, its probability, a place, a unit, an output, a likeness, a difference.

A target is a weighted sum of terms. Each kind of term is a small class of its own with `layers`, `value` and
`cotangents`, and one rule that reads its text. All of it is NumPy, after the forward pass; a backend is only
ever handed the cotangents to pull on, so a new kind of term needs no line in any backend.
"""

from __future__ import annotations

from .classes import ClassScore
from .likeness import Likeness
from .places import Region, Won
from .probability import Probability, probabilities
from .reading import read_target
from .target import Target
from .term import Term
from .unit import Unit

__all__ = [
    "ClassScore", "Likeness", "Probability", "Region", "Target", "Term", "Unit", "Won", "probabilities",
    "read_target",
]  # fmt: skip
