"""An architecture by name or by code → a native model with untrained weights."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import CannotOpen, CnnlensError, MissingPackage, UnknownName, UsageError


class Built(NamedTuple):
    """A native model, its name, and its preprocessing where the architecture's source says it."""

    native: Any
    name: str
    preprocess: object = None


def build(arch: Any, arguments: Mapping[str, Any]) -> Built:
    """Build `arch`: a torchvision name, `package.module:callable`, `file.py:callable`, callable or model."""
    if isinstance(arch, str):
        if ":" not in arch:
            return _from_torchvision(arch, arguments)
        make, name = _find_callable(arch), arch.rpartition(":")[2]
    elif _is_model(arch):
        return Built(arch, type(arch).__name__)
    elif callable(arch):
        make, name = arch, getattr(arch, "__name__", type(arch).__name__)
    else:
        raise UsageError(
            f"an architecture is a name, module:callable, file.py:callable or a model, not {arch!r}"
        )
    native = _called(make, name, arguments)
    if not _is_model(native):
        raise UsageError(f"{name}() returned a {type(native).__name__}, not a torch.nn.Module or keras.Model")
    return Built(native, type(native).__name__)


def _called(make: Callable[..., Any], name: str, arguments: Mapping[str, Any]) -> Any:
    shown = ", ".join(f"{k}={v!r}" for k, v in arguments.items())
    try:
        return make(**arguments)
    except CnnlensError:
        raise
    except Exception as error:  # the user's own code may raise anything
        raise CannotOpen(f"{name}({shown}) failed: {type(error).__name__}: {error}") from error


def _from_torchvision(name: str, arguments: Mapping[str, Any]) -> Built:
    models = import_torchvision().models
    if name not in models.list_models():
        raise UnknownName(
            "torchvision architecture", name, models.list_models(), " (own code: file.py:callable)"
        )
    native = _called(lambda **kw: models.get_model(name, weights=None, **kw), name, _quiet(name, arguments))
    try:
        preprocess = models.get_model_weights(name)["DEFAULT"].transforms()
    except (KeyError, ValueError):  # no published weights, so nothing is said about its input
        preprocess = None
    return Built(native, name, preprocess if hasattr(preprocess, "crop_size") else None)


def _quiet(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Both warn that their slow default initialisation will change; it is overwritten by the checkpoint."""
    quiet = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    return quiet | dict(arguments)


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


def _find_callable(spec: str) -> Callable[..., Any]:
    place, _, attribute = spec.rpartition(":")
    module = _module_of_file(Path(place)) if place.endswith(".py") else _module_by_name(place)
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            known = [n for n, v in vars(found).items() if callable(v) and not n.startswith("_")]
            raise UnknownName("callable", part, known, f" in {place}")
        found = getattr(found, part)
    if not callable(found):
        raise UsageError(f"{spec} is a {type(found).__name__}, which cannot be called to build a model")
    return found  # type: ignore[no-any-return]


def _module_by_name(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise CannotOpen(f"cannot import {name!r} for the architecture: {error}") from error


def _module_of_file(path: Path) -> Any:
    if not path.is_file():
        raise CannotOpen(f"no such file for the architecture: {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    folder = str(path.resolve().parent)  # the file may import its neighbours
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise CannotOpen(f"{path} failed when it was imported: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(folder)
    return module


def _is_model(value: Any) -> bool:
    torch, keras = sys.modules.get("torch"), sys.modules.get("keras")
    return (torch is not None and isinstance(value, torch.nn.Module)) or (
        keras is not None and isinstance(value, keras.Model)
    )
