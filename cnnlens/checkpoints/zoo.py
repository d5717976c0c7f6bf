"""Architectures by name: what torchvision and timm list, built for real or without memory; their input."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, Protocol

from ..errors import CannotOpen, MissingPackage
from ..preprocess import from_timm


class Zoo(Protocol):
    """A library of architectures that are built by name."""

    title: str
    version: str

    def __hash__(self) -> int: ...

    def names(self) -> list[str]:
        """The classification architectures, in a steady order."""

    def has(self, name: str) -> bool:
        """Whether it builds something of this name, classification or not."""

    def make(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """The architecture with untrained weights; nothing is fetched."""

    def preprocess(self, native: Any, name: str) -> object:
        """How its published weights want their input, where that is known."""

    def assumed(self, name: str, arguments: Mapping[str, Any]) -> list[str]:
        """What the architecture is built with that the weights cannot tell, in words."""


#: Both were trained for another range, to which their published weights come from ImageNet's by themselves;
#: as that is the preprocessing they are given here, so do all weights, unless an argument says otherwise.
#: And both warn that their slow default initialisation will change; the checkpoint overwrites it.
_OWN_INPUT: dict[str, dict[str, Any]] = {
    name: {"transform_input": True, "init_weights": False} for name in ("googlenet", "inception_v3")
}


class Torchvision:
    """The models of torchvision."""

    title = "torchvision"

    def __init__(self) -> None:
        torchvision = import_torchvision()
        self.version = str(torchvision.__version__).partition("+")[0]
        self._models = torchvision.models

    def names(self) -> list[str]:
        # those of the sub-packages are quantised, or detect, segment or watch videos
        return sorted(self._models.list_models(module=self._models))

    def has(self, name: str) -> bool:
        return name in self._models.list_models()

    def make(self, name: str, arguments: Mapping[str, Any]) -> Any:
        return self._models.get_model(
            name, weights=None, **(dict(_OWN_INPUT.get(name, {})) | dict(arguments))
        )

    def preprocess(self, native: Any, name: str) -> object:
        try:
            transform = self._models.get_model_weights(name)["DEFAULT"].transforms()
        except (KeyError, ValueError):  # no published weights, so nothing is said about its input
            return None
        return transform if hasattr(transform, "crop_size") else None

    def assumed(self, name: str, arguments: Mapping[str, Any]) -> list[str]:
        if "transform_input" in _OWN_INPUT.get(name, {}) and "transform_input" not in arguments:
            return ["transform_input=true assumed, as for the published weights"]
        return []


class Timm:
    """The models of timm; a name may carry the tag of published weights, which then say the input."""

    title = "timm"

    def __init__(self) -> None:
        with _quiet():
            self._timm = import_timm()
        self.version = str(self._timm.__version__)

    def names(self) -> list[str]:
        return sorted(self._timm.list_models())

    def has(self, name: str) -> bool:
        # a name that is not listed could be an address, which timm would fetch from a network
        return name.partition(".")[0] in self._timm.list_models()

    def make(self, name: str, arguments: Mapping[str, Any]) -> Any:
        with _quiet():
            return self._timm.create_model(name, pretrained=False, **arguments)

    def preprocess(self, native: Any, name: str) -> object:
        told = getattr(native, "pretrained_cfg", None) or {}
        return from_timm(told) if {"input_size", "mean", "std"} <= set(told) else None

    def assumed(self, name: str, arguments: Mapping[str, Any]) -> list[str]:
        return []


@cache
def torchvision_zoo() -> Zoo:
    """torchvision's; CannotOpen or MissingPackage where it cannot be imported."""
    return Torchvision()


@cache
def timm_zoo() -> Zoo:
    """timm's; MissingPackage where it is not installed."""
    return Timm()


def installed_zoos() -> list[Zoo]:
    """The libraries that are installed, torchvision first; MissingPackage where there is none."""
    zoos: list[Zoo] = []
    missing = None
    for open_zoo in (torchvision_zoo, timm_zoo):
        try:
            zoos.append(open_zoo())
        except MissingPackage as error:
            missing = missing or error
    if not zoos and missing is not None:
        raise missing
    return zoos


def make_on_meta(zoo: Zoo, name: str, arguments: Mapping[str, Any]) -> Any:
    """The architecture without any memory for its weights: names and shapes alone."""
    import torch

    with _quiet():
        try:
            with torch.device("meta"):
                return zoo.make(name, arguments)
        except NotImplementedError:  # torchvision's RegNet reads its widths off a tensor
            with _weights_on_meta():
                return zoo.make(name, arguments)


def _weights_on_meta() -> Any:
    """Weights on the meta device, while what an architecture counts with (arange, tensor) stays readable."""
    import torch
    from torch.overrides import TorchFunctionMode

    makers = {torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn}

    class OnMeta(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            given = dict(kwargs or {})
            if func in makers and given.get("device") is None:
                given["device"] = "meta"
            return func(*args, **given)

    return OnMeta()


def make_unfilled(zoo: Zoo, name: str, arguments: Mapping[str, Any]) -> Any:
    """The architecture with whatever is in memory for weights: for those who overwrite every one of them.

    Drawing random numbers takes seconds for the large ones, which the checkpoint then replaces.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    draws = {torch.Tensor.normal_, torch.Tensor.uniform_}

    class Undrawn(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return args[0] if func in draws else func(*args, **(kwargs or {}))

    with Undrawn():
        return zoo.make(name, arguments)


@contextmanager
def _quiet() -> Iterator[None]:
    """timm warns about names that it will change and about packages that it would rather have."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def import_torchvision() -> Any:
    """torchvision, with the two ways in which it is missing told apart."""
    try:
        return importlib.import_module("torchvision")
    except ImportError as error:
        raise MissingPackage("torchvision", "torch", "an architecture by name") from error
    except RuntimeError as error:  # "operator torchvision::nms does not exist"
        raise CannotOpen(
            f"torch and torchvision do not fit each other ({error}): install the newest pair in one go, "
            "pip install -U torch torchvision"
        ) from error


def import_timm() -> Any:
    """timm, which is optional."""
    try:
        return importlib.import_module("timm")
    except ImportError as error:
        raise MissingPackage("timm", "timm", "an architecture of timm's") from error
