"""Every rule on the network of `parity_net`, in PyTorch or in Keras: `python rules_parity.py torch|keras OUT.npz`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import parity_net

import cnnlens
from cnnlens_plugins.rules import cnnlens_visualisers


def main(framework: str, out: str) -> None:
    """Look with each visualiser, and with LRP through each composite."""
    native = {"torch": parity_net.in_torch, "keras": parity_net.in_keras}[framework](parity_net.arrays())
    model = cnnlens.wrap(native, preprocess=parity_net.SPEC)
    picture = np.random.default_rng(3).random((parity_net.SIDE, parity_net.SIDE, 3), np.float32)
    found = {}
    for visualiser in cnnlens_visualisers():
        choices = visualiser.settings.schema().get("composite", {}).get("enum", [None])
        if visualiser.name == "deeplift":
            choices = visualiser.settings.schema()["baseline"]["enum"][:3]
        for choice in choices:
            setting = {"deeplift": "baseline", "lrp": "composite"}.get(visualiser.name)
            told = {setting: choice} if setting else {}
            found[f"{visualiser.name} {choice}"] = cnnlens.look(
                model, picture, visualiser, target=3, **told
            ).array
    np.savez(out, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
