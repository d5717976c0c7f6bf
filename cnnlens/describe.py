"""Models, layers and visualisers as plain JSON-able values, for the command line and the REST API alike."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from .arrays import Array
from .errors import Unmet
from .layer import Layer
from .model import Model
from .outputs import Output
from .receptive import ReceptiveField, ReceptiveFields, receptive_fields
from .registry import Plugin
from .visualiser import Visualiser


def describe_visualiser(
    chosen: Visualiser[Any, Any], origin: Plugin, model: Model | None = None
) -> dict[str, Any]:
    """Everything a person or a form needs to know of a visualiser; with a model, whether it can read it."""
    settings, verdict = chosen.settle({}, model) if model is not None else ({}, None)
    why_not = verdict.why_not if verdict is not None else None
    cost = "?" if callable(chosen.cost) else str(chosen.cost)
    if model is not None and why_not is None:
        cost = str(chosen.cost_of(model, settings))
    elif callable(chosen.cost):
        cost = "what its settings ask for"
    return {
        "name": chosen.name,
        "title": chosen.title,
        "description": chosen.description,
        "details": chosen.details,
        "family": chosen.family,
        "paper": chosen.paper,
        "link": chosen.link,
        "needs": sorted(chosen.needs),
        "reads_image": chosen.reads_image,
        "reads_several": chosen.reads_several,
        "by_target": chosen.by_target,
        "cost": cost,
        "why_not": why_not,
        "verdict": verdict.facts() if verdict is not None else None,
        "plugin": origin.name,
        "version": origin.version,
        "settings": describe_settings(chosen, model if why_not is None else None),
    }


def describe_settings(chosen: Visualiser[Any, Any], model: Model | None = None) -> list[dict[str, Any]]:
    """Each setting: name, default, type in words, description, bounds and choices."""
    return [_described(name, schema) for name, schema in chosen.settings.schema(model).items()]


def _described(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    parts = schema.get("anyOf", [schema])
    optional = any(part.get("type") == "null" for part in parts)
    kind = next((part for part in parts if part.get("type") != "null"), schema)
    bounds = {
        ours: kind[theirs]
        for theirs, ours in (
            ("minimum", "at least"), ("maximum", "at most"),
            ("exclusiveMinimum", "above"), ("exclusiveMaximum", "below"),
        )
        if theirs in kind
    }  # fmt: skip
    choices = schema.get("choices") or kind.get("enum") or ([kind["const"]] if "const" in kind else None)
    words = str(kind.get("type", "choice"))
    if "layer" in schema:
        words = f"layer with {schema['layer']}"
    elif choices:
        words = " | ".join(map(str, choices))
    words += "".join(f", {ours} {value}" for ours, value in bounds.items())
    return {
        "name": name,
        "default": schema.get("default"),
        "type": words + (" or none" if optional else ""),
        "description": schema.get("description", ""),
        "kind": "layer" if "layer" in schema else "choice" if choices else kind.get("type"),
        "bounds": bounds,
        "choices": choices,
        "optional": optional,
        "hint": _hint(schema.get("description", ""), bounds),
        "input": _input("layer" if "layer" in schema else str(kind.get("type")), bounds),
    }


def _hint(description: str, bounds: Mapping[str, Any]) -> str:
    """What stands under a control: what it sets, and between which ends."""
    ends = ", ".join(f"{words} {value}" for words, value in bounds.items())
    return f"{description} ({ends})" if ends else description


def _input(kind: str, bounds: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of an HTML input for a setting of that kind."""
    if kind == "boolean":
        return {"type": "checkbox"}
    if kind not in ("integer", "number"):
        return {"type": "text"}
    step = 1 if kind == "integer" else "any"
    return {"type": "number", "step": step, "min": bounds.get("at least"), "max": bounds.get("at most")}


def describe_layer(layer: Layer) -> dict[str, Any]:
    """A layer with its shape and what may be asked of it."""
    return {
        "name": layer.name,
        "kind": layer.kind,
        "type": layer.type,
        "shape": list(layer.shape),
        "parameters": layer.parameters,
        "hyper": {key: list(v) if isinstance(v, tuple) else v for key, v in layer.hyper.items()},
        "inputs": list(layer.inputs),
        "has_maps": layer.has_maps,
        "has_kernels": layer.has_kernels,
    }


def describe_layer_closely(model: Model, name: str, fields: ReceptiveFields | None = None) -> dict[str, Any]:
    """All of `describe_layer`, and what one layer alone is asked for.

    `field` is what one place sees of the model's input, {size, stride, start} in pixels, (rows, columns) each, or
    None, and `field_why` then says why; `weights` the shape of each array; `blocks` the parts of the model that hold
    the layer, the outermost first; `read_by` the layers that read it; `multiply_adds` those of one picture, None
    where they are no plain product of shapes. Cost: one recorded pass, unless the `fields` are given. UnknownName
    for a layer that there is none of.
    """
    layer, field, why = model.layer(name), None, None
    try:
        fields = receptive_fields(model) if fields is None else fields
        field, why = fields[layer.name], fields.why.get(layer.name)
    except Unmet as error:
        why = str(error)
    weights = {} if model.why_no("weights") else model.weights(layer.name)
    return {
        **describe_layer(layer),
        "field": None if field is None else describe_field(field),
        "field_why": why,
        "weights": {key: list(values.shape) for key, values in weights.items()},
        "blocks": [
            one.name for one in model.layers if one.kind == "block" and layer.name.startswith(one.name + ".")
        ],
        "read_by": [one.name for one in model.layers if layer.name in one.inputs],
        "multiply_adds": _multiply_adds(model, layer, weights),
    }


def describe_field(field: ReceptiveField) -> dict[str, list[int]]:
    """A receptive field in pixels of the model's input, (rows, columns) each."""
    return {"size": list(field.size), "stride": list(field.stride), "start": list(field.start)}


def _multiply_adds(model: Model, layer: Layer, weights: Mapping[str, Array]) -> int | None:
    """Each weight of a kernel once a place: of the output, or of what is read where the convolution is transposed."""
    if layer.kind not in ("convolution", "dense") or "kernel" not in weights or not layer.shape:
        return 0 if layer.kind in ("dropout", "reshape", "concat") else None
    shape = layer.shape
    if "transpose" in layer.type.lower():
        if len(layer.inputs) != 1:
            return None
        shape = model.layer(layer.inputs[0]).shape
    return prod(shape[:-1]) * weights["kernel"].size


def describe_output(output: Output) -> dict[str, Any]:
    """An array that the model returns: where it stands, its shape, whether it is the scores."""
    return {
        "path": output.path,
        "shape": list(output.shape),
        "is_scores": output.is_scores,
        "means": output.means,
    }


def describe_model(model: Model) -> dict[str, Any]:
    """The model: what it is, where from, how its input is prepared, what it cannot do."""
    return {
        "name": model.name,
        "framework": model.framework,
        "device": model.device,
        "facts": model.facts,
        "input": model.input.facts(),
        "outputs": list(model.outputs),
        "output_tree": [describe_output(output) for output in model.output_tree],
        "activation": model.activation,
        "classes": list(model.classes) if model.classes else None,
        "parameters": model.parameters,
        "layers": len(model.layers),
        "cannot": model.cannot,
    }
