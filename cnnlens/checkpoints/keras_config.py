"""A Keras model's configuration as data: what it names that is code, without Keras and without importing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ..errors import CannotOpen

#: Layers that are code in a file: a pickled Python function, or a TensorFlow program on disk.
PROGRAMS = {
    "Lambda",
    "__lambda__",
    "TFSMLayer",
    "LambdaModel",
    "TorchModuleWrapper",
    "JaxLayer",
    "FlaxLayer",
}
#: Modules of which a configuration of Keras itself, or of its own add-ons, names classes.
_KERAS = {"keras", "tf_keras", "keras_hub", "keras_cv", "keras_nlp", "builtins"}


def parse_config(text: str | bytes, name: str) -> Any:
    """The configuration; CannotOpen where it is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CannotOpen(f"{name} has a configuration that is no JSON: {str(error)[:100]}") from error


def code_named(config: Any) -> list[str]:
    """What a configuration would run or import: Lambda layers, programs, classes that are not Keras's."""
    return list(dict.fromkeys(filter(None, map(_code, objects(config)))))


def objects(config: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a configuration that describes an object, in order, however deep."""
    waiting = [config]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if "class_name" in one or "module" in one:
                yield one
            waiting.extend(reversed(list(one.values())))
        elif isinstance(one, list):
            waiting.extend(reversed(one))


def _code(one: dict[str, Any]) -> str | None:
    module, name = one.get("module"), one.get("class_name")
    told = _object_name(one)
    if isinstance(name, str) and name.rpartition(">")[2] in PROGRAMS:
        inner = one.get("config")
        layer = inner.get("name") if isinstance(inner, dict) else None
        return f"{told} (layer {layer!r:.60})" if isinstance(layer, str) else told
    if isinstance(name, str) and name == "function" and module in (None, "builtins"):
        return None  # one of Keras's own, looked up by name among its own
    package = str(module).partition(".")[0]
    if module is None or (
        package in _KERAS and (package != "builtins" or name in ("function", "dict", None))
    ):
        return None
    return told


def _object_name(one: dict[str, Any]) -> str:
    module, name = one.get("module"), one.get("class_name")
    if name == "function":
        inner = one.get("config")
        name = inner if isinstance(inner, str) else one.get("registered_name") or name
    return f"{module}.{name}"[:120] if module else str(name)[:120]


def layer_count(config: Any) -> int:
    """How many layers the configuration lists, nested models counted by theirs."""
    inner = config.get("config") if isinstance(config, dict) else None
    layers = inner if isinstance(inner, list) else inner.get("layers") if isinstance(inner, dict) else None
    if not isinstance(layers, list):
        return 0
    return sum(max(1, layer_count(layer)) if isinstance(layer, dict) else 0 for layer in layers)
