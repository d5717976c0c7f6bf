"""How cost grows with work: positions, channels, the picture's side. Rows, and a plot where CNNLENS_PLOT names a file.

Each row says by how much the time grows from one step to the next, which should not be more than the work does.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator, Mapping

import cnnlens

from .bare import Bare
from .measure import Row, cost

Curve = Mapping[int, Callable[[], object]]

#: Why each curve has the slope that it has.
WHY = {
    "positions": "linear: what is recorded once is paid at the first, and near positions share regions",
    "channels": "linear: a pass from the layer on for each map",
    "side": "the pixels: four times as many for twice the side; what a layer costs per place does not change",
}


def rows(turns: int) -> Iterator[Row]:
    """The three curves on resnet18."""
    found = {
        "positions": by_positions(turns), "channels": by_channels(turns), "side": by_side(turns)
    }  # fmt: skip
    for what, (runs, steps) in found.items():
        for less, more in itertools.pairwise(steps):
            growth = more / less if what != "side" else (more / less) ** 2
            yield cost(
                f"{what} {less} → {more}: time grows by", f"work grows by {growth:.3g}×; {WHY[what]}",
                runs[more], runs[less], asked=growth, equal="", turns=turns,
            )  # fmt: skip
    if place := os.environ.get("CNNLENS_PLOT"):
        plot({what: seconds(runs, turns) for what, (runs, _) in found.items()}, place)


def by_positions(turns: int) -> tuple[Curve, list[int]]:
    """Occlusion of a window of 32 at ever smaller strides."""
    bare = Bare("resnet18")
    strides = {25: 48, 64: 26, 225: 13, 900: 6}  # positions → stride

    def run(count: int) -> Callable[[], object]:
        boxes = [
            (y, x, y + 32, x + 32)
            for y in range(0, 193, strides[count])
            for x in range(0, 193, strides[count])
        ][:count]
        return lambda: bare.model.hide(bare.pixels, boxes, 0.0)

    return {count: run(count) for count in strides}, [*strides]


def by_channels(turns: int) -> tuple[Curve, list[int]]:
    """Ablation of ever more maps, run from the layer on."""
    bare = Bare("resnet18")
    layer = [one.name for one in bare.model.layers if one.name.startswith("layer3") and len(one.shape) == 3][
        -1
    ]
    maps = bare.model.trace(bare.pixels[None], watch=(layer,)).activations[layer][0]

    def run(count: int) -> Callable[[], object]:
        values = [maps * (i != 0) for i in range(count)]
        return lambda: list(bare.model.in_batches(values, at=layer, image=bare.pixels))

    counts = [16, 64, 256]
    return {count: run(count) for count in counts}, counts


def by_side(turns: int) -> tuple[Curve, list[int]]:
    """SmoothGrad of twenty samples on ever larger pictures."""

    def run(side: int) -> Callable[[], object]:
        bare = Bare("resnet18")
        model = cnnlens.wrap(bare.net, preprocess={"size": side, "mean": [0.485] * 3, "std": [0.225] * 3})
        return lambda: cnnlens.look(model, bare.pixels, "smoothgrad", samples=20, target=3)

    sides = [112, 224, 448]
    return {side: run(side) for side in sides}, sides


def seconds(runs: Curve, turns: int) -> dict[int, float]:
    """The least time of each run over the turns: what the machine's other work adds is left out."""
    least: dict[int, float] = {}
    for count, run in runs.items():
        for _ in range(turns):
            started = time.perf_counter()
            run()
            least[count] = min(least.get(count, 1e9), time.perf_counter() - started)
    return least


def plot(curves: Mapping[str, Mapping[int, float]], place: str) -> None:
    """The curves with a line of slope one beside each, on double logarithmic axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.2), layout="constrained")
    titles = {
        "positions": "occlusion positions",
        "channels": "maps set to zero",
        "side": "side of the picture, in pixels",
    }
    for axes, (what, curve) in zip(figure.subplots(1, 3), curves.items(), strict=True):
        at, took = [*curve], [*curve.values()]
        power = 2 if what == "side" else 1
        axes.loglog(at, took, "o-", label="measured")
        axes.loglog(
            at, [took[-1] * (n / at[-1]) ** power for n in at], ":", label="in proportion to the work"
        )
        axes.set_xticks(at, [str(n) for n in at], minor=False)
        axes.minorticks_off()
        axes.set_xlabel(titles[what])
        axes.set_ylabel("seconds")
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(place, dpi=130)
