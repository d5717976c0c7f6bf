"""The hooks of cnnlens, on one screen.

A plugin is a module with an entry point in the group `cnnlens` that implements one of these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pluggy import HookimplMarker, HookspecMarker

if TYPE_CHECKING:
    from .visualiser import Visualiser

hookspec = HookspecMarker("cnnlens")
hookimpl = HookimplMarker("cnnlens")


@hookspec
def cnnlens_visualisers() -> list[Visualiser[Any, Any]]:  # type: ignore[empty-body]
    """The visualisers that this plugin brings. Called once, when plugins are first asked for."""
