"""Optional parts of the tests."""

from __future__ import annotations

import importlib
import os
from typing import Any

import pytest


def need(module: str) -> Any:
    """An optional part: a visible skip for a user who lacks it, a failure in CI."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if os.environ.get("CI"):
            pytest.fail(f"CI must have {module}: {error}")
        pytest.skip(f"{module} is not installed", allow_module_level=True)
