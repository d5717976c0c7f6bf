"""What was typed after a command, made into what it stands for, or refused before anything runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError

if TYPE_CHECKING:
    from ..model import Model


def open_model(path: str, opening: Mapping[str, Any]) -> Model:
    """The model that the common options describe."""
    from ..opening import load
    from ..runtime import settle

    settle()
    given = dict(opening)
    arguments = key_values(given.pop("arch_arg"))
    return load(path, arch_args={k: _value(v) for k, v in arguments.items()}, **given)


def key_values(pairs: tuple[str, ...]) -> dict[str, str]:
    """`("a=1", "b=x")` → a dict; UsageError for what has no `=`."""
    found: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"{pair!r} is not KEY=VALUE")
        found[key.strip()] = value.strip()
    return found


def _value(text: str) -> Any:
    """An argument of an architecture: JSON where it is JSON (numbers, true, lists), else text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def bytes_in(place: Path) -> int | None:
    """How large a file is, or all files of a folder; None where there is neither."""
    files = [place, *place.rglob("*")] if place.is_dir() else [place]
    return sum(file.stat().st_size for file in files if file.is_file()) or None


def check_out(out: Path, several: bool) -> None:
    """Refuse a place that cannot be written to before anything runs."""
    from ..files import check_place
    from ..result import SUFFIXES

    if str(out) in ("", ".", "-"):
        raise UsageError("name a file or a folder after -o")
    if out.is_dir():
        return
    if out.suffix and out.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"cannot write {out.name}: the suffix is one of {' '.join(SUFFIXES)}, or name a folder"
        )
    if not out.suffix and out.exists():
        raise UsageError(
            f"{out} is a file without a suffix: name a folder, or a file with {' '.join(SUFFIXES)}"
        )
    if out.suffix:
        check_place(out)
        if several and out.suffix.lower() != ".html":
            raise UsageError(f"several results do not fit into {out.name}: name a folder or an .html file")
