"""The architecture of a Keras 1 or 2 model → that of the same model in Keras 3; data in, data out.

Keras 3 itself reads few of them: it stops at arguments, classes and nodes that it has dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import CannotOpen
from .keras_legacy_layers import CLASSES, convert_layer, dtype_name, plain_layer

#: keras.activations.hard_sigmoid has another slope in Keras 3: the old one goes by this name.
OLD_HARD_SIGMOID = "hard_sigmoid_of_keras_2"
_FUNCTIONS = {"hard_sigmoid": OLD_HARD_SIGMOID, "softmax_v2": "softmax"}
_GRAPHS = ("Model", "Functional", "Container")
_NESTED = (*_GRAPHS, "Sequential")

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Converted:
    """A configuration for Keras 3, what was done to it, and the output shapes that the file says."""

    config: dict[str, Any]
    notes: tuple[str, ...] = ()
    shapes: Mapping[str, list[int | None]] = field(default_factory=dict)


def convert_model(entry: Any, is_known: Callable[[str], bool]) -> Converted:
    """The model in Keras 3; `is_known` says of a class's name whether Keras 3 has such a layer.

    A layer that it has not is kept as it is, for whoever knows its class. CannotOpen names what has no
    counterpart.
    """
    if not isinstance(entry, Mapping) or not isinstance(entry.get("config"), (Mapping, list)):
        raise CannotOpen("the configuration is not that of a Keras model: it has no class_name and config")
    try:
        converter = _Converter(is_known, _ordering(entry))
        config = converter.model(entry)
    except (KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise CannotOpen(f"the configuration is damaged: {type(error).__name__} {error}") from error
    return Converted(config, tuple(dict.fromkeys(converter.notes)), converter.shapes)


class _Converter:
    def __init__(self, is_known: Callable[[str], bool], ordering: str | None) -> None:
        self._is_known, self._ordering = is_known, ordering
        self.notes: list[str] = []
        self.shapes: dict[str, list[int | None]] = {}

    def model(self, entry: Entry) -> dict[str, Any]:
        """A Sequential or a graph, and what it nests."""
        kind, config = short_name(entry), entry["config"]
        if kind == "Sequential":
            return self._sequential(entry)
        if kind not in _GRAPHS and not (isinstance(config, Mapping) and "input_layers" in config):
            raise CannotOpen(
                f"the model is a {kind}, whose own code says what runs: the file holds no architecture. "
                "Build it in Python (--arch file.py:callable) and open its weights"
            )
        if kind not in _GRAPHS:
            self.notes.append(f"{kind} is read as the plain graph that it was saved as")
        return self._graph(config)

    def _sequential(self, entry: Entry) -> dict[str, Any]:
        config = entry["config"]
        layers = config if isinstance(config, list) else config["layers"]
        told = {} if isinstance(config, list) else config
        name = told.get("name") or entry.get("name") or "sequential"
        made = [self._layer(layer) for layer in layers]
        if layers and short_name(layers[0]) not in ("InputLayer", *_NESTED):
            made[:0] = _input_before(layers[0])
        inner = {"name": name, "layers": made}
        if told.get("build_input_shape"):
            inner["build_input_shape"] = told["build_input_shape"]
        return _keras("keras", "Sequential", inner)

    def _graph(self, config: Mapping[str, Any]) -> dict[str, Any]:
        nested = {e["name"]: short_name(e) for e in config["layers"] if _is_model(e)}
        made = []
        for entry in config["layers"]:
            nodes = [_node(node, nested) for node in entry.get("inbound_nodes", [])]
            made.append({**self._layer(entry), "name": entry["name"], "inbound_nodes": nodes})
        ends = [_single(config[key]) for key in ("input_layers", "output_layers")]
        # Keras 3 itself allows for the node that a nested graph begins with, but not for a Sequential's
        sequential = {name: kind for name, kind in nested.items() if kind == "Sequential"}
        inputs, outputs = (_mapped(end, lambda tensor: _place(tensor, sequential)) for end in ends)
        inner = {"name": config.get("name", "model"), "layers": made}
        return _keras("keras", "Model", inner | {"input_layers": inputs, "output_layers": outputs})

    def _layer(self, entry: Entry) -> dict[str, Any]:
        kind, config = short_name(entry), entry["config"]
        if _is_model(entry):
            return self.model(entry)
        if kind == "InputLayer":
            return _input(config)
        if not self._is_known(CLASSES.get(kind, kind)) and kind != "Merge":
            whole = str(entry.get("registered_name") or entry["class_name"])
            found = {"class_name": kind, "config": plain_layer(config), "registered_name": whole}
            return {"module": None, **found}
        new, arguments = convert_layer(kind, config, self._ordering)
        if kind == "Deconvolution2D" and isinstance(config.get("output_shape"), list):
            self.shapes[config["name"]] = config["output_shape"]
        if isinstance(config.get("layer"), Mapping):  # a wrapper: TimeDistributed, Bidirectional
            arguments["layer"] = self._layer(config["layer"])
        self._name_function(arguments)
        if new != kind:
            self.notes.append(f"{kind} is {new} in Keras 3")
        return _keras("keras.layers", new, arguments)

    def _name_function(self, arguments: dict[str, Any]) -> None:
        """A function by its name, as Keras 3 writes it: a bare name finds Keras's own functions alone."""
        told = arguments.get("activation")
        if isinstance(told, Mapping) and told.get("class_name") == "function":
            told = told["config"]
        if not isinstance(told, str):
            return
        if told == "hard_sigmoid":
            self.notes.append("hard_sigmoid keeps the slope of 0.2 that it had before Keras 3")
        name = _FUNCTIONS.get(told, told)
        found = {"module": "builtins", "class_name": "function", "config": name, "registered_name": name}
        arguments["activation"] = found


