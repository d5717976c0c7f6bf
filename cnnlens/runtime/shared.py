"""What is done to the whole process while anybody needs it: by the first who comes, and undone by the last to go."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Shared:
    """`begin()` is called when the first piece of work is held, `end()` when the last one is let go of."""

    def __init__(self, begin: Callable[[], object], end: Callable[[], object]) -> None:
        self._begin, self._end = begin, end
        self._lock, self._count = threading.Lock(), 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """One piece of work; several may be under way at once, in threads or one within another."""
        with self._lock:
            if not self._count:
                self._begin()
            self._count += 1
        try:
            yield
        finally:
            with self._lock:
                self._count = max(0, self._count - 1)  # a fork, within work, has forgotten it
                if not self._count:
                    self._end()

    def forget(self) -> None:
        """In a fork of the process: the threads that held it are not there."""
        held, self._lock, self._count = self._count, threading.Lock(), 0
        if held:
            self._end()

    def at_rest(self, do: Callable[[], object]) -> None:
        """Do something now, unless work is under way, whose end will see to it."""
        with self._lock:
            if not self._count:
                do()
