"""A shelf: remembers what was used last, up to so many bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

V = TypeVar("V")


class Shelf(Generic[V]):
    """Values by name, bounded in bytes; what was not used for longest goes first.

    One value larger than the whole shelf is kept alone: it was just made and is about to be asked for.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._held: OrderedDict[str, tuple[V, int]] = OrderedDict()
        self._lock = threading.Lock()
        self.size = 0

    def get(self, name: str) -> V | None:
        """The value, which is thereby used; None where it is not, or no longer, held."""
        with self._lock:
            if name not in self._held:
                return None
            self._held.move_to_end(name)
            return self._held[name][0]

    def put(self, name: str, value: V, size: int) -> None:
        """Hold a value; others make room for it."""
        with self._lock:
            self._drop(name)
            self._held[name] = value, size
            self.size += size
            while self.size > self.limit and len(self._held) > 1:
                self._drop(next(iter(self._held)))

    def drop(self, name: str) -> None:
        """Forget a value, if it is held."""
        with self._lock:
            self._drop(name)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._held.clear()
            self.size = 0

    def _drop(self, name: str) -> None:
        if name in self._held:
            self.size -= self._held.pop(name)[1]

    def __iter__(self) -> Iterator[str]:
        with self._lock:
            return iter(list(self._held))

    def __len__(self) -> int:
        return len(self._held)
