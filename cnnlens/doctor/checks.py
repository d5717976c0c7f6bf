"""What can be found wrong with a model without a picture: in its weights, its flags, and its answers to noise."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..arrays import Array
from ..layer import Layer
from ..model import Model
from .candidates import at_size, by_values
from .diagnosis import Finding
from .trials import accepts, run_fed

_SOFTMAX = ("softmax", "sigmoid")


def without_pictures(model: Model) -> list[Finding]:
    """Every finding that needs no picture."""
    return [
        *_weights(model),
        *_training_flags(model),
        *_answers_to_noise(model),
        *_ending(model),
        *_assumed_size(model),
    ]


def _weights(model: Model) -> Iterator[Finding]:
    """NaN and Inf by layer; running statistics that no training has touched."""
    if "weights" in model.cannot:
        yield Finding("note", "weights", f"its weights were not looked at: {model.cannot['weights']}")
        return
    broken: list[str] = []
    fresh: list[str] = []
    normalised = 0
    for layer in model.layers:
        if not layer.parameters or layer.kind == "block" or "#" in layer.name:
            continue
        arrays = model.weights(layer.name)
        bad = {name: int((~np.isfinite(values)).sum()) for name, values in arrays.items()}
        broken += [f"{layer.name}.{name} ({n} of {arrays[name].size})" for name, n in bad.items() if n]
        if {"mean", "variance"} <= arrays.keys() and layer.kind == "normalisation":
            normalised += 1
            fresh += [layer.name] if _fresh(arrays["mean"], arrays["variance"]) else []
    if broken:
        yield Finding(
            "wrong", "not-finite", f"weights hold NaN or Inf: {_few(broken)}; the training diverged or the file "
            "is damaged: take an earlier checkpoint", {"layers": broken},
        )  # fmt: skip
    if fresh:
        all_of = f"all {normalised}" if len(fresh) == normalised else f"{len(fresh)} of {normalised}"
        yield Finding(
            "wrong" if len(fresh) == normalised else "doubtful", "untrained-statistics",
            f"{all_of} batch normalisations have mean 0 and variance 1 everywhere, as before any training: "
            f"{_few(fresh)}; their running statistics were not saved, not loaded, or never computed",
            {"layers": fresh},
        )  # fmt: skip


def _fresh(mean: Array, variance: Array) -> bool:
    return bool((mean == 0).all() and (variance == 1).all())


def _training_flags(model: Model) -> Iterator[Finding]:
    """Dropout and batch normalisation that are left in training mode. Only torch keeps it in the modules."""
    if model.framework != "torch":
        return
    kinds = ("dropout", "batchnorm", "instancenorm", "droppath", "stochasticdepth")
    left = [
        name or type(part).__name__
        for name, part in model.native.named_modules()
        if part.training and any(kind in type(part).__name__.lower() for kind in kinds)
    ]
    if left:
        yield Finding(
            "doubtful", "training-mode", f"{len(left)} modules are in training mode: {_few(left)}; cnnlens runs "
            "them in eval mode, your own predictions differ: call model.eval() first", {"modules": left},
        )  # fmt: skip


def _answers_to_noise(model: Model) -> Iterator[Finding]:
    """Random within a pass, dependent on other pictures, not finite, constant, or probabilities already."""
    x = model.input.encode(noise(model))
    same = run_fed(model, np.repeat(x[:1], len(x), 0))  # twice would be too few: two draws may be alike
    scores = run_fed(model, x)
    if not np.isfinite(scores).all():
        yield Finding(
            "wrong", "scores-not-finite", f"{int((~np.isfinite(scores)).sum())} of {scores.size} scores of noise "
            "pictures are NaN or Inf",
        )  # fmt: skip
        return
    size = max(float(np.abs(scores).max()), 1e-6)
    if np.ptp(same, 0).max() > 1e-3 * size:
        yield Finding(
            "wrong", "random", "the same picture several times in a batch gets several answers: dropout or another "
            "random step runs although the model is in eval mode; every picture of it is one draw of many",
        )  # fmt: skip
    elif np.abs(run_fed(model, x[:1])[0] - scores[0]).max() > 1e-3 * size:
        yield Finding(
            "wrong", "batch-dependent", "the answer to a picture changes with the others in its batch: a batch "
            "normalisation uses the batch's own statistics, as in training",
        )  # fmt: skip
    yield from _constant(model, scores)
    yield from _probabilities(model, scores)


def _constant(model: Model, scores: Array) -> Iterator[Finding]:
    still = np.flatnonzero(np.ptp(scores, 0) <= 1e-6 * max(float(np.abs(scores).max()), 1e-6))
    if len(still) == scores.shape[1]:
        yield Finding(
            "wrong", "blind", "every picture of noise gets the same scores: what the model sees does not reach "
            "its end (all units dead, or all weights zero)",
        )  # fmt: skip
    elif len(still):
        names = [model.class_name(int(i)) for i in still]
        yield Finding(
            "wrong", "dead-outputs", f"{len(still)} of {scores.shape[1]} outputs have the same score for every "
            f"picture of noise: {_few(names)}", {"classes": still.tolist()},
        )  # fmt: skip


def _probabilities(model: Model, scores: Array) -> Iterator[Finding]:
    """Scores that are probabilities already: a softmax too many."""
    classes = scores.shape[1]
    if classes < 2 or scores.min() < -1e-6 or scores.max() > 1 + 1e-6:
        return
    if model.activation == "softmax" and np.abs(scores.sum(1) - 1).max() < 1e-3:
        most = np.e / (np.e + classes - 1)
        yield Finding(
            "wrong", "softmax-doubled", "its scores are probabilities already (they sum to one for every picture) "
            f"and a softmax is taken of them once more: no probability of {classes} classes can then be above "
            f"{most:.3g}; remove one of the two, or open the model without its last",
        )  # fmt: skip
    elif model.activation == "sigmoid":
        yield Finding(
            "doubtful", "sigmoid-doubled", "its scores lie between 0 and 1 for every picture of noise, and a "
            "sigmoid is taken of them: one of the two is probably too many",
        )  # fmt: skip


def _ending(model: Model) -> Iterator[Finding]:
    """Whether the model itself makes probabilities of its scores."""
    if not model.layers:
        return
    last: Layer = model.layers[-1]
    parts = getattr(model.native, "layers", None)  # Keras fuses the activation into its last layer
    fused = getattr(parts[-1], "activation", None) if isinstance(parts, list) and parts else None
    told = " ".join((last.type, last.name, getattr(fused, "__name__", ""))).lower().replace("_", "")
    if not any(word in told for word in _SOFTMAX):
        yield Finding(
            "note", "softmax-missing", f"no softmax or sigmoid was found at its end ({last.name}): its outputs are "
            f"scores, cnnlens takes the {model.activation or 'scores as they are'}, and your own code has to as well",
        )  # fmt: skip


def _assumed_size(model: Model) -> Iterator[Finding]:
    """A size that nobody said, of a model that reads any."""
    spec = model.input
    if not spec.source.startswith("assumed"):
        return
    others = [side for side in (32, 64, 96, 128, 224, 299) if side != spec.height]
    read = [side for side in others if accepts(model, at_size(by_values(spec)[:1], side, side)[0].spec)]
    if read:
        yield Finding(
            "doubtful", "size-assumed", f"nobody said what size it reads; {spec.height}×{spec.width} was assumed, "
            f"and it runs on {', '.join(map(str, read))} as well: give --preprocess a file with \"size\"",
            {"accepts": read},
        )  # fmt: skip


def noise(model: Model, count: int = 8) -> Array:
    """Pictures (n, h, w, c) of coloured noise from coarse to fine, by a fixed seed."""
    rng = np.random.default_rng(0)
    spec = model.input
    pictures = np.empty((count, spec.height, spec.width, spec.channels), np.float32)
    for i in range(count):
        cells = 2 ** (1 + i % 4)
        rows, columns = (
            np.arange(spec.height) * cells // spec.height,
            np.arange(spec.width) * cells // spec.width,
        )
        pictures[i] = rng.random((cells, cells, spec.channels), np.float32)[rows][:, columns]
    return pictures


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
