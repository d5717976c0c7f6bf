"""What a PyTorch module returns: every tensor of it, and the scores among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from ..errors import Unmet
from ..outputs import PREFIX, Output
from ._outputs import flattened, scores_path
from ._torch_detections import as_scores, class_count, is_detections


class Outputs:
    """Reads what a module returned, always in the same way: found out by what it returned for one picture.

    `asked` is the path of the scores, where somebody said it; `classes` the names of the classes.
    """

    def __init__(self, module: nn.Module, asked: str | None, classes: Sequence[str] | None) -> None:
        self._module, self._asked, self._classes = module, asked, classes
        self._owner = type(module).__name__

    def scores(self, returned: Any) -> Tensor:
        """The tensor of scores, (n, classes) or (n, classes, …). Raises Unmet, UnknownName."""
        tree = self._tree(returned)
        within = tree if _detected(tree) else returned
        return self.rows(tree[scores_path(within, _is_tensor, self._asked, self._owner)])

    def rows(self, scores: Tensor) -> Tensor:
        """Scores with a row for each picture, one number a picture as one class. Raises Unmet."""
        if scores.ndim == 0:
            raise Unmet(f"{self._owner} returns one number for a whole batch, not one a picture")
        return _rows(scores)

    def raw(self, returned: Any) -> list[Tensor]:
        """The very tensors of scores that were returned: one, of detections each picture's, or none."""
        if is_detections(returned):
            return [one["scores"] for one in returned]
        try:
            path = scores_path(returned, _is_tensor, self._asked, self._owner)
        except Exception:  # what is wrong with it is said when the scores are asked for
            return []
        return [flattened(returned, _is_tensor)[path]]

    def watched(self, returned: Any, names: Sequence[str], count: int) -> dict[str, Tensor]:
        """Of all tensors those of these names (`output:aux`), (count, …). Raises Unmet where one is missing."""
        if not names:
            return {}
        tree = {PREFIX + path: _rows(t) for path, t in self._tree(returned).items() if t.ndim}
        for name in names:
            if name not in tree or len(tree[name]) != count:
                raise Unmet(f"{self._owner} did not return {name.removeprefix(PREFIX)} for this picture")
        return {name: tree[name] for name in names}

    def described(self, returned: Any) -> tuple[Output, ...]:
        """The tensors that one picture made, those with a row for it."""
        tree = self._tree(returned)
        means = _MEANS if _detected(tree) else {}
        chosen = scores_path(tree if means else returned, _is_tensor, self._asked, self._owner)
        found = []
        for path, tensor in tree.items():
            shape = _rows(tensor).shape if tensor.ndim else ()
            if shape and shape[0] == 1 and (tensor.is_floating_point() or path == chosen):
                last = (*shape[2:], shape[1])
                found.append(Output(path, tuple(map(int, last)), path == chosen, means.get(path, "")))
        return tuple(found)

    def _tree(self, returned: Any) -> dict[str, Tensor]:
        if is_detections(returned):
            return as_scores(returned, class_count(self._module, self._classes))
        return flattened(returned, _is_tensor)


_MEANS = {
    "scores": "the best detection's score for each class, 0 where there is none",
    "detections": "the score of each detection, 0 where there are fewer",
}


def shares(scores: Tensor, activation: str | None) -> dict[str, str]:
    """What to say of scores that are probabilities already, by a softmax that is out of reach."""
    rows = scores.detach().float()
    if activation is not None or rows.ndim < 2 or rows.shape[1] < 2 or not torch.isfinite(rows).all():
        return {}
    if rows.min() < 0 or rows.max() > 1 or not torch.allclose(rows.sum(1), rows.new_ones(1), atol=1e-3):
        return {}
    return {"scores": "scores are probabilities: the softmax inside its forward cannot be undone"}


def _detected(tree: Mapping[str, Any]) -> bool:
    return tree.keys() == _MEANS.keys()


def _is_tensor(value: Any) -> TypeGuard[Tensor]:
    return isinstance(value, torch.Tensor)


def _rows(tensor: Tensor) -> Tensor:
    """One number a picture is one class."""
    return tensor if tensor.ndim > 1 else tensor[:, None]
