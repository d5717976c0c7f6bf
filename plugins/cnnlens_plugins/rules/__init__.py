"""Rules over a tape: LRP, DeepLIFT, guided backpropagation, DeconvNet, in NumPy and for any framework."""

from __future__ import annotations

from cnnlens import hookimpl

from .deconvnet import deconvnet
from .deeplift import deeplift
from .guided_backprop import guided_backprop
from .guided_grad_cam import guided_grad_cam
from .lrp import lrp


@hookimpl
def cnnlens_visualisers() -> list[object]:
    """What this plugin brings."""
    return [lrp, deeplift, guided_backprop, deconvnet, guided_grad_cam]
