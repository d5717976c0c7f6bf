"""The road between layers: which call made a value, what became of it, and where a click on its inputs leads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cnnlens import Array, Call, Link, Tape, errors

from .window import Place, Window

#: Calls that hand on every place of every channel under its number.
KEEPING = ("batch-norm", "normalisation", "activation", "scale", "identity")


def call_of(tape: Tape, layer: str, *kinds: str) -> Call:
    """The call of one of these kinds that made what a layer handed on, place by place. Unmet where there is none."""
    if layer not in tape.layers:  # as Keras's last layer, whose softmax the scores are without
        own = [one for one in tape.calls if one.info.name == layer and one.info.kind in kinds]
        if len(own) == 1:
            return own[0]
        raise errors.Unmet(
            f"layer {layer!r} does not lie between the picture and the scores, and nothing is recorded of it"
        )
    call = tape.calls[tape.layers[layer]]
    while call.info.kind not in kinds:
        if call.info.kind not in KEEPING or len(call.info.inputs) != 1:
            raise errors.Unmet(
                f"{layer} is made by {call.info.name} ({call.info.kind}), not by one {' or '.join(kinds)}"
            )
        call = tape.calls[call.info.inputs[0]]
    return call


def behind(tape: Tape, call: Call) -> list[Call]:
    """What becomes of a call's values place by place, up to the activation: what nobody else reads on the way."""
    found: list[Call] = []
    while call.info.kind != "activation":
        readers = [one for one in tape.calls[call.info.index + 1 :] if call.info.index in one.info.inputs]
        if len(readers) != 1 or readers[0].info.kind not in KEEPING or len(readers[0].info.inputs) != 1:
            break
        call = readers[0]
        found.append(call)
    return found if found and found[-1].info.kind == "activation" else []


def name_of(tape: Tape, place: int) -> str | None:
    """The layer that handed on what stands at a place of the tape."""
    return next((name for name, where in tape.layers.items() if where == place), None)


def maker_of(tape: Tape, place: int) -> Call:
    """The call that made a value, behind what hands values on one by one."""
    call = tape.calls[place]
    while call.info.kind in KEEPING and len(call.info.inputs) == 1:
        call = tape.calls[call.info.inputs[0]]
    return call


#: Calls that add a border to maps, or cut one off.
BORDERS = ("pad", "zeropadding2d", "cropping2d")

#: Which visualiser takes apart what a kind of call made.
APART = {"convolution": "convolution", "transposed-convolution": "convolution", "pooling": "pooling"}


def link_to(tape: Tape, layer: str, unit: int) -> Link | None:
    """Where a click on a layer's map leads: to what made that value, by a convolution or a pooling."""
    made = maker_of(tape, tape.layers[layer]) if layer in tape.layers else None
    apart = APART.get(made.info.kind) if made is not None else None
    if made is None or apart is None:
        return None
    name = name_of(tape, made.info.index) or layer
    return Link(apart, {"layer": name, "unit": unit}, "what made this value", place="place")


def link_into(tape: Tape, place: int, window: Window) -> Link | None:
    """Where a click on a window leads: to what made that value of the map that stands at a place of the tape."""
    place, window = _through_borders(tape, place, window)
    made = maker_of(tape, place)
    visualiser = "pixels" if made.info.kind == "input" else APART.get(made.info.kind, "unit")

    def leading(to: str, settings: dict[str, str | int | float | bool], words: str, tile: str) -> Link:
        return Link(to, settings, words, "place", tile, window.start, window.step, window.shape)

    if visualiser == "pixels":
        return leading("pixels", {}, "its pixels", "")
    layer = name_of(tape, place if visualiser == "unit" else made.info.index) or name_of(tape, place)
    if layer is None:
        return None
    if visualiser == "unit":
        return Link("unit", {"layer": layer}, f"the map of {layer}", tile="unit")
    return leading(visualiser, {"layer": layer}, f"what made it in {layer}", "unit")


def _through_borders(tape: Tape, place: int, window: Window) -> tuple[int, Window]:
    """The window in the map below a border that was added or cut: its own derivative tells by how much they differ."""
    while True:
        call = maker_of(tape, place)
        if call.info.kind != "reshape" or call.info.function not in BORDERS or len(call.info.inputs) != 1:
            return place, window
        middle = [side // 2 for side in call.info.shape[:2]]
        at = np.zeros_like(call.output)
        at[0, middle[0], middle[1]] = 1
        reached = np.argwhere(call.pull(at)[0][0].any(-1))
        if not len(reached):
            return place, window
        place = call.info.inputs[0]
        start = tuple(int(s + r - m) for s, r, m in zip(window.start, reached[0], middle, strict=True))
        below = tape.calls[place].info.shape
        window = replace(window, start=(start[0], start[1]), shape=(below[0], below[1]))


def chosen_unit(unit: int, count: int, layer: str, owner: str, maps: str = "maps") -> None:
    """Refuse a unit that a layer of so many has not."""
    if unit >= count:
        raise errors.BadSetting(
            f"{owner}: setting 'unit' should be from 0 to {count - 1}, got {unit}: {layer} has {count} {maps}"
        )


def chosen_place(text: str, one: Array, owner: str) -> Place:
    """ "strongest", or "row,column", of a map (h, w)."""
    if text == "strongest":
        finite = np.where(np.isfinite(one), one, -np.inf)
        flat = int(finite.argmax())
        return flat // one.shape[1], flat % one.shape[1]
    try:
        row, column = (int(part) for part in text.split(","))
    except ValueError:
        raise errors.BadSetting(
            f"{owner}: setting 'place' should be strongest or ROW,COLUMN, got {text!r}"
        ) from None
    if not (0 <= row < one.shape[0] and 0 <= column < one.shape[1]):
        raise errors.BadSetting(
            f"{owner}: setting 'place' should lie on the map, rows 0 to {one.shape[0] - 1} and columns 0 to "
            f"{one.shape[1] - 1}, got {text!r}"
        )
    return row, column
