"""The viewer: what a network saw, in the browser, on this machine.

`serve` blocks and is what the command line calls, `view` returns at once and is for Python; `create_app`
is the Flask application around a `Desk`, which runs the model: `InProcess` one that is in memory, `Worker` one that
a `Loader` opens, in a process of its own. This room imports no model framework.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .app import create_app
    from .desks.desk import Desk, Request
    from .desks.in_process import InProcess
    from .desks.loading import Loader
    from .desks.worker import Worker
    from .running import Viewer, view
    from .serving import serve

#: Where the names live until they are asked for: the process that runs the model needs no Flask.
_LATER = {
    "Desk": "desks.desk", "InProcess": "desks.in_process", "Loader": "desks.loading", "Request": "desks.desk",
    "Viewer": "running", "Worker": "desks.worker", "create_app": "app", "serve": "serving", "view": "running",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'cnnlens.viewer' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_LATER[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})


__all__ = ["Desk", "InProcess", "Loader", "Request", "Viewer", "Worker", "create_app", "serve", "view"]
