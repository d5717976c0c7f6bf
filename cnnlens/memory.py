"""How many bytes there are, what a pass takes of them, and how many pictures at once fit.

What a pass takes is measured, not summed up from shapes: the sum of all outputs is three times what a forward
pass of EfficientNet-Lite0 holds at its height, and well below what the first picture costs a ResNet-18, whose
convolutions lay their weights out anew. Shapes only say when a budget is so large that measuring is not worth a pass.
"""

from __future__ import annotations

import gc
import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import BadInput
from .layer import Layer
from .runtime import hand_back

_UNITS = {
    "": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
    "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40,
}  # fmt: skip
_TEXT = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?I?)B?", re.IGNORECASE)
#: Sums of shapes are off by up to this factor; a budget beyond it needs no measuring.
_SHAPES_ARE_OFF_BY = 8
_UNTOLD = 4 * 10**9  #: taken to be free where the system does not tell
MOST = 8  #: pictures per pass at most: from 5 to 10 take the same time on a CPU, more are slower


@dataclass(frozen=True)
class Appetite:
    """Bytes that a pass over one picture takes at its height, and those for each picture more."""

    first: int
    more: int

    def batch(self, budget: int, most: int = MOST) -> int:
        """How many pictures at once, `most` at most, stay within `budget`; 0 where one does not."""
        if self.first > budget:
            return 0
        return int(min(most, 1 + (budget - self.first) // max(1, self.more)))


def read_memory(asked: str | int) -> int:
    """`500MB`, `1.5 GB`, `2GiB`, `400000000` → bytes; BadInput for anything else."""
    found = _TEXT.fullmatch(str(asked).strip())
    number = float(found[1]) * _UNITS.get(found[2].upper(), 0) if found else 0
    if isinstance(asked, bool) or not 1 <= number < 2**63:
        raise BadInput(f"memory is a number of bytes like 500MB, 1.5GB, 2GiB or 400000000, not {asked!r}")
    return int(number)


def in_words(count: int) -> str:
    """Bytes as people read them: 1.5GB, 320MB; never less than there are."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            tenths = -(-count * 10 // size)
            return (
                f"{-(-tenths // 10)}{unit}" if tenths >= 100 or tenths % 10 == 0 else f"{tenths / 10}{unit}"
            )
    return f"{count} bytes"


def free_memory() -> int:
    """Bytes that this process could still take without driving others out."""
    return min(_available(), *_left_to_groups(Path("/sys/fs/cgroup")))


#: Of a container: what it may take, what it takes, and what of that are files which the system lets go of.
_GROUPS = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
)


def _left_to_groups(root: Path) -> Iterator[int]:
    """What the limits of control groups, of either version, leave; nothing where there is no limit."""
    for limit, usage, files in _GROUPS:
        told, stat = root / limit, (root / limit).with_name("memory.stat")
        if told.is_file() and (allowed := told.read_text().strip()).isdigit():
            cached = (
                re.search(rf"^{files} (\d+)$", stat.read_text(), re.MULTILINE) if stat.is_file() else None
            )
            taken = int((root / usage).read_text()) - (int(cached[1]) if cached else 0)
            yield max(0, int(allowed) - taken)


def _available() -> int:
    told = Path("/proc/meminfo")
    if told.is_file() and (line := re.search(r"^MemAvailable:\s*(\d+) kB", told.read_text(), re.MULTILINE)):
        return int(line[1]) * 1024
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2  # macOS tells only what there is
    return _UNTOLD


def peak_of(run: Callable[[], object]) -> int | None:
    """Bytes by which this process grew at most while `run` ran; None where the system does not tell.

    What was freed before is handed back first, so that it is counted again when it is taken again.
    """
    high_water = Path("/proc/self/clear_refs")
    gc.collect()
    if not hand_back():
        return None
    try:
        high_water.write_text("5")
        before = _resident("VmRSS")
    except OSError:  # a sandbox that forbids it
        return None
    run()
    after = _resident("VmHWM")
    return None if before is None or after is None else after - before


def _resident(what: str) -> int | None:
    found = re.search(rf"^{what}:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def measured(
    run: Callable[[int], object], peak: Callable[[Callable[[], object]], int | None], budget: int
) -> Appetite | None:
    """What `run(pictures)` takes, by one picture and by up to four if `budget` may hold so many; None if untold.

    Each is run once before: then compiled code, packed weights and the like are there already. A pass so small
    that it fits into what was at hand counts as untold.
    """

    def height(pictures: int) -> int | None:
        run(pictures)
        return peak(lambda: run(pictures))

    one = height(1)
    several = min(4, budget // one) if one else 0
    if not one or several < 2:
        return Appetite(one, one) if one else None
    more = height(several)
    return Appetite(one, max((more - one) // (several - 1), one // 8)) if more else None


def from_shapes(layers: Sequence[Layer], picture: int, gradients: bool) -> Appetite:
    """An estimate from what layers hand on, all of it kept for gradients; `picture` is the bytes of one.

    Where no layer is known, a network is taken to hold 64 times its picture.
    """
    outputs = [4 * math.prod(layer.shape) for layer in layers if layer.shape and layer.kind != "block"]
    held = sum(outputs) if gradients else 5 * max(outputs, default=0)
    one = held + 4 * picture if held else 64 * picture
    return Appetite(one, one)


def is_ample(layers: Sequence[Layer], picture: int, budget: int, most: int = MOST) -> bool:
    """Whether a batch of `most` fits by far, as shapes tell."""
    known = any(layer.shape for layer in layers)
    return known and from_shapes(layers, picture, True).first * most * _SHAPES_ARE_OFF_BY <= budget
