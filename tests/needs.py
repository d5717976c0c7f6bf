"""Optional parts of the tests."""

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import Any, NoReturn

import pytest


def need(module: str) -> Any:
    """An optional part: a visible skip for a user who lacks it, a failure in CI."""
    need_installed(module)
    try:
        return importlib.import_module(module)
    except ImportError as error:
        _missing(f"{module}: {error}")


def need_installed(module: str) -> None:
    """As `need`, for a part that another process imports.

    TensorFlow and PyTorch's compiler both bring LLVM, and the second of them in a process aborts it.
    """
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        _missing(module)


def _missing(what: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(f"CI must have {what}")
    pytest.skip(f"{what} is not installed", allow_module_level=True)
