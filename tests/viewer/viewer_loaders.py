"""Models that come in another process, and those that do not."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import time
from pathlib import Path

import cnnlens
from cnnlens.errors import CannotOpen
from cnnlens.runtime import allocator
from cnnlens.testing import tiny_model, tiny_torch
from cnnlens.viewer import Loader


def refuses(words: str) -> cnnlens.Model:
    """A file that cannot be opened, in these words."""
    raise CannotOpen(words)


class Flag:
    """Something that one process does and another waits for: a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def set(self) -> None:
        """It is done."""
        self._path.touch()

    def is_set(self) -> bool:
        """Whether it was done."""
        return self._path.exists()

    def wait(self, seconds: float = 30) -> bool:
        """Wait for it; whether it came."""
        end = time.monotonic() + seconds
        while not self.is_set() and time.monotonic() < end:
            time.sleep(0.01)
        return self.is_set()


class Slow:
    """A model that comes, or fails to, when it is told."""

    def __init__(self, folder: Path, error: Exception | None = None) -> None:
        self.go, self.begun, self.done = (Flag(folder / name) for name in ("go", "begun", "done"))
        self.loader = Loader("slow <b>.pt", functools.partial(comes_when_told, folder, error), 12_300_000)


def settled() -> cnnlens.Model:
    """The NumPy network, where the process keeps its memory for passes to come."""
    if allocator._glibc() is not None and allocator._rest is not allocator._OURS_AT_REST:
        raise CannotOpen("this process was not settled")
    return tiny_model()


def comes_when_told(folder: Path, error: Exception | None = None) -> cnnlens.Model:
    """The NumPy network, or the error, as soon as there is a file `go`."""
    Flag(folder / "begun").set()
    assert Flag(folder / "go").wait()
    Flag(folder / "done").set()
    if error:
        raise error
    return tiny_model()


def in_torch() -> cnnlens.Model:
    """The small network in PyTorch."""
    tiny = tiny_model()
    return cnnlens.wrap(tiny_torch(), preprocess=tiny.input, labels=tiny.classes, name="tiny")


def dies() -> cnnlens.Model:
    """A file whose opening takes all memory."""
    os.kill(os.getpid(), signal.SIGKILL)
    return tiny_model()


def dies_later(folder: Path) -> cnnlens.Model:
    """The NumPy network, as long as there is no file `die`."""
    return dies() if (folder / "die").exists() else tiny_model()


def babbles() -> cnnlens.Model:
    """A file whose code says something of its own on the wire, wherever that is."""
    for handle in range(3, 32):
        with contextlib.suppress(OSError):
            os.write(handle, b"cos\nsystem\n(S'echo owned'\ntR." * 10)
    time.sleep(30)
    return tiny_model()


def leaves() -> cnnlens.Model:
    """A file whose code ends the process, politely."""
    raise SystemExit(3)
