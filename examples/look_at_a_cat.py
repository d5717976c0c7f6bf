"""What a network saw in a photograph of a cat: the same three looks, from Python.

    python examples/look_at_a_cat.py [FOLDER]

Uses the network and the photographs of `cnnlens demo` (pip install -e '.[demo]').
"""

from __future__ import annotations

import sys
from pathlib import Path

import cnnlens
from cnnlens.demo import demo_images, demo_model


def main(folder: Path) -> None:
    """Print what it is, and write where the network looked."""
    model = demo_model()
    cat = cnnlens.Probe(model, demo_images()[0])  # one probe for all looks: passes are shared

    chances = cnnlens.look(model, cat, "class-probabilities", top=3).panels[0]
    assert isinstance(chances, cnnlens.Bars)
    for name, chance in zip(chances.names, chances.values, strict=True):
        print(f"{chance:.2f}  {name}")

    looked = cnnlens.look(model, cat, "grad-cam")
    print("saved", looked.save(folder / "grad-cam.png"))

    # why this class rather than the next one
    rather = cnnlens.look(model, cat.towards("Egyptian cat - tabby"), "grad-cam", positive=False)
    print(f"Egyptian cat − tabby: from {rather.array.min():.3f} to {rather.array.max():.3f}")
    print("saved", rather.save(folder / "rather-than-tabby.png"))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
