"""Activations without copies: views of memory that a pass made, where nobody else holds it or has written to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..arrays import Array

#: Numbers up to which a copy is cheaper than to watch over what is not copied.
_SMALL = 4096
#: What hands out an array's memory so that writing to it is not counted.
_PAST_COUNTING = ("data", "numpy", "__array__", "data_ptr", "storage", "untyped_storage", "__dlpack__")
_use_count: Callable[[int], int] | None = getattr(torch._C, "_storage_Use_Count", None)


def _counted(tensor: Tensor) -> int:
    return _use_count(tensor.untyped_storage()._cdata) if _use_count is not None else 0


def _counted_besides() -> int | None:
    """What is counted besides tensors; None where the count is not what it is taken for: torch promises none."""
    one = torch.zeros(1)
    besides = _counted(one) - 1
    other = one.detach()
    known = besides in (0, 1) and _counted(one) == _counted(other) == besides + 2
    del other
    return besides if known and _counted(one) == besides + 1 else None


_BESIDES = _counted_besides()


def holders(tensor: Tensor) -> int:
    """How many tensors there are over this memory; 0 where this torch does not tell."""
    return 0 if _BESIDES is None else _counted(tensor) - _BESIDES


class Views:
    """Outputs of calls, kept as they are. After the pass it is seen which of them can be handed out as views.

    torch counts how often memory was written to, through whichever tensor, and how many tensors hold it.
    """

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Tensor, int]] = {}

    def keep(self, name: str, out: Tensor, is_written: bool) -> bool:
        """Keep an output, or a copy where it `is_written` to later; False where it cannot be handed out as it is.

        That is what is small, is not float32 on the CPU, or lies in memory of others, or in far more than it fills.
        """
        plain = type(out) is Tensor and out.dtype == torch.float32 and out.layout == torch.strided
        count = out.numel()
        if not plain or count <= _SMALL or out.device.type != "cpu" or out.is_inference():
            return False
        storage = out.untyped_storage()
        if not storage.resizable() or storage.nbytes() > 8 * count:
            return False
        kept = out.clone() if is_written else out.detach()
        self._kept[name] = kept, kept._version
        return True

    def written(self) -> set[str]:
        """Those whose memory was written to after they were kept."""
        return {name for name, (tensor, version) in self._kept.items() if tensor._version != version}

    def arrays(
        self, copy: Callable[[Tensor, str], Array], view: Callable[[Tensor, str], Array]
    ) -> dict[str, Array]:
        """Each as a view; copied where a weight, a buffer, a cache or anything else of the model's holds it too.

        Views of one memory, of a block and of the last layer within it, say, can be read only.
        """
        memory = {name: tensor.untyped_storage()._cdata for name, (tensor, _) in self._kept.items()}
        own = Counter(memory.values())
        # counted before any array is made, for each is one more that holds its memory
        shared = {name for name, (tensor, _) in self._kept.items() if holders(tensor) != own[memory[name]]}
        found = {}
        for name, (tensor, _) in self._kept.items():
            found[name] = copy(tensor, name) if name in shared else view(tensor, name)
            if name not in shared and own[memory[name]] > 1:
                found[name].flags.writeable = False
        return found


def hands_memory_out(function: Any, args: tuple[Any, ...]) -> bool:
    """Whether a function lets its caller write into an activation without torch's knowing, as `.data` does."""
    name = getattr(function, "__name__", "")
    if name == "__get__":
        name = getattr(getattr(function, "__self__", None), "__name__", "")
    return name in _PAST_COUNTING and bool(args) and not isinstance(args[0], nn.Parameter)
