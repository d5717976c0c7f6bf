"""Maximise: which picture does a channel, a unit or a class answer most to?  Olah, Mordvintsev & Schubert, 2017."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal

import numpy as np

from cnnlens import (
    Approximate,
    Array,
    Cost,
    Curve,
    Field,
    Impossible,
    MapsLayer,
    Model,
    Note,
    Table,
    Tiles,
    errors,
    visualiser,
)

from .asked import asked_for
from .canvas import Canvas, Numbers
from .climbing import Way, climbed, joined
from .showing import shown

Progress = Callable[[int, int], None]
ENOUGH = 64  #: steps, from which on a picture has taken shape


def judge(model: Model, settings: Mapping[str, Any]) -> Iterator[Approximate | Impossible]:
    """A climb needs gradients at the picture, and steps."""
    if reason := model.unreached("input"):
        yield Impossible(f"Maximise needs gradients at the picture: {reason}")
    if settings["steps"] < ENOUGH:
        yield Approximate(
            f"{settings['steps']} steps are too few for a picture to take shape: {ENOUGH} or more do"
        )


def cost(model: Model, settings: Mapping[str, Any]) -> Cost:
    """A pass forwards and backwards a step and picture, and one before and after."""
    try:
        asked = asked_for(model, *(settings[name] for name in ("what", "layer", "units", "place")))
        count = len(asked.targets)
    except errors.UsageError:  # told where it is run
        count = 1
    return Cost(count * (settings["steps"] + 2), count * settings["steps"])


@visualiser(
    title="Maximise",
    family="features",
    needs={"activations", "gradients"},
    paper="Olah, Mordvintsev & Schubert, 2017",
    link="https://distill.pub/2017/feature-visualization",
    cost=cost,
    judge=judge,
)
def maximise(
    model: Model,
    progress: Progress | None = None,
    *,
    layer: Annotated[
        MapsLayer, Field(description="the layer whose maps are asked; not read for a class")
    ] = "last",
    units: Annotated[
        str,
        Field(
            coerce_numbers_to_str=True,
            description="which maps: 5, or 0,5,7, or 0-5, or the first four; classes also by name",
        ),
    ] = "first",
    what: Annotated[
        Literal["channel", "unit", "class"],
        Field(description="the mean of a map, one place of it, or the score of a class"),
    ] = "channel",
    place: Annotated[str, Field(description="which place of the map a unit is: middle, or y,x")] = "middle",
    steps: Annotated[int, Field(ge=1, le=4096, description="steps of the climb, a pass each")] = 256,
    size: Annotated[
        int | None, Field(ge=16, le=1024, description="rows of the picture; left out, the model's own")
    ] = None,
    shake: Annotated[
        float,
        Field(ge=0, le=3, description="how far it is shifted, scaled and turned before each step; 0 is not"),
    ] = 1.5,
    rate: Annotated[float, Field(gt=0, le=1, description="how far a step goes")] = 0.05,
    seed: Annotated[
        int, Field(ge=0, le=2**32 - 1, description="for the noise it begins with, and for shaking")
    ] = 0,
) -> tuple[Tiles | Table | Curve | Note, ...]:
    """The picture that a map, one unit of it, or a class answers most to, climbed from noise along the gradient.

    No photograph is asked: it is what the network would like best, drawn from nothing. The picture is made of waves, in
    colours that do not go together in photographs, so that each step moves all of it. Before each step it is shifted,
    scaled and turned a little, so that what is answered to only at this very place is not found; with `shake` at 0
    values are higher and pictures mostly noise. Values are those of the pictures as they are shown, beside those of the
    noise that they began with. Another seed gives another picture: where several differ, all of them are answers.

    A network that takes pictures of any size is run at `size`, and time goes with its square; one that takes its own
    alone is shown the picture enlarged.
    """
    sized, canvas, enlarged = _ways(model, size)
    asked = asked_for(sized, what, layer, units, place)
    slopes, at_once, rounds = sized.slopes(asked.targets), sized.batch_for(gradients=True), []
    way, total = Way(canvas, (sized.input.height, sized.input.width)), steps * len(asked.targets)
    for start in range(0, len(asked.targets), at_once):
        some = slice(start, min(start + at_once, len(asked.targets)))

        def tick(step: int, some: slice = some) -> None:
            if progress is not None:
                progress(steps * some.start + step * (some.stop - some.start), total)

        def slope(pictures: Array, some: slice = some) -> tuple[Array, Array]:
            return slopes(pictures, some)

        def noise(strength: float, again: int, some: slice = some) -> Numbers:
            return canvas.noise(seed, asked.numbers[some], strength, again)

        shaking = np.random.default_rng((seed, 1))  # alike in each round: who is asked beside does not matter
        rounds.append(climbed(slope, way, noise, steps, rate, shake, shaking, tick))
    return shown(joined(rounds), asked, enlarged)


def _ways(model: Model, size: int | None) -> tuple[Model, Canvas, str]:
    """The model at the size, or its own; the canvas; and a sentence where the one is enlarged to the other."""
    spec = model.input
    height, width = spec.height, spec.width
    if size is not None:
        height, width = size, max(1, round(size * spec.width / spec.height))
    canvas = Canvas(height, width, spec.channels)
    try:
        return model.sized(height, width), canvas, ""
    except (errors.BadInput, errors.Unmet) as error:
        if height > spec.height:
            raise errors.BadSetting(
                f"maximise: setting 'size' should be at most {spec.height}: {model.name} "
                f"takes no larger picture ({error})"
            ) from error
        told = (
            f"{model.name} takes no picture of {height}×{width} ({error}): it was shown these enlarged to "
            f"{spec.height}×{spec.width}."
        )
        return model, canvas, told
