"""How long `import cnnlens` and `cnnlens --help` take, against the four packages that cnnlens stands on.

Fresh interpreters, in turn, so that a busy machine slows all alike.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator

from .measure import Row, cost

#: `import pydantic` alone defers the part that everybody who declares a model goes on to load.
STANDS_ON = "import numpy, PIL.Image, click; from pydantic import BaseModel, Field, create_model"
CASES = {
    "import cnnlens": "import cnnlens",
    "import cnnlens, and click": "import cnnlens, click",
    "cnnlens --help": "from cnnlens.cli import main; main(['--help'], prog_name='cnnlens')",
}
ASKED = 1.3


def rows(turns: int) -> Iterator[Row]:
    """A case at a time; interpreters take little, so there are more turns."""
    with tempfile.TemporaryDirectory() as compiled:
        for what, code in CASES.items():
            yield cost(
                what, "numpy + Pillow + pydantic + click", _run(code, compiled), _run(STANDS_ON, compiled),
                asked=ASKED, equal="it exits with 0", turns=3 * turns,
            )  # fmt: skip


def _run(code: str, compiled: str) -> Callable[[], object]:
    """One interpreter from start to end; what it compiles is kept in the folder `compiled`."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = compiled

    def run() -> object:
        done = [sys.executable, "-c", code]
        return subprocess.run(done, check=True, stdout=subprocess.DEVNULL, env=environment)

    return run
