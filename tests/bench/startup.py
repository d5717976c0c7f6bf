"""How long `import cnnlens` takes, against the four packages that it stands on.

By hand: `python tests/bench/startup.py`. Fresh interpreters, interleaved so that a busy
machine slows all alike; what is told is the ratio of the medians. Nothing in the suite asserts it.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

RUNS = 31
#: `import pydantic` alone defers the part that everybody who declares a model goes on to load.
STANDS_ON = "import numpy, PIL.Image, click; from pydantic import BaseModel, Field, create_model"
CASES = {
    "numpy + Pillow + pydantic + click": ["-c", STANDS_ON],
    "the same, pydantic left unused": ["-c", "import numpy, PIL.Image, pydantic, click"],
    "import cnnlens": ["-c", "import cnnlens"],
    "import cnnlens, and click": ["-c", "import cnnlens, click"],
    "cnnlens --help": ["-c", "from cnnlens.cli import main; main(['--help'], prog_name='cnnlens')"],
    "python alone": ["-c", "pass"],
}


def seconds(arguments: list[str], compiled: str) -> float:
    """Wall time of one interpreter from start to end; what it compiles is kept in the folder `compiled`."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = compiled
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - started


def main() -> None:
    """Time every case in turn, RUNS times, and print medians and ratios."""
    taken: dict[str, list[float]] = {name: [] for name in CASES}
    with tempfile.TemporaryDirectory() as compiled:
        for run in range(RUNS + 1):
            for name, arguments in CASES.items():
                spent = seconds(arguments, compiled)
                if run:  # the first round compiles, and warms the disk cache
                    taken[name].append(spent)
    medians = {name: statistics.median(times) for name, times in taken.items()}
    yardstick = medians["numpy + Pillow + pydantic + click"]
    for name, median in medians.items():
        print(f"{median * 1000:7.1f} ms  {median / yardstick:5.2f} x  {name}")


if __name__ == "__main__":
    main()
