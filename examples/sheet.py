"""Several photographs, the two likeliest classes of each, two visualisers: one page.

    python examples/sheet.py [FOLDER]

Writes `sheet.html`, which needs nothing else to be shown. Passes are shared where they can be. Uses the
network and the photographs of `cnnlens demo` (pip install -e '.[demo]').
"""

from __future__ import annotations

import sys
from pathlib import Path

import cnnlens
from cnnlens.demo import demo_images, demo_model


def main(folder: Path) -> None:
    """Look at three photographs and write one page."""
    looks = cnnlens.sheet(
        demo_model(),
        demo_images()[:3],
        ["class-probabilities", "grad-cam"],
        targets=["top1", "top2"],
        settings={"class-probabilities": {"top": 3}},
    )
    for one in looks:
        print(one.facts["image"], "·", one.caption)
    print("saved", *looks.save(folder / "sheet.html"))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
