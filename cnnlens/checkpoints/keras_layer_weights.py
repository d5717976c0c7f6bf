"""Weights by layer, as Keras wrote them until 2.11 and into whole `.h5` files → the layers of a model.

Keras would take them by order alone, and by name skip what it does not find; here every array must find its
place, and every place its array.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CannotOpen, Refused
from .keras_kernels import Relayout, check_theano, relayout
from .keras_mismatch import Differences
from .keras_source import Source, open_hdf5

#: What Keras 1 called its arrays.
_NAMES = {"W": "kernel", "b": "bias", "running_mean": "moving_mean", "running_std": "moving_variance"}
_NAMES |= {"alphas": "alpha"}
_TOP = "top_level_model_weights"


@dataclass(frozen=True)
class _Saved:
    """The arrays that the file has for one layer: (name, dataset)."""

    name: str
    arrays: list[tuple[str, Any]]

    def key(self, name: str) -> str:
        """`layer/array` of an array, by today's names."""
        parts = name.removesuffix(":0").split("/")
        leaf = parts[-1].removeprefix(f"{self.name}_")
        return f"{parts[-2] if len(parts) > 1 else self.name}/{_NAMES.get(leaf, leaf)}"


@dataclass(frozen=True)
class _Place:
    """A variable of a layer, where an array goes."""

    owner: Any
    variable: Any

    @property
    def key(self) -> str:
        """`layer/array`."""
        return "/".join(self.variable.path.split("/")[-2:])


def load_layer_weights(keras: Any, native: Any, path: Path, source: Source, architecture: str) -> list[str]:
    """Put the file's weights into the model, all of them; Mismatch says what does not fit."""
    with open_hdf5(path) as file:
        group = file["model_weights"] if "model_weights" in file else file
        saved = list(_saved_layers(group, source.name, file.filename))
        theano = _is_theano(source, saved)
        if theano:
            check_theano(_leaves(keras, native))
        best: Differences | None = None
        for layers in (list(_with_weights(native.layers)), list(_with_weights(_leaves(keras, native)))):
            pairs, differences, notes = _paired(keras, layers, saved)
            moves = [] if differences else list(_moves(pairs, source, theano, differences))
            if not differences:
                for place, dataset, change in moves:
                    place.variable.assign(change(np.asarray(dataset)))
                _finalise(_leaves(keras, native))
                return [*notes, *(["kernels turned round: Theano wrote them"] if theano else [])]
            best = differences if best is None or len(layers) == len(saved) else best
        assert best is not None
        last = list(_with_weights(native.layers))[-1:]
        raise best.error(source.name, architecture, [p.key for layer in last for p in _places(keras, layer)])


def _saved_layers(group: Any, file: str, place: str) -> Iterator[_Saved]:
    names = _attribute(group, "layer_names")
    for name in (*names, *([_TOP] if _TOP in group and _TOP not in names else ())):
        if name not in group:
            raise CannotOpen(f"{file} lists a layer {name!r} and has no weights of it: it is damaged")
        layer = group[name]
        arrays = [(key, _dataset(layer, key, file, place)) for key in _attribute(layer, "weight_names")]
        if arrays:
            yield _Saved(name, arrays)


def _attribute(group: Any, name: str) -> list[str]:
    """A list of names; long ones are split over several attributes."""
    numbered = itertools.takewhile(group.attrs.__contains__, (f"{name}{i}" for i in itertools.count()))
    found = [one for part in ([name] if name in group.attrs else numbered) for one in group.attrs[part]]
    return [one.decode("utf-8") if isinstance(one, bytes) else str(one) for one in found]


def _dataset(group: Any, key: str, file: str, place: str) -> Any:
    dataset = group.get(key)
    if not hasattr(dataset, "shape"):
        raise CannotOpen(f"{file} lists an array {key!r} and does not hold it: it is damaged")
    if dataset.external or dataset.is_virtual or dataset.file.filename != place:
        raise Refused(f"{file} keeps the array {key!r} in another file; it is not read")
    return dataset


