"""What every visualiser of one value begins with: the map with the place on it, and what that sees of the picture."""

from __future__ import annotations

from cnnlens import Array, Heatmap, Link, Outline, Picture, Probe, Tape, receptive_fields

from .window import Place


def outline_of(place: Place, words: str = "") -> Outline:
    """One place of a map."""
    return Outline((place[0], place[1], place[0] + 1, place[1] + 1), words)


def map_of(one: Array, layer: str, unit: int, place: Place, visualiser: str) -> Heatmap:
    """The map that the value is of; a click takes another of its values apart."""
    return Heatmap(
        one,
        signed=bool((one < 0).any()),
        title=f"{layer}[{unit}]",
        unit="activation",
        outlines=[outline_of(place, "the value taken apart")],
        opens=Link(visualiser, {"layer": layer, "unit": unit}, "this value", place="place"),
    )


def channels_of(probe: Probe) -> tuple[str, ...]:
    """What the channels that the network is fed are called, in its own order."""
    count = probe.pixels.shape[-1]
    names = ("red", "green", "blue") if count == 3 else tuple(map(str, range(count)))
    return names[::-1] if count == 3 and probe.model.input.order == "BGR" else names


def photograph(probe: Probe, tape: Tape, layer: str, place: Place) -> tuple[Picture, ...]:
    """The picture with what the place sees of it outlined; nothing where that is not known."""
    field = receptive_fields(probe.model, tape).get(layer)
    if field is None:
        return ()
    height, width = field.size
    box = field.box(*place, clip=False)
    beyond = min(box[:2]) < 0 or box[2] > probe.pixels.shape[0] or box[3] > probe.pixels.shape[1]
    words = f"what the value sees of the picture: {height} × {width} pixels" + ", padding included" * beyond
    opens = Link("pixels", {}, "these pixels", place="place")
    return (Picture(probe.colours, words, [Outline(box, words)], opens),)
