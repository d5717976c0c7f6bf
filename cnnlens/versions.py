"""Which versions a result was made with."""

from __future__ import annotations

import functools
import platform
import sys


def versions(framework: str) -> dict[str, str]:
    """By name; of two frameworks, `keras/torch`, both."""
    names = ("cnnlens", "numpy", "pillow", *framework.split("/"))
    return {"python": platform.python_version()} | {name: _version(name) for name in names}


@functools.cache
def _version(name: str) -> str:
    """What is installed; read once, for it takes a file for each and what is loaded stays what it is."""
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:  # tensorflow-cpu provides `tensorflow`
        return str(getattr(sys.modules.get(name), "__version__", "unknown"))
