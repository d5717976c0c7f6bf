"""What a file must pass before anything loads it; nothing of it is run, and little of it is read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from .dense import check_pickled
from .floors import check_floor
from .formats import Format
from .keras_content import KerasContent, check_widths, read_keras_h5, read_keras_zip
from .safetensors_header import read_header
from .torch_content import TorchContent, read_torch_legacy, read_torch_zip


def check_before_loading(path: Path, kind: Format, *, trust: bool = False, arch: bool = False) -> None:
    """Refused or CannotOpen where the file is broken, a bomb, or holds code.

    `trust` lets code pass, for that is what it says; `arch` says that a Keras file's own configuration is not
    read. What that configuration names is left to Keras's loader, which knows what a person has named.
    """
    check_floor(kind.framework)
    if kind.variant == "safetensors":
        read_header(path)
    elif kind.framework == "torch" and kind.variant in _TORCH and not trust:
        check_pickled(_TORCH[kind.variant](path).pickle, path.name, _allowed_by_user())
    elif kind.framework == "keras":
        content = _KERAS[kind.variant](path)
        if not arch:
            check_widths(content, path.name)


def _allowed_by_user() -> list[str]:
    """What a person's own Python code told PyTorch to let pass; no file can say so."""
    torch = sys.modules.get("torch")
    if torch is None:
        return []
    safe = torch.serialization.get_safe_globals()
    return [one[1] if isinstance(one, tuple) else f"{one.__module__}.{one.__qualname__}" for one in safe]


_TORCH: dict[str, Callable[[Path], TorchContent]] = {"zip": read_torch_zip, "legacy": read_torch_legacy}
_KERAS: dict[str, Callable[[Path], KerasContent]] = {"zip": read_keras_zip, "h5": read_keras_h5}
