"""Where a walk begins: the places on a tape that a target reads, and what stands there."""

from __future__ import annotations

from cnnlens import Array, Note, Probe, Tape, errors


def cotangents(probe: Probe, tape: Tape) -> dict[int, Array]:
    """The target's derivative by the output of each call that it reads, by the call's place."""
    missing = [name for name in probe.target.layers if name not in tape.layers]
    if missing:
        raise errors.Unmet(f"no tape holds {missing[0]}: it does not lie between the picture and the scores")
    seen = {name: tape.calls[tape.layers[name]].output for name in probe.target.layers}
    pulls = probe.target.cotangents(tape.scores, seen)
    last = len(tape.calls) - 1
    return {last if name == "scores" else tape.layers[name]: values for name, values in pulls.items()}


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
