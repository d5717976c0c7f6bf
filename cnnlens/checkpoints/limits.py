"""How much a file may declare beyond what it stores: asked before anything is allocated."""

from __future__ import annotations

from ..errors import Refused

MEBI = 1 << 20

#: Weights hardly compress, so an honest file declares about what it stores. Twenty times leaves room for a
#: pruned network in a compressed file; what lies beyond is a bomb.
TIMES = 20
GRACE = 64 * MEBI
#: No convolutional network comes near: the largest published ones weigh about 10 GB.
MOST = 64 << 30

#: One description (a pickle, a JSON text) within a file. A thousand tensors take 0.1 MiB.
MOST_TEXT = 64 * MEBI


def check_declared(name: str, declared: int, stored: int, what: str = "") -> None:
    """Refuse a file that says it holds far more than there is of it."""
    allowed = min(stored * TIMES + GRACE, MOST)
    if declared > allowed:
        raise Refused(
            f"{name} is {size(stored)} and declares {size(declared)}{what}: opening it would ask for memory "
            f"that an honest file of its size has no use for (at most {size(allowed)})"
        )


def size(count: int) -> str:
    """A number of bytes for people."""
    value = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.3g} PiB"
