"""Activation maximisation: the picture that a channel, a unit or a class answers most to."""

from __future__ import annotations

from cnnlens import hookimpl

from .maximise import maximise


@hookimpl
def cnnlens_visualisers() -> list[object]:
    """What this plugin brings."""
    return [maximise]
