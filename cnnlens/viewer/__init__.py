"""The viewer: what a network saw, in the browser, on this machine.

`serve` blocks and is what the command line calls, `view` returns at once and is for Python; `create_app`
is the Flask application around a `Desk`, which runs the model. This room imports no model framework.
"""

from __future__ import annotations

from .app import create_app
from .desk import Desk, Request
from .in_process import InProcess
from .loading import Loader
from .serving import Viewer, serve, view

__all__ = ["Desk", "InProcess", "Loader", "Request", "Viewer", "create_app", "serve", "view"]
