"""What is said of a walk by where it begins."""

from __future__ import annotations

from cnnlens import Note, Probe


def bending(probe: Probe) -> tuple[Note, ...]:
    """A note where the target is a probability or a likeness: rules share what is linear."""
    if probe.target.is_linear:
        return ()
    return (
        Note(
            f"{probe.target.text} is no sum of scores: what is shared is its slope at this picture, and the "
            "shares need not add up to it; a score or a difference of scores does"
        ),
    )
