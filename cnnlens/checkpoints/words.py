"""What a stranger's file says, made fit for a terminal: short, and without signs that steer it."""

from __future__ import annotations

import math
from typing import Any

from .notes import Global, Kept, Made, mapping

_LONGEST = 200


def shown(text: str, longest: int = _LONGEST) -> str:
    """A text with what does not print spelt out, and cut where it is long."""
    printable = "".join(
        s if s.isprintable() else s.encode("unicode_escape").decode() for s in text[: longest + 1]
    )
    return printable[:longest] + " …" if len(printable) > longest else printable


def brief(value: Any, depth: int = 0) -> Any:
    """A value of a pickle or a configuration in few words; numbers, truths and None stay what they are."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)  # JSON has no word for the others
    if isinstance(value, Global):
        return shown(str(value))
    if isinstance(value, int):
        return value if value.bit_length() < 64 else f"an integer of {value.bit_length()} bits"
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    pairs = mapping(value)
    if pairs is not None:
        if depth or len(pairs) > 12:
            return f"a mapping of {len(pairs)}"
        return {shown(str(brief(key, 2))): brief(inner, depth + 1) for key, inner in pairs}
    if isinstance(value, (list, tuple)):
        return (
            f"a {type(value).__name__} of {len(value)}"
            if len(value) > 6 or depth
            else [brief(v, 1) for v in value]
        )
    if isinstance(value, Made):
        return shown(f"a {value.function}") if isinstance(value.function, Global) else "a call"
    return "a storage" if isinstance(value, Kept) else f"a {type(value).__name__}"
