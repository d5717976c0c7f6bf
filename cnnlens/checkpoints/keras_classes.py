"""What a configuration names, held against what is there: Keras's own, the user's, or neither."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import CannotOpen, MissingPackage, Refused
from .keras_config import PROGRAMS
from .keras_source import Source

#: Keras 2's records of calls of TensorFlow functions.
_CALLS = {
    "TFOpLambda",
    "SlicingOpLambda",
    "TensorFlowOpLayer",
    "ClassMethod",
    "InstanceMethod",
    "InstanceProperty",
}
_ADD_ONS = {"keras_hub": "keras-hub", "keras_cv": "keras-cv", "keras_nlp": "keras-nlp"}
_DROPPED = {
    "SReLU",
    "ParametricSoftplus",
    "MaxoutDense",
    "Highway",
    "LocallyConnected1D",
    "LocallyConnected2D",
}


@dataclass(frozen=True)
class _Named:
    """A class or function that a configuration names, and the layer where it stands."""

    layer: str
    kind: str
    module: str | None
    registered: str
    is_function: bool = False


def find_classes(
    keras: Any, config: Any, source: Source, custom: Mapping[str, Any], trust: bool
) -> dict[str, Any]:
    """The custom objects that the configuration needs, by every name that it uses for them.

    Refused where it holds code of its own and nobody trusts it, CannotOpen for what nobody knows.
    """
    found = dict(custom)
    for one in _named(keras, [config], "", True):
        if one.kind in PROGRAMS and not trust:
            raise Refused(
                f"{source.name}: layer {one.layer!r} is a {one.kind}, code and not data: "
                "opening it would run that code. If you trust who made it, say --trust; or write the model "
                "in Python and open these weights with it: --arch file.py:callable"
            )
        if one.kind in _CALLS:
            raise CannotOpen(
                f"{source.name}: layer {one.layer!r} is a {one.kind}, Keras 2's record of calling a "
                "TensorFlow function, which Keras 3 cannot run. Write the model with layers in its place "
                "(Rescaling, Add, Cropping2D …) and open these weights with it: --arch file.py:callable"
            )
        known = _lookup(keras, one, custom)
        if known is not None:
            found[one.registered] = found[one.kind] = known
        elif not _is_keras(keras, one, source.name):
            raise CannotOpen(_unknown(keras, one, source))
    return found


def _named(keras: Any, value: Any, layer: str, of_layers: bool) -> Iterator[_Named]:
    """Every class and function of a configuration, but for what only training knows.

    Files of HDF5 name no modules; `of_layers` says that `value` lists layers, which can be told by name.
    """
    if isinstance(value, list):
        for one in value:
            yield from _named(keras, one, layer, of_layers)
    if not isinstance(value, Mapping):
        return
    kind, inner = value.get("class_name"), value.get("config")
    if isinstance(kind, str) and isinstance(inner, (Mapping, list, str)):
        if isinstance(inner, Mapping) and isinstance(inner.get("name"), str):
            layer = inner["name"]
        is_function = kind == "function"
        short = str(inner) if is_function else kind.rpartition(">")[2]
        registered = value.get("registered_name") or kind
        registered = short if is_function and registered == "function" else str(registered)
        is_stranger = of_layers and not is_layer(keras, short)
        module = value.get("module", None if is_stranger else "keras")
        yield _Named(layer, short, module, registered, is_function)
    for key, one in value.items():
        if key not in ("compile_config", "build_config", "inbound_nodes"):
            yield from _named(keras, one, layer, key == "layers")


def is_layer(keras: Any, kind: str) -> bool:
    """Whether Keras 3 has a layer or a kind of model of that name."""
    return kind in ("Sequential", "Functional", "Model") or hasattr(keras.layers, kind)


def _lookup(keras: Any, one: _Named, custom: Mapping[str, Any]) -> Any:
    for name in (one.registered, one.kind):
        if name in custom:
            return custom[name]
    return keras.saving.get_registered_object(one.registered)


def _is_keras(keras: Any, one: _Named, name: str) -> bool:
    """Whether Keras finds it by itself: among its own, or in an add-on that is installed."""
    package = (one.module or "").partition(".")[0]
    if package in _ADD_ONS:
        if importlib.util.find_spec(package) is None:
            told = f"pip install {_ADD_ONS[package]}"
            raise MissingPackage(package, "", f"{name}, whose layer {one.layer!r} is its {one.kind},", told)
        return True
    if package == "builtins" and one.is_function:
        rooms = (keras.activations, keras.initializers, keras.regularizers, keras.constraints, keras.losses)
        return any(hasattr(room, one.kind) for room in rooms)
    return package in ("keras", "builtins")


def _unknown(keras: Any, one: _Named, source: Source) -> str:
    where = f" of the module {one.module}" if one.module else ""
    package = one.registered.rpartition(">")[0]
    where = where or (f" of the package {package}" if package not in ("", "Custom") else "")
    what = "function" if one.is_function else "class"
    told = (
        f"{source.name}: layer {one.layer!r} needs the {what} {one.kind}{where}, which is no part of Keras "
        f"{keras.__version__}; the file was written by {source.writer}. "
    )
    if one.kind == "KerasLayer":
        return told + (
            "It is TensorFlow Hub's, which runs in Keras 2 alone: write a keras.Layer of that name that does "
            "what its module did, and name its file: --custom file.py (its code is run)"
        )
    if one.kind in _DROPPED:
        told += "Keras dropped it after version 2. "
    return told + "Name a Python file that defines it: --custom file.py (its code is run)"