def _is_theano(source: Source, saved: Sequence[_Saved]) -> bool:
    """Whether Theano trained it; Keras 1 did not say, but TensorFlow's names end in `:0`."""
    if source.backend:
        return source.backend == "theano"
    names = [name for layer in saved for name, _ in layer.arrays]
    return _is_keras_1(source) and bool(names) and not any(name.endswith(":0") for name in names)


def _is_keras_1(source: Source) -> bool:
    return source.version.partition(".")[0] == "1"


def _with_weights(layers: Sequence[Any]) -> Iterator[Any]:
    return (layer for layer in layers if layer.weights)


def _leaves(keras: Any, model: Any) -> list[Any]:
    """The layers of a model, those of nested models in their place."""
    found: list[Any] = []
    for layer in model.layers:
        found += _leaves(keras, layer) if isinstance(layer, keras.Model) else [layer]
    return found


def _places(keras: Any, layer: Any) -> list[_Place]:
    """The variables of a layer in the order in which files have them: what is trained comes first."""
    parts = {part.name: part for part in _leaves(keras, layer)} if isinstance(layer, keras.Model) else {}
    found = []
    for variable in (*layer.trainable_weights, *layer.non_trainable_weights):
        owner = (variable.path.split("/")[-2:-1] or [""])[0]
        found.append(_Place(parts.get(owner, layer), variable))
    return found


def _paired(
    keras: Any, layers: Sequence[Any], saved: Sequence[_Saved]
) -> tuple[list[tuple[_Place, Any]], Differences, list[str]]:
    """Each array with its place, by the layers' names where they agree, else by their order."""
    differences, notes = Differences(), []
    names = {layer.name: layer for layer in layers}
    own = [one for one in saved if one.name != _TOP]
    if set(names) == {one.name for one in own} and len(own) == len(layers):
        couples = [(names[one.name], one) for one in own]
    elif len(layers) == len(own):
        couples = list(zip(layers, own, strict=True))
        notes.append("weights taken in the order of the layers: their names differ")
    else:
        differences.missing = [name for name in names if name not in {one.name for one in own}]
        differences.unexpected = [one.name for one in saved if one.name not in names]
        differences.missing = differences.missing or [f"{len(layers) - len(own)} layers"] * (
            len(layers) > len(own)
        )
        return [], differences, notes
    pairs: list[tuple[_Place, Any]] = []
    for layer, one in couples:
        pairs += _paired_arrays(_places(keras, layer), one, differences)
    differences.unexpected += [key for one in saved if one.name == _TOP for key, _ in one.arrays]
    return pairs, differences, notes


def _paired_arrays(places: list[_Place], saved: _Saved, differences: Differences) -> list[tuple[_Place, Any]]:
    keys = [saved.key(name) for name, _ in saved.arrays]
    wanted = {place.key: place for place in places}
    if set(keys) == set(wanted) and len(wanted) == len(places) == len(keys):
        return [(wanted[key], dataset) for key, (_, dataset) in zip(keys, saved.arrays, strict=True)]
    if len(keys) != len(places):
        short = {key.rpartition("/")[2] for key in keys}
        differences.missing += [p.key for p in places if p.variable.name not in short] or [
            f"{len(places)} arrays of {saved.name}, of which it has {len(keys)}"
        ]
        return []
    return [(place, dataset) for place, (_, dataset) in zip(places, saved.arrays, strict=True)]


def _moves(
    pairs: Sequence[tuple[_Place, Any]], source: Source, theano: bool, differences: Differences
) -> Iterator[tuple[_Place, Any, Relayout]]:
    """What goes where and how; shapes are compared before anything is read."""
    for place, dataset in pairs:
        saved, wanted = tuple(dataset.shape), tuple(place.variable.shape)
        change = relayout(place.owner, place.variable, saved, _is_keras_1(source), theano)
        if change.shape(saved) != wanted:
            differences.shapes.append((place.key, change.shape(saved), wanted))
        yield place, dataset, change


def _finalise(layers: Sequence[Any]) -> None:
    """Layers that compute something from their arrays, as Normalization does, do it again."""
    for layer in layers:
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()
