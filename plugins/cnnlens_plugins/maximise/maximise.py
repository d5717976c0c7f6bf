"""Maximise: which picture does a channel, a unit or a class answer most to?  Olah, Mordvintsev & Schubert, 2017."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal

import numpy as np

from cnnlens import Approximate, Cost, Curve, Field, Impossible, MapsLayer, Model, Note, Target, Tiles, errors, visualiser

from .asked import targets_of
from .canvas import Canvas
from .climbing import Climbed, Way, climbed

Progress = Callable[[int, int], None]
ENOUGH = 64  #: steps, from which on a picture has taken shape


def judge(model: Model, settings: Mapping[str, Any]) -> Iterator[Approximate | Impossible]:
    """A climb needs gradients at the picture, and steps."""
    if reason := model.unreached("input"):
        yield Impossible(f"Maximise needs gradients at the picture: {reason}")
    if settings["steps"] < ENOUGH:
        yield Approximate(f"{settings['steps']} steps are too few for a picture to take shape: {ENOUGH} or more do")


def cost(model: Model, settings: Mapping[str, Any]) -> Cost:
    """A pass forwards and backwards a step and picture, and one before and after."""
    try:
        count = len(_targets(model, settings)[0])
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
    layer: Annotated[MapsLayer, Field(description="the layer whose maps are asked; a class needs none")] = "last",
    units: Annotated[
        str, Field(coerce_numbers_to_str=True, description="which maps: 5, or 0,5,7, or 0-5; classes also by name")
    ] = "0-3",
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
        float, Field(ge=0, le=3, description="how far it is shifted, scaled and turned before each step; 0 is not")
    ] = 1.0,
    rate: Annotated[float, Field(gt=0, le=1, description="how far a step goes")] = 0.05,
    seed: Annotated[int, Field(ge=0, le=2**32 - 1, description="for the noise it begins with, and for shaking")] = 0,
) -> tuple[Tiles | Curve | Note, ...]:
    """The picture that a map, one unit of it, or a class answers most to, climbed from noise along the gradient.

    """
    sized, canvas_size, told = _sized(model, size)
    numbers, targets, names = _targets(sized, {"what": what, "layer": layer, "units": units, "place": place})
    canvas = Canvas(*canvas_size, model.input.channels)
    way = Way(canvas, (sized.input.height, sized.input.width))
    slopes, at_once = sized.slopes(targets), sized.batch_for(gradients=True)
    found = []
    for start in range(0, len(targets), at_once):
        some = slice(start, min(start + at_once, len(targets)))
        rng = np.random.default_rng((seed, 2**32))
        done, total = steps * start, steps * len(targets)
        step = (some.stop - some.start) 
        def tick(n: int) -> None:
            if progress is not None:
                progress(done + step * n, total)
        spectra = canvas.noise(seed, numbers[some])
        found.append(climbed(lambda x: slopes(x, some), way, spectra, steps, rate, shake, rng, tick))
    joined = Climbed(*(np.concatenate([getattr(f, name) for f in found], axis) for name, axis in (("pictures", 0), ("start", 0), ("end", 0), ("values", 1))))
    return panels(joined, names, targets)
