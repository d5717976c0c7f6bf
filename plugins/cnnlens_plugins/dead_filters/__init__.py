"""Dead filters: which maps say nothing about a picture, or about any of several, and which say the same as another."""

from __future__ import annotations

from cnnlens import hookimpl

from .dead_filters import dead_filters

__all__ = ["dead_filters"]


@hookimpl
def cnnlens_visualisers() -> list[object]:
    """What this plugin brings."""
    return [dead_filters]
