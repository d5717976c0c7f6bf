"""What a file must pass before anything loads it; nothing of it is run, and little of it is read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from .dense import check_pickled
from .floors import check_floor
from .formats import Format
from .keras_content import check_config, check_widths, read_keras_h5, read_keras_zip
from .safetensors_header import read_header
from .torch_content import read_torch_legacy, read_torch_zip


def check_before_loading(path: Path, kind: Format, *, trust: bool = False, own_code: bool = False) -> None:
    """Refused or CannotOpen where the file is broken, a bomb, or holds code.

    `trust` lets code pass, for that is what it says; broken files and bombs it does not. `own_code` says that
    the person named the code of a Keras file's classes, which leaves it to Keras to refuse the others.
    """
    check_floor(kind.framework)
    check = _CHECKS.get((kind.framework, kind.variant))
    if check is not None and not (trust and kind.framework == "torch"):
        check(path, trust or own_code)


def _torch_zip(path: Path, _: bool) -> None:
    check_pickled(read_torch_zip(path).pickle, path.name, _allowed_by_user())


def _torch_legacy(path: Path, _: bool) -> None:
    check_pickled(read_torch_legacy(path).pickle, path.name, _allowed_by_user())


def _safetensors(path: Path, _: bool) -> None:
    read_header(path)


def _keras_zip(path: Path, code_is_known: bool) -> None:
    content = read_keras_zip(path)
    check_widths(content, path.name)
    if not code_is_known:
        check_config(content.config, path.name)


def _keras_h5(path: Path, code_is_known: bool) -> None:
    content = read_keras_h5(path)
    check_widths(content, path.name)
    if not code_is_known and content.config is not None:
        check_config(content.config, path.name)


def _allowed_by_user() -> list[str]:
    """What a person's own Python code told PyTorch to let pass; no file can say so."""
    torch = sys.modules.get("torch")
    if torch is None:
        return []
    safe = torch.serialization.get_safe_globals()
    return [one[1] if isinstance(one, tuple) else f"{one.__module__}.{one.__qualname__}" for one in safe]


_CHECKS: dict[tuple[str, str], Callable[[Path, bool], None]] = {
    ("torch", "zip"): _torch_zip,
    ("torch", "legacy"): _torch_legacy,
    ("torch", "safetensors"): _safetensors,
    ("keras", "zip"): _keras_zip,
    ("keras", "h5"): _keras_h5,
}
