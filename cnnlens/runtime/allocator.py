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
_CHOSEN = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_")


@dataclass(frozen=True)
class _Ways:
    """How many bytes may lie free at the end of the heap (-1: any), and how many blocks may be mapped one by one."""

    free: int
    mapped: int


_WHILE_WORKING = _Ways(-1, 0)
_AT_REST = _Ways(64 * _MIB, 65536)  # what glibc's own come to in a process that once freed a large block
_OURS_AT_REST = _Ways(256 * _MIB, 0)


def keep() -> None:
    """For a process of our own, to its end: up to 256 MiB of what is freed is kept."""
    global _rest
    _rest = _OURS_AT_REST
    _kept.at_rest(lambda: _go(_rest))


def kept() -> AbstractContextManager[None]:
    """While work of many passes runs: all that is freed is kept, and handed back at the end."""
    return _kept.held()


def hand_back() -> bool:
    """Hand what lies free back to the system, now; False where nobody can be asked to."""
    libc = _libc()
    if libc is not None:
        libc.malloc_trim(0)
    return libc is not None


def _go(ways: _Ways) -> None:
    if glibc := _glibc():
        glibc.go(ways)


def _come_to_rest() -> None:
    _go(_rest)
    if glibc := _glibc():
        glibc.trim(0 if _rest is _AT_REST else _rest.free)


_rest = _AT_REST
_kept = Shared(lambda: _go(_WHILE_WORKING), _come_to_rest)


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
    """None elsewhere, where somebody chose already, or where memory is limited: what is kept would count."""
    libc = _libc()
    if libc is None or any(name in os.environ for name in _CHOSEN):
        return None
    if "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "") or _is_limited():
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
    import resource  # on Linux only

    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY
