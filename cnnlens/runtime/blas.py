"""NumPy's threads are kept out of the framework's way.

After a product of matrices the threads of NumPy's OpenBLAS spin for some 25 ms, in case another one comes. A pass of
the network that begins meanwhile shares the cores with them: on two cores MobileNetV2 took three times as long after
each. What visualisers multiply is small, and one thread does it as fast. Other libraries are left alone, since a
framework may compute with them.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

_taken = threading.Lock()


@contextmanager
def one_thread() -> Iterator[None]:
    """While a visualiser runs: NumPy multiplies matrices in the thread that asks for it.

    The number is the process's, and only who set it can put it back: who comes meanwhile leaves it as it is.
    """
    taken = _taken  # a fork has another one
    if not taken.acquire(blocking=False):
        yield
        return
    try:
        with _numpys().limit(limits=1):
            yield
    finally:
        taken.release()


def limit() -> None:
    """The same for a process of our own, to its end: it draws pictures between passes too."""
    _numpys().limit(limits=1)


@functools.cache
def _numpys() -> ThreadpoolController:
    """That of NumPy's own wheel and no other's, be it of the same name, as SciPy's is."""
    from threadpoolctl import ThreadpoolController

    numpy, found = Path(np.__file__).parent, ThreadpoolController()
    homes = (numpy.with_name("numpy.libs"), numpy / ".dylibs")
    own = [one.filepath for one in found.lib_controllers if Path(one.filepath).parent in homes]
    return found.select(filepath=own)


def _forget() -> None:
    """In a fork of the process: the thread that took it is not there."""
    global _taken
    _taken = threading.Lock()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_forget)
