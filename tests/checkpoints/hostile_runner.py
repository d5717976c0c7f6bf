"""Hands files to load or to inspect in a process of its own, under a limit of memory and of time.

    python hostile_runner.py load|inspect WARM FILE …

WARM is a folder of honest files, opened first, so that what is imported late is there before the watch
begins. Prints one JSON line a file. A file that takes over ten seconds ends the process, which the test sees.
"""

from __future__ import annotations

import codecs
import json
import resource
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import cnnlens

MEBI = 1 << 20
ROOM = 512 * MEBI
SECONDS = 10

armed = False
seen: list[str] = []
#: What no reading of a file has any business to do; what is imported, compiled or run is code.
FORBIDDEN = (
    "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.spawn", "subprocess.", "socket.", "exec",
    "compile", "import", "marshal.", "pickle.", "ctypes.", "code.", "urllib.", "shutil.", "os.remove",
    "os.rename", "os.mkdir", "os.chmod", "os.link", "os.symlink", "os.putenv", "tempfile.",
    "sys.settrace", "webbrowser.",
)  # fmt: skip


def watch(event: str, args: tuple[Any, ...]) -> None:
    """The audit hook: notes what code does that only runs when something of the file is run."""
    if not armed:
        return
    if event == "open":
        name, mode, flags = args
        if (mode and set(str(mode)) & set("wax+")) or (flags or 0) & 3:
            seen.append(f"open {name!r} {mode!r} to write")
    elif event.startswith(FORBIDDEN):
        seen.append(f"{event} {str(args)[:120]}")


def held() -> int:
    """Bytes of address space this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def load(path: Path) -> None:
    """As a user does, with an architecture where the file needs one."""
    keras = path.suffix in (".keras", ".h5")
    options: dict[str, Any] = (
        {} if keras else {"arch": "cnnlens.testing:tiny_torch", "preprocess": {"size": 8}}
    )
    cnnlens.load(path, **options)


def attempt(what: str, path: Path) -> dict[str, Any]:
    """One file: the error or the answer, the seconds, the memory, and what the watch saw."""
    global armed
    size = path.stat().st_size
    resource.setrlimit(resource.RLIMIT_AS, (held() + size + ROOM, resource.RLIM_INFINITY))
    before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    told: dict[str, Any] = {"file": path.name, "error": None, "message": "", "typed": True}
    signal.alarm(SECONDS)
    try:
        armed = what == "inspect"
        if what == "inspect":
            told["facts"] = cnnlens.inspect(path).facts()
        else:
            load(path)
    except Exception as error:
        kinds = [kind.__name__ for kind in type(error).__mro__]
        told |= {"error": kinds[0], "kinds": kinds, "message": str(error), "typed": "CnnlensError" in kinds}
    finally:
        armed = False
        signal.alarm(0)
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    told["seconds"] = round(time.perf_counter() - begun, 3)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    told |= {"grown_mb": round(grown / 1024), "seen": list(seen)}
    seen.clear()
    return told


def main() -> None:
    """Warm up on the honest files, then go through the others."""
    what, warm, *files = sys.argv[1:]
    warnings.simplefilter("ignore")
    sys.modules["tensorflow"] = None  # type: ignore[assignment] # Keras does without, and starts sooner
    for codec in ("ascii", "cp437", "latin-1", "utf-8", "raw_unicode_escape", "unicode_escape"):
        codecs.lookup(codec)  # Python imports its own when they are first asked for
    sys.addaudithook(watch)
    for path in sorted(Path(warm).iterdir()):
        try:
            cnnlens.inspect(path) if what == "inspect" else load(path)
        except cnnlens.CnnlensError:
            pass  # honest weights of another network: the reader is warm all the same
    for name in files:
        print(json.dumps(attempt(what, Path(name))), flush=True)


if __name__ == "__main__":
    main()
