"""Occlusion: how far does the score fall when a square of the picture is hidden?  Zeiler & Fergus, 2013."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np

from cnnlens import Cost, Field, Heatmap, Model, Picture, Probe, errors, visualiser

from .covers import Fill, Of, cover_of, shown

Box = tuple[int, int, int, int]


def cost(model: Model, settings: Mapping[str, Any]) -> Cost:
    """One forward pass a square, and one for the picture as it is."""
    height, width = model.input.height, model.input.width
    return Cost(1 + len(squares(height, width, settings["window"], settings["stride"])))


@visualiser(
    title="Occlusion",
    family="perturbation",
    paper="Zeiler & Fergus, 2013",
    link="https://arxiv.org/abs/1311.2901",
    cost=cost,
)
def occlusion(
    probe: Probe,
    *,
    window: Annotated[
        float,
        Field(
            gt=0, le=4096, description="side of the hidden square: pixels, or below 1 a share of the picture"
        ),
    ] = 0.15,
    stride: Annotated[
        float,
        Field(gt=0, le=4096, description="step between squares: pixels, or below 1 a share of the picture"),
    ] = 0.075,
    fill: Annotated[
        Fill, Field(description="what hides: a colour, the picture's mean, or the picture blurred")
    ] = "mean",
    of: Annotated[Of, Field(description="whose fall is measured")] = "score",
) -> tuple[Heatmap, Picture]:
    """Hide each square in turn; where the score falls furthest, the network looked.

    A place's value is the mean fall over the squares that hid it. Positive: hiding it lowers the score, so
    it speaks for the class; negative: it speaks against. The second panel hides the square that matters
    most.
    """
    height, width = probe.pixels.shape[:2]
    boxes = squares(height, width, window, stride)
    cover = cover_of(probe.pixels, fill)
    as_is = probe.value(probability=of == "probability")
    falls = as_is - probe.hide(boxes, cover, probability=of == "probability")
    total, count = np.zeros((2, height, width))
    for (y0, x0, y1, x1), fall in zip(boxes, falls, strict=True):
        total[y0:y1, x0:x1] += fall
        count[y0:y1, x0:x1] += 1
    heatmap = Heatmap(
        np.divide(total, count, out=np.zeros_like(total), where=count > 0),
        signed=True,
        title=f"fall of the {of}",
        unit=of if of == "probability" else probe.target.unit,
        means=f"hiding this lowers the {of}",
    )
    y0, x0, y1, x1 = boxes[int(falls.argmax())]
    example = np.array(probe.pixels)
    example[y0:y1, x0:x1] = cover[y0:y1, x0:x1]
    side, step = pixels_of(window, min(height, width)), pixels_of(stride, min(height, width))
    title = f"{len(boxes)} squares of {side} pixels, {step} apart; this one costs most: {falls.max():+.3g}"
    return heatmap, Picture(shown(example), title=title)


def pixels_of(size: float, side: int) -> int:
    """A size in pixels, or below 1 as a share of the side, as whole pixels within the side."""
    return max(1, min(side, round(size * side if size < 1 else size)))


def squares(height: int, width: int, window: float, stride: float) -> list[Box]:
    """The squares (y0, x0, y1, x1) that cover the picture, those at the far edges cut off by it."""
    side, step = pixels_of(window, min(height, width)), pixels_of(stride, min(height, width))
    if step > side:
        raise errors.BadSetting(
            f"occlusion: a stride of {step} pixels and a window of {side} leave places that are never hidden; "
            "make the stride at most the window"
        )
    rows, columns = (range(0, max(1, length - side + step), step) for length in (height, width))
    return [(y, x, min(y + side, height), min(x + side, width)) for y in rows for x in columns]
