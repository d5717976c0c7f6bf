"""The process that cnnlens runs in: memory that is kept while it works, NumPy's threads out of the way.

In a user's own process both end with the work; a process of ours is settled for life.
"""

from . import allocator, blas
from .allocator import hand_back, kept, rest
from .blas import one_thread

__all__ = ["hand_back", "kept", "one_thread", "rest", "settle"]


def settle() -> None:
    """For a process of our own, to its end: it keeps part of what it frees, and NumPy has one thread there."""
    allocator.keep()
    blas.limit()
