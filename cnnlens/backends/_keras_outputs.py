"""What a Keras model returns, symbolic or real: every tensor of it, and the scores among them."""

from __future__ import annotations

from typing import Any

from ..errors import Unmet
from ..outputs import PREFIX
from ._outputs import flattened, scores_path


class Returned:
    """One structure of tensors that a model returned; `scores` is the path of those taken as the scores."""

    def __init__(self, output: Any, asked: str | None, owner: str) -> None:
        self.tensors: dict[str, Any] = flattened(output, is_tensor)
        self.scores = scores_path(output, is_tensor, asked, owner)
        self._owner = owner

    @property
    def named(self) -> dict[str, Any]:
        """The tensors by the names under which they are watched: `output:aux`."""
        return {PREFIX + path: tensor for path, tensor in self.tensors.items()}

    def at(self, name: str) -> Any:
        """The tensor of that name. Raises Unmet where it was not returned this time."""
        if name not in self.named:
            raise Unmet(f"{self._owner} did not return {name.removeprefix(PREFIX)} for this picture")
        return self.named[name]


def is_tensor(value: Any) -> bool:
    """Whether this is a tensor of any engine, or a symbolic one."""
    return hasattr(value, "shape") and hasattr(value, "dtype")
