"""Output: one array of all that a model returns, and the name under which it is read."""

from __future__ import annotations

from dataclasses import dataclass

#: What the names of outputs begin with where layers are named: `output:aux` is what the model returned as `aux`.
PREFIX = "output:"


@dataclass(frozen=True)
class Output:
    """One array that a model returns: where it stands, its shape for one picture, what it is.

    `path` is written as in Python without the quotes: `logits`, `[0]`, `heads.age`; a model that returns one
    array has `output`. `shape` is channels last, without the batch. `is_scores` marks what is taken as the
    scores; those are read before a softmax or sigmoid that ends the model, the output itself after it.
    """

    path: str
    shape: tuple[int, ...]
    is_scores: bool = False
    means: str = ""

    @property
    def name(self) -> str:
        """The name by which it is watched, as a layer is."""
        return PREFIX + self.path


def is_output(name: str) -> bool:
    """Whether a name that stands where layers are named is that of an output."""
    return name.startswith(PREFIX)
