"""The steps of a pass from the picture to its scores, run over other values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import torch
from torch import Tensor

from ...errors import Unmet
from ...tape import leading_to
from .._torch_recorder import Recorder
from .folding import fold
from .steps import Step, step_of


class Program:
    """Steps in order. Place 0 is what is fed, `end` the scores; `layers` says where layers hand on theirs."""

    def __init__(self, steps: Sequence[Step], end: int, layers: Mapping[str, int]) -> None:
        self.steps, self.end, self.layers = list(steps), end, dict(layers)

    def folded(self) -> Program:
        """The same with its batch norms folded; values of layers and scores are not touched.

        Weights are made anew for it, so whatever can be let go of before should be: the recorder, say.
        """
        return Program(fold(self.steps, {self.end, *self.layers.values()}), self.end, self.layers)

    def needed(self, given: Collection[int], goals: Iterable[int]) -> list[Step]:
        """The steps from `given` to `goals`, in order; what does not hang on any of the given is left out."""
        wanted, chosen = set(goals), []
        for step in reversed(self.steps):
            if step.place in wanted and step.place not in given:
                wanted.update(step.reads.values())
                chosen.append(step)
        moved = set(given)
        for step in chosen[::-1]:
            if not moved.isdisjoint(step.reads.values()):
                moved.add(step.place)
        return [step for step in chosen[::-1] if step.place in moved]

    def run(
        self,
        given: Mapping[int, Tensor],
        goals: Collection[int],
        *,
        leaves: Collection[int] = (),
        base: Mapping[int, Tensor] | None = None,
    ) -> dict[int, Tensor]:
        """The values at `goals`, from those `given`, (n, …) each; others are let go of as soon as they are read.

        At `leaves` gradients begin, unless they have begun before. `base` holds one picture's values, for
        what does not hang on what is given.
        """
        count, goals = len(next(iter(given.values()))), frozenset(goals)
        steps = self.needed(given, goals)
        last = {place: i for i, step in enumerate(steps) for place in step.reads.values()}
        values = {place: _begun(value) if place in leaves else value for place, value in given.items()}
        for i, step in enumerate(steps):
            read = [values[p] if p in values else _repeated(base, p, count) for p in step.reads.values()]
            out = step.run(read, keeping=not goals.isdisjoint(step.reads.values()))
            del read
            values[step.place] = _begun(out) if step.place in leaves else out
            for place in set(step.reads.values()):
                if last[place] == i and place not in goals:
                    values.pop(place, None)
        return {place: values[place] if place in values else _repeated(base, place, count) for place in goals}


def _begun(value: Tensor) -> Tensor:
    return value if value.requires_grad else value.detach().requires_grad_()


def _repeated(base: Mapping[int, Tensor] | None, place: int, count: int) -> Tensor:
    assert base is not None, "what is not given has to be known"
    value = base[place]
    return value.expand(count, *value.shape[1:])


def program_of(
    recorder: Recorder,
    end: Tensor,
    layers: Mapping[str, int],
    keep: Collection[str],
    through: Collection[str] = (),
) -> Program:
    """The program of a recorded pass, as it was recorded; `layers` are cut to those to `keep`.

    Layers named in `through` hand on what was made before them, and cannot be kept apart from that. Raises
    Unmet where the pass cannot be run again, with the reason.
    """
    last = recorder.place_of(end)
    if last is None:
        raise Unmet("its scores were made outside of torch's functions")
    if recorder.decided:
        raise Unmet(f"its way hangs on the picture: {recorder.decided}")
    if lost := [name for name in keep if name not in layers or name in through]:
        raise Unmet(f"{lost[0]} hands on what others may read too, or nothing that is recorded")
    goals, records = {last, *(layers[name] for name in keep)}, recorder.records
    places = leading_to(goals, lambda place: records[place].reads.values())
    steps = [step_of(records[place], place) for place in places if place]
    return Program(steps, last, {name: layers[name] for name in keep})


def base_of(program: Program, fed: Tensor) -> dict[int, Tensor]:
    """Every value of the pass over one picture."""
    with torch.no_grad():
        return program.run({0: fed}, {0, *(step.place for step in program.steps)})
