"""Inspection: what `inspect` found, as values, as JSON and as lines of text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .limits import size


@dataclass(frozen=True)
class TensorFact:
    """A tensor of the file: what it is called, its shape and dtype as the file names them, and its bytes."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    bytes: int

    @property
    def count(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Inspection:
    """What a checkpoint holds, found without running any of it.

    `tensors` are the weights; `other_tensors` counts those elsewhere in the file, an optimiser's for one.
    `would_run` names what loading would run or import, `problems` what keeps it from being loaded even so.
    """

    name: str
    bytes: int
    sha256: str
    format: str
    framework: str
    versions: Mapping[str, str] = field(default_factory=dict)
    tensors: tuple[TensorFact, ...] = ()
    other_tensors: int = 0
    other_bytes: int = 0
    metadata: Mapping[str, Any] = field(default_factory=dict)
    wrapper: str | None = None
    prefixes: tuple[str, ...] = ()
    architecture: str = ""
    classes: int | None = None
    would_run: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def parameters(self) -> int:
        """How many numbers the weights are."""
        return sum(tensor.count for tensor in self.tensors)

    @property
    def tensor_bytes(self) -> int:
        """How many bytes the weights take."""
        return sum(tensor.bytes for tensor in self.tensors)

    def facts(self) -> dict[str, Any]:
        """All of it as plain values for JSON."""
        plain = {key: value for key, value in vars(self).items() if key != "tensors"}
        tensors = [{**vars(tensor), "shape": list(tensor.shape)} for tensor in self.tensors]
        totals = {"tensors": len(tensors), "parameters": self.parameters, "tensor_bytes": self.tensor_bytes}
        lists = {key: list(plain[key]) for key in ("prefixes", "would_run", "problems")}
        return {**plain, **lists, "totals": totals, "tensors": tensors}

    def lines(self, *, every: bool = False) -> Iterator[str]:
        """All of it for people; of many tensors the first and the last, unless `every` one is wanted."""
        versions = "".join(f", {key} {value}" for key, value in self.versions.items())
        yield f"{self.name}: {self.format}{versions}, {size(self.bytes)}"
        yield f"SHA-256       {self.sha256}"
        yield (
            f"weights       {len(self.tensors):,} tensors, {self.parameters:,} numbers, "
            + size(self.tensor_bytes)
            + (f", found under {self.wrapper!r}" if self.wrapper else "")
            + (f", prefix {', '.join(map(repr, self.prefixes))}" if self.prefixes else "")
        )
        if self.other_tensors:
            yield f"also          {self.other_tensors:,} other tensors, {size(self.other_bytes)}"
        yield f"architecture  {self.architecture}"
        yield f"classes       {'not told by the last dense kernel' if self.classes is None else self.classes}"
        more = f" and {len(self.would_run) - 8} more" if len(self.would_run) > 8 else ""
        yield f"would run     {', '.join(self.would_run[:8]) or 'nothing'}{more}"
        for problem in self.problems:
            yield f"not loaded    {problem}"
        for key, value in self.metadata.items():
            yield f"metadata      {key}: {value}"
        yield from self._tensor_lines(every)

    def _tensor_lines(self, every: bool) -> Iterator[str]:
        told = self.tensors if every or len(self.tensors) <= 40 else (*self.tensors[:20], *self.tensors[-10:])
        width = max((len(tensor.name) for tensor in told), default=0)
        for index, tensor in enumerate(told):
            if len(told) < len(self.tensors) and index == 20:
                yield f"  … {len(self.tensors) - 30} more (--all shows them)"
            shape = "×".join(map(str, tensor.shape)) or "one number"
            yield f"  {tensor.name.ljust(width)}  {shape}  {tensor.dtype}"


_HEADS = ("fc", "classifier", "head", "heads", "linear", "logits", "last_linear", "output", "predictions")


def class_count(tensors: tuple[TensorFact, ...], framework: str, config: Any = None) -> int | None:
    """How many classes the last dense kernel tells apart; None where there is none.

    A framework writes its layers in order, but safetensors and HDF5 by name: there, a kernel whose name says
    that it is the head goes before one that comes last.
    """
    inputs_first = framework == "keras"
    kernels = [t for t in tensors if _is_dense(t, inputs_first)]
    if config is not None and (units := _last_units(config)) is not None:
        return units
    named = [t for t in kernels if {*t.name.lower().replace("/", ".").split(".")} & {*_HEADS}]
    if not kernels:
        return None
    last = (named or kernels)[-1]
    return last.shape[-1] if inputs_first else last.shape[0]


def _is_dense(tensor: TensorFact, inputs_first: bool) -> bool:
    matrix = len(tensor.shape) == 2 and tensor.dtype.lower().startswith(("f", "bf"))
    ones = len(tensor.shape) == 4 and (tensor.shape[:2] if inputs_first else tensor.shape[2:]) == (1, 1)
    return matrix or (ones and tensor.name.lower().startswith(("classifier", "head", "fc")))


def _last_units(config: Any) -> int | None:
    """The width of the last Dense layer in a Keras configuration, which lists its layers in order."""
    from .keras_config import objects

    found = [one["config"].get("units") for one in objects(config) if one.get("class_name") == "Dense"
             and isinstance(one.get("config"), dict)]  # fmt: skip
    return found[-1] if found and type(found[-1]) is int else None
