"""A function's keyword parameters ↔ typed settings.

One declaration, after the star of a visualiser's signature, gives the default, the type, the bounds and
the help; from it come the form, `-s window=8`, the docs table, the JSON schema, the validation and the
cache key. pydantic does the work; this file keeps the rules and words the errors.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.fields import FieldInfo

from .candidates import last_of, with_places
from .errors import BadSetting, UnknownName, Unmet
from .layer import Layer
from .model import Model


@dataclass(frozen=True)
class LayerOf:
    """Marks a `str` setting as a layer of the model: with maps, with places, with kernels, or any.

    A layer with places has maps, or tokens that are patches of the picture. The values "first" and "last"
    stand for the first and last such layer that is a good choice: a convolution or what follows one, neither
    pooling nor a block; of a transformer's tokens, the last from which the class is still read. With `several`
    the value may be names with commas between them.
    """

    which: Literal["maps", "places", "kernels", "any"] = "any"
    several: bool = False
    kinds: tuple[str, ...] = ()

    def choices(self, model: Model) -> tuple[Layer, ...]:
        """The layers of `model` that may be chosen, in call order."""
        if self.which == "places":
            return with_places(model)
        tests: dict[str, Callable[[Layer], bool]] = {
            "maps": lambda layer: layer.has_maps,
            "kernels": lambda layer: layer.has_kernels,
            "any": lambda layer: bool(layer.shape),
        }
        found = (layer for layer in model.layers if tests[self.which](layer))
        return tuple(layer for layer in found if not self.kinds or layer.kind in self.kinds)

    def resolve(self, asked: str, model: Model) -> str:
        """The layer's own name, or the names; raises UnknownName or Unmet with what would do."""
        choices = self.choices(model)
        if self.several and "," in asked and asked not in (layer.name for layer in model.layers):
            parts = [part.strip() for part in asked.split(",") if part.strip()] or [asked]
            return ",".join(dict.fromkeys(self._one(part, choices, model) for part in parts))
        return self._one(asked, choices, model)

    def _one(self, asked: str, choices: tuple[Layer, ...], model: Model) -> str:
        if asked in ("first", "last"):
            return self._by_place(asked, choices, model).name
        layer = model.layer(asked)
        if layer not in choices:
            has = f"its output is {layer.shape or 'not one array'}, its kind is {layer.kind}"
            near = ", ".join(choice.name for choice in choices[-3:]) or "no layer of this model"
            if self.which == "places" and layer.shape[:2] == (1, 1):
                has += ", and a map of one place shows nothing"
            lacks = f"is no {' or '.join(self.kinds)}" if self.kinds else f"has no {self.which}"
            raise Unmet(f"layer {asked!r} {lacks}: {has}; try {near}")
        return layer.name

    def _by_place(self, asked: str, choices: tuple[Layer, ...], model: Model) -> Layer:
        if not choices:
            wanted = " or ".join(self.kinds) or f"layer with {self.which}"
            raise Unmet(f"{model.name} has no {wanted}" + _why_no_layers(model))
        chosen = last_of(choices, model) if self.which == "places" and asked == "last" else None
        if chosen is not None:
            return chosen
        good = [c for c in choices if c.kind not in ("block", "pooling", "dropout", "reshape", "resize")]
        good = [c for c in good if c.name in model.leading] or good
        if asked == "first":
            good = [c for c in good if c.kind == "convolution"] or good
        return (good or list(choices))[0 if asked == "first" else -1]


def names_of(asked: str, model: Model) -> tuple[str, ...]:
    """The layers that a resolved setting names: one, or several with commas between them."""
    whole = "," not in asked or any(asked == layer.name for layer in model.layers)
    return (asked,) if whole else tuple(asked.split(","))


def _why_no_layers(model: Model) -> str:
    return f": {model.cannot['activations']}" if "activations" in model.cannot else ""


