"""How far work has come, on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm


class Progress:
    """A progress bar on the terminal for work of many passes; silent where nobody looks."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._bar: tqdm[Any] | None = None

    def __enter__(self) -> Callable[[int, int], None]:
        return self._tick

    def __exit__(self, *_: object) -> None:
        self._close()

    def _tick(self, done: int, total: int) -> None:
        if self._bar is None or self._bar.total != total or done < self._bar.n:
            self._close()
            self._bar = self._open(total)
        self._bar.update(done - self._bar.n)

    def _open(self, total: int) -> tqdm[Any]:
        from tqdm import tqdm

        return tqdm(total=total, desc=self._title, unit="pass", disable=not sys.stderr.isatty(), leave=False)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar = None
