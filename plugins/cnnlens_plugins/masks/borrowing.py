"""Packages of the `perturbation` extra, imported by those who need them when they need them."""

from __future__ import annotations

import random
from importlib import import_module
from typing import Any

from cnnlens import errors


def borrowed(module: str, package: str, why: str) -> Any:
    """A module of an optional package; MissingPackage, with the extra, where it is not installed.

    What is drawn of Python's random numbers while it is imported is put back.
    """
    state = random.getstate()
    try:
        return import_module(module)
    except ImportError:
        raise errors.MissingPackage(package, "perturbation", why) from None
    finally:
        random.setstate(state)
