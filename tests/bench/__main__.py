"""`python -m tests.bench [names]`: ours, the peers and the floor, side by side; a table, and JSON with -o.

Each file of this folder with a function `rows(turns)` is a topic, and its name is the file's.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
from datetime import date
from importlib import metadata
from pathlib import Path

from cnnlens.memory import in_words

from .measure import TURNS, Row

HERE = Path(__file__).parent


def topics() -> list[str]:
    """The files that have rows, by name."""
    return sorted(file.stem for file in HERE.glob("*.py") if "\ndef rows(" in file.read_text("utf-8"))


def line(row: Row, turns: int) -> str:
    """A row of the table, in Markdown; it says where it had another number of turns."""
    verdict = {True: "yes", False: "**no**", None: ""}[row.reached]
    sign = "≥" if row.kind == "faster" else "≤"
    asked = f"{sign} {row.asked:.3g}×" if row.asked else ""
    asked += f", ≤ {in_words(row.may)}" if row.may else ""
    times = f"{1000 * row.ours:.4g} ms | {1000 * row.theirs:.4g} ms"
    spread = f"{row.ratio:.3g}× ({row.low:.3g} to {row.high:.3g})"
    spread += f", {row.turns} turns" if row.turns != turns else ""
    return f"| {row.what} | {row.against} | {times} | {spread} | {asked} | {verdict} | {row.equal} |"


COLUMNS = ("what", "against", "ours", "theirs", "ratio (ends)", "asked", "reached", "results differ by")
HEAD = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"
PACKAGES = (
    "torch",
    "torchvision",
    "keras",
    "tensorflow",
    "jax",
    "numpy",
    "captum",
    "grad-cam",
    "torchcam",
    "zennit",
)


def machine() -> dict[str, object]:
    """What the figures hang on."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "absent"
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "versions": found,
    }


def put_into(page: Path, topic: str, lines: list[str], turns: int) -> None:
    """A topic's table in its place on a page, between two comments; SystemExit where they are not there."""
    begin, end = f"<!-- {topic} -->\n", f"<!-- end of {topic} -->"
    before, found, rest = page.read_text("utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise SystemExit(f"{page} has no place for {topic}: {begin.strip()} and {end}, a line each")
    when = f"{date.today()}, {turns} turns\n"
    page.write_text(before + begin + "\n".join([when, HEAD, *lines, ""]) + end + after, "utf-8")


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(topics())}; all by default")
    parser.add_argument("-t", "--turns", type=int, default=TURNS)
    parser.add_argument("-o", "--output", type=Path, help="a JSON file for the figures")
    parser.add_argument(
        "--into", type=Path, help="a page with a place for each topic's table, to be filled in"
    )
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(topics()):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(topics())}")
    print(HEAD, flush=True)
    done: list[dict[str, object]] = []
    for topic in asked.names or topics():
        table: list[str] = []
        for row in importlib.import_module(f"tests.bench.{topic}").rows(asked.turns):
            table.append(line(row, asked.turns))
            print(table[-1], flush=True)
            done.append({"topic": topic, **row.facts()})
            if asked.output:  # row by row: a run that is stopped keeps what it has
                asked.output.write_text(
                    json.dumps({"machine": machine(), "turns": asked.turns, "rows": done}, indent=1)
                )
        if asked.into and table:  # a whole one or none
            put_into(asked.into, topic, table, asked.turns)
    sys.exit(any(row["reached"] is False for row in done))


if __name__ == "__main__":
    main()
