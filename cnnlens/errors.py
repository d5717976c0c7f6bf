"""Everything that can go wrong, and what a person is told.

::

    CnnlensError                 exit 1
    ├── UsageError               exit 2   what was asked for makes no sense
    │   ├── UnknownName                   no such layer, class, visualiser, setting …
    │   ├── BadSetting                    a setting has a value it may not have
    │   └── BadInput                      an array or a preprocessing that does not fit
    ├── CannotOpen               exit 1   a file is not there or not what it should be
    │   └── Mismatch                      weights that do not fit their architecture
    ├── Refused                  exit 3   opening it would run code that came with it, or is not safe
    ├── MissingPackage           exit 1   an extra is not installed
    ├── Unmet                    exit 1   this visualiser cannot read this model
    ├── PluginFailed             exit 1   a visualiser raised; the plugin is named
    ├── Cancelled                exit 1   somebody pressed stop
    ├── OutOfMemory              exit 1   there was not enough memory for it
    ├── OutOfTime                exit 1   it took longer than it may
    └── WorkerDied               exit 1   the process that ran the model came to an end

A message says what was asked, what was found, and what would do.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class CnnlensError(Exception):
    """The root of all errors that cnnlens raises on purpose; its text is meant for people."""

    exit_code = 1


class UsageError(CnnlensError):
    """What was asked for makes no sense; nothing was run."""

    exit_code = 2


class UnknownName(UsageError):
    """No such layer, class, visualiser, setting or preset; the nearest names are offered."""

    def __init__(self, what: str, asked: str, known: Iterable[str], where: str = "") -> None:
        self.what, self.asked, self.known = what, asked, tuple(known)
        super().__init__(f"no {what} {asked!r}{where}; {self._offer()}")

    def _offer(self) -> str:
        lowered: dict[str, str] = {}
        for name in self.known:
            lowered.setdefault(name.lower(), name)
        asked = self.asked.lower()
        near = [lowered[n] for n in get_close_matches(asked, lowered, n=5, cutoff=0.5)]
        if asked:
            near += [name for low, name in lowered.items() if asked in low and name not in near]
        if near:
            return "did you mean " + ", ".join(repr(n) for n in near[:5]) + "?"
        if len(self.known) <= 12:
            return "it has " + (", ".join(self.known) or "none")
        return f"it has {len(self.known)}: " + ", ".join(self.known[:8]) + ", …"


class BadSetting(UsageError):
    """A setting has a value outside what its declaration allows."""


class BadInput(UsageError):
    """An array, a picture size or a preprocessing that does not fit the model."""


class CannotOpen(CnnlensError):
    """A file is not there, or is not what it should be."""


class Mismatch(CannotOpen):
    """Weights that do not fit the architecture they were given."""


class Refused(CnnlensError):
    """Opening the file would run code that came with it, or it is built to deceive or to exhaust."""

    exit_code = 3


class MissingPackage(CnnlensError):
    """Something optional is needed and not installed; the text names the extra, or `install` what would do."""

    def __init__(self, package: str, extra: str, why: str, install: str | None = None) -> None:
        told = install or f"pip install 'cnnlens[{extra}]'"
        super().__init__(f"{why} needs {package}, which is not installed: {told}")


class Unmet(CnnlensError):
    """This visualiser cannot read this model, and why."""


class PluginFailed(CnnlensError):
    """A visualiser raised something that is not a CnnlensError; its plugin is named."""


class Cancelled(CnnlensError):
    """The work was stopped because somebody asked for it."""


class OutOfMemory(CnnlensError):
    """There was not enough memory for it; the model is as it was and goes on."""


class OutOfTime(CnnlensError):
    """It took longer than it may, and was stopped."""


class WorkerDied(CnnlensError):
    """The viewer's process that ran the model came to an end: how, and what becomes of it."""
