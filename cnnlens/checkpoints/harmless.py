"""What training scripts pickle beside weights that is data and no code: weights-only reading may pass it."""

from __future__ import annotations

import argparse
from typing import Any

from .dense import HARMLESS, NAMESPACE


class Dropped:
    """Stands for a value that nobody here needs; takes any arguments and state, and forgets them."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __setstate__(self, state: Any) -> None: ...


def harmless_globals() -> list[Any]:
    """For `torch.serialization.safe_globals`, on top of what PyTorch itself passes.

    The reference scripts of timm and torchvision keep their arguments as a Namespace, which holds attributes
    and runs nothing. NumPy's scalars (a best accuracy) and paths are read as nothing at all: the names below
    lead to `Dropped`, never to NumPy or pathlib.
    """
    return [argparse.Namespace, *((Dropped, name) for name in HARMLESS if name != NAMESPACE)]
