"""A visualiser of a model alone may be handed the progress, and nothing else before the star."""

from __future__ import annotations

from typing import Any

import pytest

from cnnlens import Model, Note, Probe, look, sheet, visualiser
from cnnlens.errors import BadSetting
from cnnlens.probe import Progress
from cnnlens.testing import picture, tiny_model


@visualiser(title="Counts")
def counts(model: Model, progress: Progress | None = None, *, steps: int = 3) -> Note:
    """Counts to its setting."""
    for step in range(steps):
        if progress is not None:
            progress(step + 1, steps)
    return Note(f"{steps} of {model.name}")


def test_progress_is_handed_on_by_look_and_sheet() -> None:
    seen: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        seen.append((done, total))

    model = tiny_model()
    assert counts.counts and not counts.reads_image
    look(model, None, counts, steps=2, progress=progress)
    assert seen == [(1, 2), (2, 2)]
    seen.clear()
    sheet(model, picture(model), [counts], progress=progress)
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert look(model, None, counts).facts["settings"] == {"steps": 3}
    assert counts(model).text == "3 of tiny"


def without_default(model: Model, progress: Progress | None) -> Note:
    """No default."""
    return Note("")


def of_another_kind(model: Model, more: int = 3) -> Note:
    """A setting before the star."""
    return Note("")


def of_a_probe(probe: Probe, progress: Progress | None = None) -> Note:
    """A probe has its own."""
    return Note("")


def one_too_many(model: Model, progress: Progress | None = None, more: int = 3) -> Note:
    """Two."""
    return Note("")


@pytest.mark.parametrize("function", [without_default, of_another_kind, of_a_probe, one_too_many])
def test_anything_else_before_the_star_is_refused(function: Any) -> None:
    with pytest.raises(BadSetting, match=r"before the star stands|counts progress itself"):
        visualiser(title="No")(function)
