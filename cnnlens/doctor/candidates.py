"""The preprocessings that a model may plausibly have been trained with, its own among them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..preprocess import PRESETS, InputSpec, Resize, read_preprocess

#: What of an InputSpec says how numbers are changed; the rest says how a picture is fitted.
VALUES = ("mean", "std", "range", "order")
#: Two preprocessings that differ by less of their own range are one for all purposes: −1..1 and tflite do.
SAME = 0.01


@dataclass(frozen=True)
class Candidate:
    """A preprocessing to be tried, and whether it is the one that the model was opened with."""

    name: str
    spec: InputSpec
    opened: bool = False


def by_values(spec: InputSpec) -> list[Candidate]:
    """Every plausible range, mean and colour order, fitted as `spec` says; `spec` itself is one of them."""
    rows = [(name, dataclasses.replace(spec, **changes)) for name, changes in _rows(spec)]
    found = [Candidate(name, one, distance(one, spec) < 1e-6) for name, one in rows]
    if not any(candidate.opened for candidate in found):
        found.insert(0, Candidate("as opened", spec, True))
    return found


def _rows(spec: InputSpec) -> list[tuple[str, dict[str, Any]]]:
    names = ["imagenet", "caffe", "-1..1", "tflite", "unit", "raw"]
    if spec.channels == 3:
        names += ["cifar"] if max(spec.height, spec.width) <= 64 else []
        rows = [(name, _values(name, spec)) for name in names]
        return rows + [_turned(name, values) for name, values in rows if name not in ("tflite", "cifar")]
    if spec.channels == 1:
        rows = [(name, _values(name, spec)) for name in ("unit", "raw", "-1..1", "mnist", "imagenet")]
        inverted = [(f"{name}, inverted", _inverted(values)) for name, values in rows[:3]]
        return rows + inverted
    rows = [(name, _values(name, spec)) for name in ("unit", "raw", "-1..1", "tflite")]
    sixteen = {**_values("raw", spec), "range": (0.0, 65535.0)}
    centred = {**_values("unit", spec), "mean": (0.5,)}
    return [*rows, ("raw of 16 bits", sixteen), ("-0.5..0.5", centred)]


def _values(preset: str, spec: InputSpec) -> dict[str, Any]:
    read = read_preprocess(PRESETS[preset], spec.height, spec.width, spec.channels)
    return {"source": f"preset {preset}", **{key: getattr(read, key) for key in VALUES}}


def _turned(name: str, values: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    order = "RGB" if values["order"] == "BGR" else "BGR"
    return f"{name} {order}", {**values, "order": order, "source": f"{name} {order}"}


def _inverted(values: dict[str, Any]) -> dict[str, Any]:
    low, high = values["range"]
    return {**values, "range": (high, low), "source": "inverted"}


def by_fit(best: Candidate) -> list[Candidate]:
    """The other ways to fit a picture, with the values of `best`."""
    rules: list[tuple[str, dict[str, Any]]] = [
        ("crop", {"resize": "crop", "crop_share": 1.0}),
        ("crop of 0.875", {"resize": "crop", "crop_share": 0.875}),
        ("squash", {"resize": "squash", "crop_share": 1.0}),
        ("pad", {"resize": "pad", "crop_share": 1.0}),
    ]
    specs = [(name, dataclasses.replace(best.spec, **changes)) for name, changes in rules]
    return [Candidate(f"{best.name}, {name}", spec) for name, spec in specs if spec != best.spec]


def uncut(candidates: list[Candidate]) -> list[Candidate]:
    """The same values with the whole of each picture: squashed, or padded where it was squashed before."""
    found = []
    for candidate in candidates:
        rule: Resize = "pad" if candidate.spec.resize == "squash" else "squash"
        spec = dataclasses.replace(candidate.spec, resize=rule, crop_share=1.0)
        found.append(Candidate(f"{candidate.name}, {rule}", spec))
    return found


def at_size(candidates: list[Candidate], height: int, width: int) -> list[Candidate]:
    """The same values at another size of input."""
    return [
        Candidate(f"{c.name} at {height}×{width}", dataclasses.replace(c.spec, height=height, width=width))
        for c in candidates
    ]


def distance(one: InputSpec, other: InputSpec) -> float:
    """How far apart what two specifications feed can be, as a share of the range that the first feeds."""
    if one.channels != other.channels:
        return float("inf")
    ends = [np.zeros(one.channels), np.ones(one.channels), *np.eye(one.channels)]
    corners = np.asarray(ends, np.float32)[:, None]
    first, second = one.encode(corners), other.encode(corners)
    return float(np.abs(first - second).max() / max(float(np.ptp(first)), 1e-12))


def preset_of(spec: InputSpec) -> str | None:
    """The preset that says exactly this, the size apart."""
    for name in PRESETS:
        read = read_preprocess(name, spec.height, spec.width, spec.channels)
        if dataclasses.replace(read, source=spec.source) == spec:
            return name
    return None


def given(spec: InputSpec) -> dict[str, Any]:
    """The specification as the shortest mapping that `--preprocess` reads back as it."""
    plain = InputSpec(spec.height, spec.width, spec.channels)
    changed = {
        f.name: getattr(spec, f.name)
        for f in dataclasses.fields(spec)
        if f.name not in ("height", "width", "source") and getattr(spec, f.name) != getattr(plain, f.name)
    }
    return {"size": (spec.height, spec.width), **changed}
