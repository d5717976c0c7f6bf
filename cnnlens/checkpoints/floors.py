"""The oldest framework versions whose readers are safe enough to be handed a stranger's file."""

from __future__ import annotations

import re
from importlib import metadata

from ..errors import Refused

#: As in pyproject.toml, which only those meet who install our extras. Older ones run code, or write past
#: their memory, on files that say they are only weights: CVE-2025-32434 and CVE-2026-24747 of PyTorch,
#: CVE-2025-9905 and CVE-2026-1462 of Keras among others.
FLOORS = {"torch": "2.10", "keras": "3.15.1"}


def check_floor(package: str) -> None:
    """Refused where an installed framework is too old to be trusted with a file; fine where it is missing."""
    floor = FLOORS.get(package)
    if floor is None:
        return
    try:
        installed = metadata.version(package)
    except metadata.PackageNotFoundError:
        return
    if numbers(installed) < numbers(floor):
        raise Refused(
            f"{package} {installed} is known to run code from files of weights, or to write past its memory: "
            f"pip install -U '{package}>={floor}'"
        )


def numbers(version: str) -> tuple[int, ...]:
    """`2.15.0+cu132` → (2, 15, 0)."""
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:3])