def short_name(entry: Entry) -> str:
    """The class of an entry without the package it was registered in."""
    return str(entry["class_name"]).rpartition(">")[2]


def _is_model(entry: Entry) -> bool:
    config = entry["config"]
    return short_name(entry) in _NESTED or (isinstance(config, Mapping) and "input_layers" in config)


def _keras(module: str, kind: str, config: Mapping[str, Any]) -> dict[str, Any]:
    return {"module": module, "class_name": kind, "config": dict(config), "registered_name": None}


def _input(config: Mapping[str, Any]) -> dict[str, Any]:
    name = config.get("name", "input")
    if config.get("sparse") or config.get("ragged"):
        raise CannotOpen(f"{name!r} reads sparse or ragged tensors; cnnlens feeds pictures")
    shape = config.get("batch_input_shape") or config["batch_shape"]
    dtype = dtype_name(config.get("dtype", config.get("input_dtype")))
    return _keras("keras.layers", "InputLayer", {"batch_shape": shape, "dtype": dtype, "name": name})


def _input_before(first: Entry) -> list[dict[str, Any]]:
    """The input that the first layer of a Sequential says; none where nothing says it."""
    config = first["config"]
    shape = config.get("batch_input_shape") or (
        [None, config["input_dim"]] if config.get("input_dim") else None
    )
    if shape is None:
        return []
    return [_input({"batch_input_shape": shape, "name": f"{config.get('name', 'first')}_input"})]


def _node(node: Any, nested: Mapping[str, str]) -> dict[str, Any]:
    """One call of a layer, as Keras 3 writes it."""
    if isinstance(node, Mapping):
        return dict(node)
    calls = [node] if isinstance(node[0], str) else node
    given = [_tensor(_place(call, nested)) for call in calls]
    told = {k: v for call in calls for k, v in (call[3] if len(call) > 3 else {}).items()}
    kwargs = {
        key: _mapped(value, lambda tensor: _tensor(_place(tensor, nested))) for key, value in told.items()
    }
    return {"args": [given[0] if len(given) == 1 else given], "kwargs": kwargs}


def _mapped(value: Any, change: Callable[[list[Any]], Any]) -> Any:
    """A structure with `change` done to every [layer, node, tensor] in it."""
    if (
        isinstance(value, list)
        and len(value) >= 3
        and isinstance(value[0], str)
        and isinstance(value[1], int)
    ):
        if value[0] == "_CONSTANT_VALUE":
            return value[2]
        return change(value)
    if isinstance(value, list):
        return [_mapped(one, change) for one in value]
    return {k: _mapped(v, change) for k, v in value.items()} if isinstance(value, Mapping) else value


def _place(tensor: list[Any], nested: Mapping[str, str]) -> list[Any]:
    """[layer, node, tensor]; Keras 1 and 2 counted a node of a nested model's own before all calls of it."""
    name, node, index = tensor[:3]
    return [name, node - 1 if name in nested and node else node, index]


def _tensor(place: list[Any]) -> dict[str, Any]:
    config = {"shape": [None], "dtype": "float32", "keras_history": place}
    return {"class_name": "__keras_tensor__", "config": config}


def _single(ends: Any) -> Any:
    return ends[0] if isinstance(ends, list) and len(ends) == 1 and isinstance(ends[0], list) else ends


def _ordering(entry: Any) -> str | None:
    """The one order of channels that the layers say; None where none says one or they differ."""
    said = {"channels_first" if one == "th" else "channels_last" for one in _said(entry)}
    return said.pop() if len(said) == 1 else None


def _said(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if isinstance(value.get("dim_ordering"), str):
            yield value["dim_ordering"]
        for one in value.values():
            yield from _said(one)
    elif isinstance(value, list):
        for one in value:
            yield from _said(one)
