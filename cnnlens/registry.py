"""Find, check, name and forgive plugins.

Each entry point of the group `cnnlens` is loaded in its own `try`: one that breaks is a `Problem` with one
clear line and stops nothing. pluggy's own loader would abort everything at the first that raises, skip a
taken name silently, and never say that a hook is misspelt.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from pluggy import PluginManager, PluginValidationError

from . import hookspecs
from .errors import CnnlensError, UnknownName
from .visualiser import FAMILIES, Visualiser

GROUP = "cnnlens"


@dataclass(frozen=True)
class Problem:
    """A plugin, or a part of one, that was left out: which, why, and the traceback if there was one."""

    plugin: str
    reason: str
    trace: str = ""

    def __str__(self) -> str:
        return f"{self.plugin}: {self.reason}"


@dataclass(frozen=True)
class Plugin:
    """One loaded plugin: its distribution and entry point, its version, and what it brought."""

    name: str
    version: str
    visualisers: tuple[str, ...]


@dataclass(frozen=True)
class Registry:
    """What was found: visualisers by name, where each came from, and what was left out and why."""

    visualisers: dict[str, Visualiser[Any, Any]]
    plugins: tuple[Plugin, ...]
    problems: tuple[Problem, ...]

    def get(self, name: str) -> Visualiser[Any, Any]:
        """The visualiser of that name; UnknownName offers the nearest."""
        if name not in self.visualisers:
            raise UnknownName("visualiser", name, self.visualisers)
        return self.visualisers[name]

    def origin(self, name: str) -> Plugin:
        """The plugin that brought the visualiser."""
        return next(p for p in self.plugins if name in p.visualisers)

    def __iter__(self) -> Iterator[Visualiser[Any, Any]]:
        order = {family: place for place, family in enumerate(FAMILIES)}
        return iter(
            sorted(
                self.visualisers.values(),
                key=lambda v: (order.get(v.family, len(order)), v.family, v.title.lower()),
            )
        )


@functools.cache
def installed() -> Registry:
    """The registry of everything that is installed; looked up once a process."""
    return find(metadata.entry_points(group=GROUP))


def find(entry_points: Iterable[metadata.EntryPoint]) -> Registry:
    """Load the entry points, ours before guests', guests by name, and collect what they bring."""
    manager = PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    visualisers: dict[str, Visualiser[Any, Any]] = {}
    plugins: list[Plugin] = []
    problems: list[Problem] = []
    for name, entry_point in sorted(_named(entry_points).items(), key=lambda item: _order(*item)):
        try:
            module = entry_point.load()
            manager.register(module, name)
            manager.check_pending()
            brought = _brought(manager, module)
        except PluginValidationError as error:
            manager.unregister(name=name)
            problems.append(Problem(name, _hook_reason(error)))
            continue
        except Exception as error:
            reason = str(error) if isinstance(error, CnnlensError) else f"{type(error).__name__}: {error}"
            problems.append(Problem(name, reason, traceback.format_exc()))
            continue
        taken = [v for v in brought if v.name in visualisers]
        for v in taken:
            owner = next(p.name for p in plugins if v.name in p.visualisers)
            problems.append(
                Problem(name, f"visualiser {v.name!r} is left out: {owner} has that name already")
            )
        kept = {v.name: v for v in brought if v not in taken}
        visualisers |= kept
        plugins.append(Plugin(name, _version(entry_point), tuple(kept)))
    return Registry(visualisers, tuple(plugins), tuple(problems))


def _named(entry_points: Iterable[metadata.EntryPoint]) -> dict[str, metadata.EntryPoint]:
    """Entry points by `distribution:name`, so that none is shadowed; an editable install lists some twice."""
    return {f"{e.dist.name if e.dist else '?'}:{e.name}": e for e in entry_points}


def _order(name: str, entry_point: metadata.EntryPoint) -> tuple[bool, str]:
    return not (entry_point.dist is not None and entry_point.dist.name == "cnnlens"), name


def _version(entry_point: metadata.EntryPoint) -> str:
    return entry_point.dist.version if entry_point.dist else ""


def _hook_reason(error: PluginValidationError) -> str:
    known = ", ".join(sorted(n for n in vars(hookspecs) if n.startswith("cnnlens_")))
    return f"{' '.join(str(error).split())}; the hooks of cnnlens are: {known}"


def _brought(manager: PluginManager, module: Any) -> list[Visualiser[Any, Any]]:
    others = [p for p in manager.get_plugins() if p is not module]
    answers = manager.subset_hook_caller("cnnlens_visualisers", others)()
    brought = [v for answer in answers for v in answer]
    for v in brought:
        if not isinstance(v, Visualiser):
            raise TypeError(
                f"cnnlens_visualisers() returned {v!r}; decorate the function with @visualiser(title=…)"
            )
    return brought
