"""Files: written whole or not at all, named plainly, and JSON that every reader takes."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import Array
from .errors import UsageError


def check_place(path: Path) -> None:
    """UsageError where a file cannot be written there, as far as that can be known before."""
    if len(os.fsencode(path.name)) > 255:
        raise UsageError(f"the name {path.name[:40]}… is longer than a file name may be")
    if not path.parent.is_dir():
        raise UsageError(f"no folder {path.parent} to write {path.name} into")
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} is not a file that could be written anew")


def write_whole(path: Path, write: Callable[[Any], object]) -> None:
    """Write a file by way of a temporary one beside it, so that it is whole or not there.

    A link is followed. UsageError says why a place cannot be written to.
    """
    path = path.resolve()
    check_place(path)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    except OSError as error:
        raise UsageError(f"cannot write into {path.parent}: {error.strerror}") from error
    try:
        with os.fdopen(handle, "wb") as out:
            write(out)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def file_names(several: Iterable[Mapping[str, Any]]) -> list[str]:
    """File names from results' facts: picture, visualiser and target; none comes twice."""
    seen: dict[str, int] = {}
    names = []
    for facts in several:
        picture = Path(str(facts.get("image", facts["model"]))).stem
        parts = [picture, facts["visualiser"], facts.get("target_name")]
        name = "-".join(_plain(str(part))[:80] for part in parts if part)
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return names


def json_text(values: Any, indent: int | None = None) -> str:
    """JSON as the standard has it: NaN and infinities are null."""
    return json.dumps(_told(values), ensure_ascii=False, default=str, allow_nan=False, indent=indent)


def listed(values: Array) -> Any:
    """Nested lists; NaN and infinities, which JSON has not, as None."""
    rows = values.astype(object)
    rows[~np.isfinite(values)] = None
    return rows.tolist()


def _plain(text: str) -> str:
    """Letters, digits, dots and dashes; a run of anything else is one underscore."""
    kept = "".join(c if c.isalnum() or c in ".-_" else " " for c in text)
    return "_".join(kept.split()) or "_"


def _told(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _told(one) for key, one in value.items()}
    return [_told(one) for one in value] if isinstance(value, (list, tuple)) else value
