"""Single passes, both sides in a process that keeps part of what it frees, as the viewer's and the command's do."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from .measure import Row

MEASURE = """
import json, sys
from dataclasses import asdict
from cnnlens.runtime import settle
settle()
from tests.bench import passes
with open(sys.argv[2], "w") as out:
    json.dump([asdict(row) for row in passes.rows(int(sys.argv[1]))], out)
"""


def rows(turns: int) -> Iterator[Row]:
    """Those of `passes`, from a process that is settled as ours are."""
    with TemporaryDirectory() as place:
        found = Path(place) / "rows.json"
        subprocess.run([sys.executable, "-c", MEASURE, str(turns), str(found)], check=True)
        yield from (Row(**row) for row in json.loads(found.read_text()))
