"""load and wrap: the two doors by which a model comes in; inspect, the window in the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .backends import adapt
from .checkpoints import open_checkpoint
from .checkpoints.inspecting import inspect as inspect
from .checkpoints.inspection import Inspection as Inspection
from .labels import check_count, imagenet, read_labels
from .memory import read_memory
from .model import Model
from .precision import read_precision


def load(
    path: str | Path,
    *,
    arch: Any = None,
    arch_args: Mapping[str, Any] | None = None,
    preprocess: object = None,
    labels: str | Path | Sequence[str] | None = None,
    device: str | None = None,
    trust: bool = False,
    custom: str | Path | Mapping[str, Any] | None = None,
    output: str | None = None,
    memory: str | int | None = None,
    precision: str | None = None,
) -> Model:
    """Open a checkpoint: PyTorch weights with their architecture, or a Keras model of any age.

    Without `arch`, PyTorch weights are matched against every architecture of torchvision and timm.
    `arch` is a name of theirs, `package.module:callable`, `file.py:callable`, a callable or a module;
    `arch_args` are handed to it. `preprocess` is a preset, a mapping or a file; `labels` names, a file or
    `imagenet`; `device` cpu, cuda or mps; `custom` a Python file, or names and classes, of a Keras
    file's own layers: that file is run. `output` says which of several outputs is the scores, by its path
    (`aux`, `[1]`, `heads.age`); `memory` what its passes may take ("500MB", "2GiB", bytes; by default half
    of what is free); `precision` what its passes compute in ("bf16", "fp16", "fp32"; by default what its weights
    are). Raises CannotOpen, Mismatch, Refused, UsageError; Unmet where it cannot compute in that precision.
    """
    budget = None if memory is None else read_memory(memory)  # what makes no sense is refused first
    precision = None if precision is None else read_precision(precision)
    opened = open_checkpoint(
        Path(path), arch=arch, arch_args=arch_args or {}, device=device, trust=trust, custom=custom
    )
    own = {"labels": "the checkpoint's own"} if labels is None and opened.labels else {}
    return wrap(
        opened.native,
        preprocess=opened.preprocess if preprocess is None else preprocess,
        labels=opened.labels if labels is None else labels,
        name=opened.name,
        output=output,
        facts={**opened.facts, **own},
        memory=budget,
        precision=precision,
    )


def wrap(
    native: Any,
    *,
    preprocess: object = None,
    labels: str | Path | Sequence[str] | None = None,
    name: str | None = None,
    output: str | None = None,
    facts: Mapping[str, Any] | None = None,
    memory: str | int | None = None,
    precision: str | None = None,
) -> Model:
    """Adapt a model that is in memory: a `torch.nn.Module` or a `keras.Model`. It stays as it is.

    `output` says which of several outputs is the scores, by its path (`aux`, `[1]`, `heads.age`).
    `memory` is what its passes may take, by default half of what is free. `precision` is what they compute in
    ("bf16", "fp16", "fp32"), by default what the weights are; results then say what the lower one did to them.

    A model of exactly a thousand classes is given ImageNet's names unless `labels` says otherwise; the
    facts say which of the two it was.
    """
    names = read_labels(labels)
    budget = None if memory is None else read_memory(memory)
    asked = None if precision is None else read_precision(precision)
    model = adapt(native, preprocess=preprocess, classes=names, name=name, output=output, facts=facts)
    if asked is not None:
        model = model.computing_in(asked)
    if budget is not None:
        model.memory = budget
    count = model.outputs[-1]
    check_count(names, count, model.name)
    if len(model.outputs) > 1:
        shape = "×".join(map(str, model.outputs))
        model.cannot["classes"] = f"its scores are {shape} a picture, not one for each class"
    source = "given"
    if names is None:
        source = "none"
        if model.outputs == (1000,):
            model.classes, source = imagenet(), "assumed: ImageNet's, for 1000 classes"
    model.facts = {"labels": source, **model.facts}
    return model
