"""Class activation maps: where in a layer's maps does what speaks for a class stand?

`formulas.py` has the formulas; the other files ask the network what these want to know and show what they answer.
"""

from __future__ import annotations

from cnnlens import hookimpl

from .cam import cam
from .eigen import eigen_cam
from .gradient_cams import gradient_cams


@hookimpl
def cnnlens_visualisers() -> list[object]:
    """What this plugin brings."""
    return [cam, *gradient_cams, eigen_cam]
