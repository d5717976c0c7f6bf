"""What is asked for, in words and numbers → targets, one for each picture, and what each is called."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from cnnlens import Model, Target, errors

MOST = 64  #: pictures at once
FIRST = "first"  #: four of them, or as many as there are
_SPAN = re.compile(r"(\d+)\s*[-:–]\s*(\d+)")


def channels_asked(units: str, layer: str, count: int) -> list[int]:
    """`first`, `5`, `0,5,7` or `0-5` → channel numbers in the order asked, each once; BadSetting for others."""
    if _are_first(units):
        return _first(count)
    found: dict[int, None] = {}
    for part in (part.strip() for part in units.split(",")):
        span = _SPAN.fullmatch(part)
        if not span and not part.isdecimal():
            raise errors.BadSetting(
                f"maximise: setting 'units' should be numbers, as in 5 or 0,5,7 or 0-5, got {units!r}"
            )
        first, last = (int(span[1]), int(span[2])) if span else (int(part), int(part))
        if last < first:
            raise errors.BadSetting(
                f"maximise: setting 'units' should count upwards, as in 0-5, got {part!r}"
            )
        if last >= count:
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
        raise errors.BadSetting(
            f"maximise: setting 'place': {place!r} is not on a map of {layer}, {shape} places"
        )
    return found


@dataclass(frozen=True)
class Asked:
    """A target for each picture, its number (of the map, or the class) and its name."""

    numbers: list[int]
    targets: list[Target]
    names: list[str]
    of: str


def asked_for(model: Model, what: str, layer: str, units: str, place: str) -> Asked:
    """What settings ask for; BadSetting, UnknownName or BadInput where that is nothing."""
    if what == "class":
        return _classes(model, units)
    *sides, count = model.layer(layer).shape
    numbers = channels_asked(units, layer, count)
    if what == "channel":
        texts, of = [f"{layer}[{n}]" for n in numbers], f"{layer}: channels (mean of the map)"
    else:
        at = place_asked(place, layer, tuple(sides))
        texts = [f"{layer}[{','.join(map(str, (n, *at)))}]" for n in numbers]
        of = f"{layer}: units at {', '.join(map(str, at))}"
    return Asked(numbers, [model.target(text) for text in texts], [str(n) for n in numbers], of)


def _classes(model: Model, units: str) -> Asked:
    """Classes by number, span or name; a name may hold commas."""
    if reason := model.why_no("classes"):
        raise errors.Unmet(f"maximise: {model.name} has no classes to ask for: {reason}")
    found: dict[int, str] = {}
    for text in _texts(units, model):
        target = model.target(text)
        if target.index is None or target.index >= model.outputs[-1]:
            raise errors.BadSetting(
                f"maximise: setting 'units' should be classes by number or name, got {text!r}; "
                f"{model.name} has {model.outputs[-1]} classes"
            )
        found[target.index] = model.class_name(target.index)
    _held_to_most(found)
    return Asked(
        list(found), [Target.of_class(index) for index in found], list(found.values()), "classes (score)"
    )


def _texts(units: str, model: Model) -> Iterator[str]:
    """Each class that is asked for: the whole, where a class is called that, else what stands between commas."""
    if units.strip().lower() in (name.lower() for name in model.classes or ()):
        yield units
        return
    if _are_first(units):
        yield from map(str, _first(model.outputs[-1]))
        return
    for part in (part.strip() for part in units.split(",")):
        span = _SPAN.fullmatch(part)
        if span is None:
            yield part
        else:
            last = min(int(span[2]), int(span[1]) + MOST)  # one more than may be, and it is refused
            yield from (str(n) for n in range(int(span[1]), last + 1))


def _are_first(units: str) -> bool:
    return units.strip().lower() == FIRST


def _first(count: int) -> list[int]:
    return list(range(min(4, count)))


def _held_to_most(found: Collection[int]) -> None:
    if len(found) > MOST:
        raise errors.BadSetting(f"maximise: setting 'units' should name at most {MOST}")
