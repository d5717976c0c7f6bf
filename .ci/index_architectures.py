"""Write cnnlens/checkpoints/architectures.json from the installed torchvision and timm; it builds all."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from cnnlens.checkpoints.index import describe, write_table  # noqa: E402
from cnnlens.checkpoints.zoo import timm_zoo, torchvision_zoo  # noqa: E402


def main() -> None:
    zoos = [torchvision_zoo(), timm_zoo()]
    found, classless = {}, {}
    for zoo in zoos:
        rows = [(name, describe(zoo, name)) for name in zoo.names()]
        found[zoo.title] = [entry for _, entries in rows for entry in entries]
        classless[zoo.title] = [name for name, entries in rows if not entries]
        print(f"{zoo.title} {zoo.version}: {len(rows)} names, classless: {classless[zoo.title]}")
    place = ROOT / "cnnlens" / "checkpoints" / "architectures.json"
    place.write_text(write_table(found, classless, {zoo.title: zoo.version for zoo in zoos}), "utf-8")


if __name__ == "__main__":
    main()
