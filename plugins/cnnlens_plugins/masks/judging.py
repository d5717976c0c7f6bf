"""What stands against a picture made by hiding parts: too few samples, too small a picture."""

from __future__ import annotations

from collections.abc import Iterator

from cnnlens import Approximate, Model


def too_few(samples: int, unknowns: int, what: str) -> Iterator[Approximate]:
    """Whether there are fewer samples than twice the numbers that are to be found from them."""
    if samples < 2 * unknowns:
        yield Approximate(f"{samples} samples for {unknowns} {what}: at least {2 * unknowns} tell them apart")


def too_small(model: Model, parts: int) -> Iterator[Approximate]:
    """Whether the parts that are hidden are single pixels."""
    pixels = model.input.height * model.input.width
    if parts >= pixels:
        yield Approximate(f"a picture of {pixels} pixels has no {parts} regions: each is a pixel")
