"""NumPy's threads are kept out of the framework's way.

After a product of matrices the threads of NumPy's OpenBLAS spin for some 25 ms, in case another one comes. A pass of
the network that begins meanwhile shares the cores with them: on two cores MobileNetV2 took three times as long after
each. What visualisers multiply is small, and one thread does it as fast. Other libraries are left alone, since a
framework may compute with them.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

_NUMPYS = "libscipy_openblas"  # that of its wheels, and no other's
_taken = threading.Lock()


@contextmanager
def one_thread() -> Iterator[None]:
    """While a visualiser runs: NumPy multiplies matrices in the thread that asks for it.

    The number is the process's, and only who set it can put it back: who comes meanwhile leaves it as it is.
    """
    if not _taken.acquire(blocking=False):
        yield
        return
    try:
        with _numpys().limit(limits=1):
            yield
    finally:
        _taken.release()


def limit() -> None:
    """The same for a process of our own, to its end: it draws pictures between passes too."""
    _numpys().limit(limits=1)


@functools.cache
def _numpys() -> ThreadpoolController:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(prefix=_NUMPYS)
