"""Class activation maps: where in a layer's maps does what speaks for a class stand?

`formulas.py` has the formulas; the other files ask the network what these want to know and show what they answer.
"""

from __future__ import annotations

from cnnlens import hookimpl

from .ablation import ablation_cam
from .cam import cam
from .eigen import eigen_cam
from .finer import finer_cam
from .full_grad import full_grad
from .gradient_cams import gradient_cams
from .score import score_cam
from .smooth import smooth_grad_cam_plus_plus


@hookimpl
def cnnlens_visualisers() -> list[object]:
    """What this plugin brings."""
    return [
        cam, *gradient_cams, eigen_cam, smooth_grad_cam_plus_plus, score_cam, ablation_cam, finer_cam, full_grad,
    ]  # fmt: skip
