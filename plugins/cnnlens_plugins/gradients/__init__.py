"""What the derivative of the score says of each pixel: plain, averaged over noise, along a path."""

from __future__ import annotations

from cnnlens import hookimpl

from .gradient_shap import gradient_shap
from .input_x_gradient import input_x_gradient
from .integrated_gradients import integrated_gradients
from .saliency import saliency
from .smoothgrad import smoothgrad


@hookimpl
def cnnlens_visualisers() -> list[object]:
    """What this plugin brings."""
    return [saliency, input_x_gradient, smoothgrad, integrated_gradients, gradient_shap]