#: A layer whose output is a stack of maps, one with places (or several such), and one that holds kernels.
MapsLayer = Annotated[str, LayerOf("maps")]
PlacesLayers = Annotated[str, LayerOf("places", several=True)]
KernelsLayer = Annotated[str, LayerOf("kernels")]


class Settings:
    """The settings of one function: schema, parser, and the layer choices among them."""

    def __init__(self, function: Callable[..., Any], owner: str) -> None:
        self.owner = owner
        self.layers: dict[str, LayerOf] = {}
        fields: dict[str, Any] = {}
        hints = get_type_hints(function, include_extras=True)
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind is not parameter.KEYWORD_ONLY:
                continue
            hint = hints.get(parameter.name)
            if hint is None:
                raise BadSetting(f"{owner}: setting {parameter.name!r} has no type")
            if parameter.default is parameter.empty:
                raise BadSetting(f"{owner}: setting {parameter.name!r} has no default")
            _refuse_unknown_type(hint, parameter.name, owner)
            for mark in getattr(hint, "__metadata__", ()):
                if isinstance(mark, LayerOf):
                    self.layers[parameter.name] = mark
            fields[parameter.name] = (hint, parameter.default)
        config = ConfigDict(extra="forbid", validate_default=True, frozen=True)
        self._form: type[BaseModel] = create_model("Settings", __config__=config, **fields)
        self.defaults: dict[str, Any] = self.parse({})

    @property
    def names(self) -> tuple[str, ...]:
        """The settings' names in the order of the signature."""
        return tuple(self._form.model_fields)

    def field(self, name: str) -> FieldInfo:
        """pydantic's own description of one setting."""
        return self._form.model_fields[name]

    def parse(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Text or values → a full set of typed settings, defaults filled in.

        Raises UnknownName for a name that is none, BadSetting for a value that is not allowed.
        """
        for name in given:
            if name not in self._form.model_fields:
                raise UnknownName("setting", name, self.names, f" of {self.owner}")
        try:
            return self._form(**given).model_dump()
        except ValidationError as error:
            raise BadSetting("; ".join(self._reworded(dict(e)) for e in error.errors())) from None

    def resolve(self, given: Mapping[str, Any], model: Model) -> dict[str, Any]:
        """As `parse`, with layers made the names of layers of `model`."""
        settings = self.parse(given)
        for name, choice in self.layers.items():
            if settings[name] is not None:
                settings[name] = choice.resolve(settings[name], model)
        return settings

    def schema(self, model: Model | None = None) -> dict[str, Any]:
        """JSON schema of each setting by name; with a model, layers list their choices."""
        properties: dict[str, Any] = self._form.model_json_schema().get("properties", {})
        for name, choice in self.layers.items():
            properties[name]["layer"] = choice.which if not choice.kinds else " or ".join(choice.kinds)
            properties[name]["several"] = choice.several
            if model is not None:
                properties[name]["choices"] = [layer.name for layer in choice.choices(model)]
        return properties

    def _reworded(self, error: dict[str, Any]) -> str:
        name = ".".join(str(part) for part in error["loc"])
        message = str(error["msg"]).removeprefix("Input should be ")
        return f"{self.owner}: setting {name!r} should be {message}, got {error['input']!r}"


def _refuse_unknown_type(hint: Any, name: str, owner: str) -> None:
    origin = get_origin(hint)
    if origin is Annotated:
        _refuse_unknown_type(get_args(hint)[0], name, owner)
    elif origin in (Union, types.UnionType):
        for part in get_args(hint):
            _refuse_unknown_type(part, name, owner)
    elif origin is not Literal and hint not in (int, float, bool, str, type(None)):
        shown = getattr(hint, "__name__", str(hint))
        raise BadSetting(
            f"{owner}: setting {name!r} has type {shown}; settings are int, float, bool, str, Literal[…], "
            "a layer (MapsLayer, PlacesLayers, KernelsLayer), or one of these or None"
        )


__all__ = ["Field", "KernelsLayer", "LayerOf", "MapsLayer", "PlacesLayers", "Settings", "names_of"]
