"""Single passes, both sides in a process that keeps part of what it frees, as the viewer's and the command's do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory

from .measure import Row

#: What `cnnlens.runtime.settle` does, for all that runs in the process.
KEPT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(256 * 2**20)}


def rows(turns: int) -> Iterator[Row]:
    """Those of `passes`, from a process of its own."""
    with TemporaryDirectory() as place:
        found = Path(place) / "rows.json"
        command = [sys.executable, "-m", "tests.bench", "passes", "-t", str(turns), "-o", str(found)]
        subprocess.run(command, env={**os.environ, **KEPT}, stdout=subprocess.DEVNULL, check=False)
        for row in json.loads(found.read_text())["rows"]:
            yield Row(**{field.name: row[field.name] for field in fields(Row)})
