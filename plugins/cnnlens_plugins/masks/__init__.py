"""Visualisers that hide parts of the picture and watch the score: squares, random masks, superpixels, smooth masks."""

from __future__ import annotations

from cnnlens import hookimpl

from .extremal import extremal
from .kernel_shap import kernel_shap
from .lime import lime
from .occlusion import occlusion
from .rise import rise


@hookimpl
def cnnlens_visualisers() -> list[object]:
    """What this plugin brings."""
    return [occlusion, rise, lime, kernel_shap, extremal]
