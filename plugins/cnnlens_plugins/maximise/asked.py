"""What is asked for, in words and numbers → targets, one for each picture, and what each is called."""

from __future__ import annotations

import re

from cnnlens import Model, Target, errors

MOST = 64  #: pictures at once
_SPAN = re.compile(r"(\d+)\s*[-:–]\s*(\d+)")


def channels_asked(units: str, layer: str, count: int) -> list[int]:
    """`5`, `0,5,7` or `0-5` → channel numbers in the order asked, each once; BadSetting for others."""
    found: dict[int, None] = {}
    for part in (part.strip() for part in units.split(",")):
        span = _SPAN.fullmatch(part)
        if not span and not part.isdecimal():
            raise errors.BadSetting(
                f"maximise: setting 'units' should be numbers, as in 5 or 0,5,7 or 0-5, got {units!r}"
            )
        first, last = (int(span[1]), int(span[2])) if span else (int(part), int(part))
        if last < first or last >= count:
            raise errors.BadSetting(
                f"maximise: setting 'units' should be from 0 to {count - 1}, got {part!r}: {layer} has {count} maps"
            )
        found |= dict.fromkeys(range(first, last + 1))
        _held_to_most(found)
    return list(found)


def place_asked(place: str, layer: str, sides: tuple[int, ...]) -> tuple[int, ...]:
    """`middle` or `3,4` → a place of a map of those sides; BadSetting for others."""
    if place.strip().lower() == "middle":
        return tuple(side // 2 for side in sides)
    parts = [part.strip() for part in place.split(",")]
    if len(parts) != len(sides) or not all(part.isdecimal() for part in parts):
        wanted = ", ".join("yx"[-len(sides) :]) if len(sides) < 3 else f"{len(sides)} numbers"
        raise errors.BadSetting(f"maximise: setting 'place' should be 'middle' or {wanted}, got {place!r}")
    found = tuple(map(int, parts))
    if any(at >= side for at, side in zip(found, sides, strict=True)):
        shape = "×".join(map(str, sides))
        raise errors.BadSetting(f"maximise: setting 'place': {place!r} is not on a map of {layer}, {shape} places")
    return found


def targets_of(model: Model, what: str, layer: str, units: str, place: str) -> tuple[list[int], list[Target], list[str]]:
    """The numbers of what is asked for, a target for each, and their names."""
    if what == "class":
        return _classes(model, units)
    *sides, count = model.layer(layer).shape
    numbers = channels_asked(units, layer, count)
    if what == "channel":
        texts = [f"{layer}[{n}]" for n in numbers]
    else:
        at = ",".join(map(str, place_asked(place, layer, tuple(sides))))
        texts = [f"{layer}[{at},{n}]" for n in numbers]
    return numbers, [model.target(text) for text in texts], [str(n) for n in numbers]


def _classes(model: Model, units: str) -> tuple[list[int], list[Target], list[str]]:
    """Classes by number, span or name; a name may hold commas."""
    asked: dict[int, Target] = {}
    try:
        parts = [units] if not _SPAN.fullmatch(units.strip()) else []
        targets = [model.target(part) for part in parts]
    except errors.CnnlensError:
        targets = []
    if not targets:
        for part in (part.strip() for part in units.split(",")):
            span = _SPAN.fullmatch(part)
            texts = [part] if not span else [str(n) for n in range(int(span[1]), min(int(span[2]), int(span[1]) + MOST) + 1)]
            targets += [model.target(text) for text in texts]
    for target in targets:
        if target.index is None:
            raise errors.BadSetting(f"maximise: setting 'units': {target.text!r} is no class by number or name")
        asked[target.index] = target
    _held_to_most(asked)
    return list(asked), list(asked.values()), [model.class_name(index) for index in asked]


def _held_to_most(found: dict[int, object] | dict[int, None] | dict[int, Target]) -> None:
    if len(found) > MOST:
        raise errors.BadSetting(f"maximise: setting 'units' should name at most {MOST}")
