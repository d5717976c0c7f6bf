"""Train the network of network.py, or evaluate the weights beside it, on photographs in DATA/cat and DATA/dog.

python train.py train DATA [OUT]      trains on four fifths, and writes both files of weights to OUT
python train.py choose DATA           trains on three fifths and tells how good it is on a fourth, for choices
python train.py evaluate DATA [torch|keras]   the accuracy on the held-out fifth of the weights that are here

Needs torch, keras and cnnlens. Nothing is chosen by the held-out fifth: `train` and `choose` do not read it.
"""

from __future__ import annotations

import hashlib
import math
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from network import CLASSES, SIDE, in_torch, to_keras
from PIL import Image

HERE = Path(__file__).resolve().parent
BATCH, DECAY, DROPOUT, SMOOTHING = 32, 0.05, 0.3, 0.05


class Round(NamedTuple):
    """One go through training: at which size and padding, for how long, in which steps, normalised or not.

    Every `renewed` epochs there are new variants of the photographs.
    """

    side: int
    padding: str
    epochs: int
    rate: float
    normalised: bool
    renewed: int


#: First on small pictures, which is quick. The others go on from there as the network is used: at full size, and
#: without zeros about the maps, which the last layers took for something to be seen. Shapes of weights are the same.
ROUNDS = (
    Round(96, "same", 90, 3e-3, True, 30),
    Round(SIDE, "valid", 28, 8e-4, False, 28),
    Round(SIDE, "valid", 45, 1e-3, False, 15),
    Round(SIDE, "valid", 100, 2e-3, False, 10),
)
#: Now and then each photograph is cut, turned and mirrored anew, in so many ways.
VARIANTS = 6
#: Variants are larger than what is fed by so many pixels: each batch takes another window.
MARGIN = 12
#: The average over the weights of so many last steps, roughly, is what is kept.
AVERAGED = 150


class Photographs(NamedTuple):
    """Files and their classes, 0 for a cat and 1 for a dog."""

    files: list[Path]
    classes: list[int]


def fifths(data: Path) -> list[Photographs]:
    """The photographs of each class in five parts, by the hash of folder and name: the same on any machine.

    The first part is held out. The second is for choices.
    """
    parts = [Photographs([], []) for _ in range(5)]
    for number, name in enumerate(CLASSES):
        files = sorted((data / name).glob("*.jpg"), key=lambda file: _digest(f"{name}/{file.name}"))
        for place, file in enumerate(files):
            part = parts[place * 5 // len(files)]
            part.files.append(file)
            part.classes.append(number)
    return parts


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def together(parts: list[Photographs]) -> Photographs:
    """Several parts as one."""
    return Photographs([f for p in parts for f in p.files], [c for p in parts for c in p.classes])


def pixels(files: list[Path], side: int) -> Any:
    """Photographs squashed to squares, (n, 3, side, side) in 0 … 255."""
    import torch

    squares = []
    for file in files:
        with Image.open(file) as image:
            squares.append(
                np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR), np.uint8)
            )
    return torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).contiguous()


def variants(squares: Any, side: int, draw: Any) -> Any:
    """Each photograph in other sections, angles and proportions, half of them mirrored: (VARIANTS, n, 3, …)."""
    import torch
    from torch.nn.functional import affine_grid, grid_sample

    made = []
    for some in [part for _ in range(VARIANTS) for part in squares.split(64)]:
        n = len(some)

        def uniform(low: float, high: float, n: int = n) -> Any:
            return torch.empty(n).uniform_(low, high, generator=draw)

        share, shape, angle = uniform(0.65, 1), uniform(-0.2, 0.2).exp(), uniform(-0.21, 0.21)
        wide, high = share * shape, share / shape
        mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
        right = uniform(-1, 1) * ((1 - wide).clamp(min=0) + 0.05)
        down = uniform(-1, 1) * ((1 - high).clamp(min=0) + 0.05)
        rows = [
            torch.stack([mirror * wide * angle.cos(), -high * angle.sin(), right], 1),
            torch.stack([mirror * wide * angle.sin(), high * angle.cos(), down], 1),
        ]
        grid = affine_grid(torch.stack(rows, 1), [n, 3, side, side], align_corners=False)
        seen = grid_sample(some.float(), grid, padding_mode="reflection", align_corners=False)
        made.append(seen.round().clamp(0, 255).to(torch.uint8))
    return torch.cat(made).reshape(VARIANTS, len(squares), 3, side, side)


