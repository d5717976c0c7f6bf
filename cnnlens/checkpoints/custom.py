"""The user's own layers and functions, by which a file of Keras may be opened that names them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .architecture import _module_of_file

Custom = str | Path | Mapping[str, Any] | None


def custom_objects(keras: Any, custom: Custom) -> dict[str, Any]:
    """Name → class or function. A file is run: whoever names one says that it may be."""
    if custom is None:
        return {}
    if isinstance(custom, Mapping):
        for name, value in custom.items():
            if not isinstance(name, str) or not callable(value):
                raise UsageError(f"custom maps names to classes or functions, not {name!r} to {value!r}")
        return dict(custom)
    path = Path(custom)
    if path.suffix != ".py":
        raise UsageError(f"--custom is a Python file that defines the layers, not {str(custom)!r}")
    found = _defined_in(keras, _module_of_file(path))
    if not found:
        raise UsageError(f"{path} defines no keras.Layer and no function")
    return found


def _defined_in(keras: Any, module: Any) -> dict[str, Any]:
    """The layers that a module has, its own and its neighbours', and the functions of its own."""
    found = {}
    for name, value in vars(module).items():
        own = getattr(value, "__module__", None) == module.__name__
        is_layer = inspect.isclass(value) and issubclass(value, keras.Layer)
        if (is_layer and not value.__module__.startswith("keras.")) or (own and inspect.isfunction(value)):
            found[name] = value
        elif own and inspect.isclass(value) and hasattr(value, "from_config"):  # an initialiser, a constraint
            found[name] = value
    return found
