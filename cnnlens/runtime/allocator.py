"""What a pass frees stays with the process for the next one, instead of going back to the system.

A batch's activations are blocks of tens of megabytes. glibc's malloc hands each of them back when it is freed, and
the system clears each page anew when the next batch takes it: of a SmoothGrad of MobileNetV2 that was a third.
Elsewhere than on glibc nothing is done.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from .shared import Shared

_MIB = 2**20
_TRIM, _MMAP_FROM, _MMAPS = -1, -3, -4  # the numbers of malloc.h
#: Who set any of these has chosen for this process.
_CHOSEN = (
    "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_ARENA_MAX",
)  # fmt: skip


@dataclass(frozen=True)
class _Ways:
    """How many bytes may lie free at the end of the heap (-1: any), and how many blocks may be mapped one by one."""

    free: int
    mapped: int


_WHILE_WORKING = _Ways(-1, 0)
_AT_REST = _Ways(64 * _MIB, 65536)  # what glibc's own come to in a process that once freed a large block
_OURS_AT_REST = _Ways(256 * _MIB, 0)


def keep() -> None:
    """For a process of our own, to its end: what is freed is kept, and all but 256 MiB handed back at each `rest`."""
    global _rest
    if not _is_limited():
        _rest = _OURS_AT_REST
        _kept.at_rest(lambda: _go(_rest))


def rest() -> None:
    """Nothing is asked for just now: hand back what is too much, unless work is under way, whose end will."""
    _kept.at_rest(_come_to_rest)


def kept() -> AbstractContextManager[None]:
    """While work of many passes runs: all that is freed is kept, and handed back at the end.

    glibc does not say what it was told before: from then on it is told what it comes to by itself.
    """
    return _kept.held()


def hand_back() -> bool:
    """Hand what lies free back to the system, now; False where nobody can be asked to."""
    libc = _libc()
    if libc is not None:
        libc.malloc_trim(0)
    return libc is not None


def _go(ways: _Ways) -> None:
    global _now
    if glibc := _glibc():
        glibc.go(ways)
        _now = ways


def _begin() -> None:
    if not _is_limited():
        _go(_WHILE_WORKING)


def _come_to_rest() -> None:
    if _now is not None and (glibc := _glibc()):
        if _now is not _rest:
            _go(_rest)
        glibc.trim(0 if _rest is _AT_REST else _rest.free)


_rest = _AT_REST
_now: _Ways | None = None  # as glibc was last told; None before that
_kept = Shared(_begin, _come_to_rest)
if sys.platform != "win32":
    os.register_at_fork(after_in_child=_kept.forget)


@dataclass(frozen=True)
class _Glibc:
    """The two functions of malloc.h that are needed."""

    set: Callable[[int, int], int]
    trim: Callable[[int], int]

    def go(self, ways: _Ways) -> None:
        """From now on in these ways. Setting one ends glibc's own tuning of it, so all are set."""
        self.set(_MMAPS, ways.mapped)
        self.set(_MMAP_FROM, 32 * _MIB)
        self.set(_TRIM, ways.free)


@functools.cache
def _glibc() -> _Glibc | None:
    """None elsewhere, and where somebody chose already."""
    libc = _libc()
    if libc is None or any(name in os.environ for name in _CHOSEN):
        return None
    if "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return None
    return _Glibc(libc.mallopt, libc.malloc_trim)


@functools.cache
def _libc() -> ctypes.CDLL | None:
    """glibc; None where the system has another."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") else None


def _is_limited() -> bool:
    """Whether this process may take so much and no more: what is kept would count."""
    if _glibc() is None:
        return False
    import resource  # not there on Windows

    limits = (resource.getrlimit(one)[0] for one in (resource.RLIMIT_AS, resource.RLIMIT_DATA))
    return any(limit != resource.RLIM_INFINITY for limit in limits)
