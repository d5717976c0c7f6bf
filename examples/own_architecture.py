"""Your own network, in your own file: train it a little, save its weights, open them by file and name.

    python examples/own_architecture.py [FOLDER]

The architecture is `TinyNet` below; from the shell it is `--arch examples/own_architecture.py:TinyNet`.
The pictures are drawn here; the network learns to tell a circle, a square and a triangle apart.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

import cnnlens

SHAPES = ("circle", "square", "triangle")
SIDE = 24


class TinyNet(nn.Module):
    """Two convolutions and a dense layer; grey pictures of 24 by 24 pixels."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(inplace=True), nn.AdaptiveMaxPool2d(3),
        )  # fmt: skip
        self.head = nn.Linear(16 * 9, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores, before softmax."""
        scores: torch.Tensor = self.head(self.features(x).flatten(1))
        return scores


def draw(shape: str, rng: np.random.Generator) -> np.ndarray:
    """A white shape at a random place on black, (24, 24, 1) in [0, 1]."""
    y, x = np.mgrid[:SIDE, :SIDE] - rng.integers(7, SIDE - 7, (2, 1, 1))
    inside = {
        "circle": x**2 + y**2 <= 25,
        "square": np.maximum(abs(x), abs(y)) <= 4,
        "triangle": (abs(y) <= 5) & (abs(x) <= (y + 5) / 2),
    }[shape]
    return np.clip(inside + rng.normal(0, 0.1, inside.shape), 0, 1).astype(np.float32)[..., None]


def train(steps: int = 120) -> TinyNet:
    """A network that tells the three apart; a few seconds on a laptop."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    net = TinyNet()
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(steps):
        labels = rng.integers(0, 3, 32)
        pictures = np.stack([draw(SHAPES[label], rng) for label in labels])
        scores = net(torch.from_numpy(pictures).movedim(-1, 1))
        loss = nn.functional.cross_entropy(scores, torch.from_numpy(labels))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return net


def main(folder: Path) -> None:
    """Train, save, open, look."""
    torch.save({"state_dict": train().state_dict(), "epoch": 1}, folder / "shapes.pt")

    model = cnnlens.load(
        folder / "shapes.pt", arch=f"{__file__}:TinyNet", preprocess={"size": SIDE}, labels=SHAPES
    )
    print(model)
    print("layers with maps:", ", ".join(layer.name for layer in model.layers if layer.has_maps))

    square = draw("square", np.random.default_rng(5))
    first = cnnlens.look(model, square, "class-probabilities").panels[0]
    assert isinstance(first, cnnlens.Bars)
    print(f"it is a {first.names[0]}, {first.values[0]:.2f}")
    print(
        "saved", cnnlens.look(model, square, "occlusion", window=6, stride=2).save(folder / "occlusion.png")
    )
    print("saved", cnnlens.look(model, None, "filter-weights").save(folder / "filters.png"))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
