"""An architecture by name or by code → a native model with untrained weights."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import CannotOpen, CnnlensError, UnknownName, UsageError
from .zoo import Zoo, installed_zoos, make_unfilled, timm_zoo, torchvision_zoo

_ZOOS: Mapping[str, Callable[[], Zoo]] = {"torchvision": torchvision_zoo, "timm": timm_zoo}


class Built(NamedTuple):
    """A native model, its name, and its preprocessing where the architecture's source says it."""

    native: Any
    name: str
    preprocess: object = None
    assumed: Sequence[str] = ()


def build(arch: Any, arguments: Mapping[str, Any]) -> Built:
    """Build `arch`: a name of torchvision or timm, `module:callable`, `file.py:callable` or the thing itself.

    Code is run, names are not looked up anywhere but in the installed libraries.
    """
    if isinstance(arch, str):
        if named := find_named(arch):
            return _from_zoo(*named, arguments)
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


def _from_zoo(zoo: Zoo, name: str, arguments: Mapping[str, Any]) -> Built:
    # every weight of it is overwritten, or the file is refused
    native = _called(lambda **kw: make_unfilled(zoo, name, kw), name, arguments)
    title = name if zoo.title == "torchvision" else f"{zoo.title}:{name}"
    return Built(native, title, zoo.preprocess(native, name), zoo.assumed(name, arguments))


def find_named(arch: str) -> tuple[Zoo, str] | None:
    """The library and the name that `arch` means; None where it is code. torchvision's names come first."""
    library, _, name = arch.rpartition(":")
    if library in _ZOOS:
        zoo = _ZOOS[library]()
        if not zoo.has(name):
            raise UnknownName(f"{library} architecture", name, zoo.names())
        return zoo, name
    if library:
        return None
    zoos = installed_zoos()
    for zoo in zoos:
        if zoo.has(arch):
            return zoo, arch
    known = dict.fromkeys(known for zoo in zoos for known in zoo.names())
    where = " and ".join(zoo.title for zoo in zoos)
    raise UnknownName("architecture", arch, known, f" in {where} (own code: file.py:callable)")


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