def batch_of(made: Any, which: Any, draw: Any) -> Any:
    """One variant of each of these photographs in another light, as the network is fed it: −1 … 1."""
    import torch

    def uniform(low: float, high: float, channels: int = 1) -> Any:
        return torch.empty(len(which), channels, 1, 1).uniform_(low, high, generator=draw)

    variant = torch.randint(0, VARIANTS, (len(which),), generator=draw)
    top, left = torch.randint(0, MARGIN + 1, (2,), generator=draw).tolist()
    side = made.shape[-1] - MARGIN
    seen = made[variant, which, :, top : top + side, left : left + side].float() / 127.5 - 1
    mean = seen.mean((1, 2, 3), keepdim=True)
    seen = (seen - mean) * uniform(-0.3, 0.3).exp() + mean + uniform(-0.24, 0.24) + uniform(-0.075, 0.075, 3)
    seen = torch.where(uniform(0, 1) < 0.1, seen.mean(1, keepdim=True), seen)  # one in ten without colours
    return seen.clamp(-1, 1).contiguous(memory_format=torch.channels_last)


def learn(photographs: Photographs, rounds: tuple[Round, ...] = ROUNDS) -> Iterator[tuple[str, float, Any]]:
    """Train; after each epoch its name, its loss and the network with the averaged weights."""
    import torch

    weights = None
    for number, one in enumerate(rounds):
        torch.manual_seed(number)
        network = in_torch(one.side, one.padding)
        if weights is not None:
            network.load_state_dict(weights)
        for epoch, loss, averaged in go_through(photographs, network, one, seed=number):
            yield f"{number + 1}.{epoch}", loss, averaged
        weights = averaged.state_dict()


def go_through(
    photographs: Photographs, network: Any, one: Round, seed: int
) -> Iterator[tuple[int, float, Any]]:
    """One round: train the network; after each epoch its number, its loss and the averaged network."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    squares, classes = pixels(photographs.files, one.side * 5 // 4), torch.tensor(photographs.classes)
    trained = for_training(network, one.normalised).to(memory_format=torch.channels_last)
    averaged = torch.optim.swa_utils.AveragedModel(
        trained, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(1 - 1 / AVERAGED), use_buffers=True
    )
    kernels = [p for p in trained.parameters() if p.ndim > 1]
    others = [p for p in trained.parameters() if p.ndim == 1]
    groups = [{"params": kernels, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=one.rate)
    steps = len(classes) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, one.rate, total_steps=one.epochs * steps, pct_start=0.15
    )
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
    for epoch in range(one.epochs):
        if epoch % one.renewed == 0:
            made = variants(squares, one.side + MARGIN, draw)
        total, order = 0.0, torch.randperm(len(classes), generator=draw)
        for which in order[: steps * BATCH].split(BATCH):
            with torch.autocast("cpu", torch.bfloat16):
                scores = trained(batch_of(made, which, draw))
            loss = loss_of(scores.float(), classes[which])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            averaged.update_parameters(trained)
            total += loss.item()
        yield epoch + 1, total / steps, folded(averaged.module, in_torch(one.side, one.padding))


def for_training(network: Any, normalised: bool = True) -> Any:
    """The same layers with batch normalisation before each ReLU and dropout before each dense layer.

    Plain networks of this size hardly begin to learn from a thousand photographs. What is saved has neither: see
    `folded`.
    """
    from torch import nn

    layers: list[nn.Module] = []
    for module in network:
        if isinstance(module, nn.Conv2d) and normalised:
            layers += [module, nn.BatchNorm2d(module.out_channels)]
        elif isinstance(module, nn.Linear):
            layers += [nn.Dropout(DROPOUT), module]
        else:
            layers.append(module)
    return nn.Sequential(*layers)


def folded(trained: Any, network: Any) -> Any:
    """The plain network with the trained weights: a normalisation is a factor and a shift, which kernels can bear."""
    import torch
    from torch import nn

    modules = list(trained)
    for plain in network:
        if not isinstance(plain, nn.Conv2d | nn.Linear):
            continue
        at = next(i for i, module in enumerate(modules) if type(module) is type(plain))
        weight, bias = modules[at].weight, modules[at].bias
        norm = modules[at + 1] if at + 1 < len(modules) else None
        modules = modules[at + 1 :]
        if isinstance(norm, nn.BatchNorm2d):
            factor = norm.weight / (norm.running_var + norm.eps).sqrt()
            weight, bias = (
                weight * factor[:, None, None, None],
                (bias - norm.running_mean) * factor + norm.bias,
            )
        with torch.no_grad():
            plain.weight.copy_(weight)
            plain.bias.copy_(bias)
    return network.eval()


def choose(data: Path) -> None:
    """Train on three fifths, and tell every few epochs how many of the second fifth are right."""
    import torch

    _, second, *rest = fifths(data)
    classes, begun = torch.tensor(second.classes), time.monotonic()
    seen = {one.side: pixels(second.files, one.side).float() / 127.5 - 1 for one in ROUNDS}
    for epoch, loss, network in learn(together(rest)):
        if epoch.endswith(("0", "5")):
            side = ROUNDS[int(epoch[0]) - 1].side
            with torch.no_grad():
                right = (network(seen[side]).argmax(1) == classes).float().mean().item()
            seconds = time.monotonic() - begun
            print(
                f"epoch {epoch}: loss {loss:.3f}, {right:.1%} of {len(classes)}, {seconds:.0f} s", flush=True
            )


def train(data: Path, out: Path) -> None:
    """Train on four fifths, and write what came of it for both frameworks."""
    begun = time.monotonic()
    for epoch, loss, network in learn(together(fifths(data)[1:])):
        if epoch.endswith(("0", "5")):
            print(f"epoch {epoch}: loss {loss:.3f}, {time.monotonic() - begun:.0f} s", flush=True)
            save(network, out)


def save(network: Any, out: Path) -> None:
    """The weights as `cats_and_dogs.safetensors` and, with the architecture, as `cats_and_dogs.keras`."""
    from safetensors.torch import save as as_bytes

    network = network.cpu()
    weights = {name: value.detach().contiguous().clone() for name, value in network.state_dict().items()}
    (out / "cats_and_dogs.safetensors").write_bytes(as_bytes(weights))
    to_keras(network).save(out / "cats_and_dogs.keras")


class Found(NamedTuple):
    """How often a network said what, by what it was: counts[is][said]; and of how many it is right."""

    counts: tuple[tuple[int, int], tuple[int, int]]

    @property
    def of(self) -> int:
        """How many photographs."""
        return sum(map(sum, self.counts))

    @property
    def accuracy(self) -> float:
        """The share that is right."""
        return (self.counts[0][0] + self.counts[1][1]) / self.of

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's interval (1927), which holds the true accuracy in 95 of 100 such samples."""
        z, n, p = 1.96, self.of, self.accuracy
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return middle - half, middle + half

    def __str__(self) -> str:
        (cats, wrong_cats), (wrong_dogs, dogs) = self.counts
        low, high = self.interval
        return (
            f"{self.accuracy:.1%} of {self.of} (95 %: {low:.1%} to {high:.1%}); "
            f"cats: {cats} right, {wrong_cats} called dog; dogs: {dogs} right, {wrong_dogs} called cat"
        )


def evaluate(data: Path, framework: Any = None) -> Found:
    """What the weights beside this file make of the held-out fifth, opened and prepared as the demo does it."""
    import cnnlens
    from cnnlens.demo import demo_model

    model = demo_model("cats-and-dogs", framework=framework)
    counts = np.zeros((2, 2), int)
    held_out = fifths(data)[0]
    for file, is_class in zip(held_out.files, held_out.classes, strict=True):
        counts[is_class, cnnlens.Probe(model, file).scores.argmax()] += 1
    return Found(tuple(map(tuple, counts.tolist())))  # type: ignore[arg-type]


def main(mode: str, data: str, *more: str) -> None:
    """One of the three things that the first lines of this file tell."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    if mode == "choose":
        choose(Path(data))
    elif mode == "train":
        train(Path(data), Path(*more) if more else HERE)
    elif mode == "evaluate":
        print(evaluate(Path(data), *more))
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:]) if len(sys.argv) > 2 else sys.exit(__doc__)
