"""Dead filters: exactly those that were killed are found, in both frameworks, with one picture and with several."""

from __future__ import annotations

import gc
import importlib
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engines import run_on
from needs import need

import cnnlens
from cnnlens import Array, Curve, Layer, Probes, Table, Tiles, look
from cnnlens.testing import check_visualiser
from cnnlens_plugins.dead_filters import dead_filters
from cnnlens_plugins.dead_filters.tally import Tally, in_groups, judged_layers

#: Which maps of the first and of the second activation are killed, saturated (of ReLU6) and doubled.
KILLED, FULL, TWICE = {0: [2, 5], 1: [0, 7, 11]}, {0: [3], 1: []}, {0: [6], 1: [4, 9]}
SLEEPER = 4  #: the map of the first activation that is silent for dark pictures and speaks for others

COUNTED = [["act1", 8, 2, 1, 1], ["act2", 12, 3, 0, 2]]
COUNTED_OVER_ALL = [["act1", 8, 2, 1, 1, 3], ["act2", 12, 3, 0, 2, 3]]  # the sleeper is silent for a picture
DEAD = sorted(tuple(map(str, some)) for some in KILLED.values())


def pictures() -> list[Array]:
    """A dark one, then others."""
    rng = np.random.default_rng(0)
    return [rng.random((16, 16, 3), np.float32) * np.float32(share) for share in (0.4, 1, 0.45, 1, 0.9)]


def killed(n: int, kernel: Array, bias: Array) -> tuple[Array, Array]:
    """A convolution's kernel (kh, kw, in, out) and bias, with the maps of its activation as they are told above."""
    kernel, bias = kernel * np.float32(0.1), np.full_like(bias, 1.5)  # alive and within the bounds, but for
    for k in KILLED[n]:
        kernel[..., k], bias[k] = 0, -1
    for k in FULL[n]:
        kernel[..., k], bias[k] = 0, 9
    for k in TWICE[n]:
        kernel[..., k], bias[k] = kernel[..., 1] * np.float32(0.5), bias[1] * 0.5
    if n == 0:
        kernel[..., SLEEPER], bias[SLEEPER] = 0, -2
        kernel[1, 1, 0, SLEEPER] = 4
    return kernel, bias


def told(model: cnnlens.Model, images: Any) -> list[Any]:
    """What is said: the rows of the table, and the dead maps that are shown."""
    panels = look(model, images, dead_filters).panels
    (table,) = [p for p in panels if isinstance(p, Table)]
    return [[list(row) for row in table.rows], [list(p.names[1:]) for p in panels if isinstance(p, Tiles)]]


KERAS = """
import keras, json, sys
sys.path[:0] = ["tests", "tests/plugins"]
import numpy as np, cnnlens
from test_dead_filters import killed, pictures, told
keras.utils.set_random_seed(1)
i = keras.Input((16, 16, 3))
first = keras.layers.Conv2D(8, 3, padding="same", name="one")
second = keras.layers.Conv2D(12, 3, padding="same", name="two")
x = keras.layers.ReLU(max_value=6.0, name="act1")(first(i))
x = keras.layers.ReLU(max_value=6.0, name="act2")(second(x))
net = keras.Model(i, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)))
for n, layer in enumerate((first, second)):
    layer.set_weights(killed(n, *(np.array(w) for w in layer.get_weights())))
model = cnnlens.wrap(net, preprocess={"size": 16})
print(json.dumps([told(model, pictures()[1]), told(model, pictures())]))
"""


def in_torch() -> cnnlens.Model:
    torch = need("torch")
    torch.manual_seed(1)
    first, second = torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.Conv2d(8, 12, 3, padding=1)
    for n, conv in enumerate((first, second)):
        kernel, bias = killed(
            n, conv.weight.detach().numpy().transpose(2, 3, 1, 0), conv.bias.detach().numpy()
        )
        conv.weight.data = torch.from_numpy(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)))
        conv.bias.data = torch.from_numpy(bias)
    net = torch.nn.Sequential()
    for name, part in {
        "one": first, "act1": torch.nn.ReLU6(), "two": second, "act2": torch.nn.ReLU6(),
        "pool": torch.nn.AdaptiveAvgPool2d(1), "flat": torch.nn.Flatten(), "fc": torch.nn.Linear(12, 3),
    }.items():  # fmt: skip
        net.add_module(name, part)
    return cnnlens.wrap(net.eval(), preprocess={"size": 16})


def test_those_that_were_killed_in_torch() -> None:
    rows, shown = told(in_torch(), pictures()[1])
    assert rows == COUNTED and sorted(map(tuple, shown)) == DEAD
    rows, shown = told(in_torch(), pictures())
    assert rows == COUNTED_OVER_ALL and sorted(map(tuple, shown)) == DEAD


@pytest.mark.parametrize("engine", ["torch", "jax", "tensorflow"])
def test_those_that_were_killed_in_keras(engine: str) -> None:
    done = run_on(engine, "-c", KERAS)
    assert done.returncode == 0, done.stderr[-4000:]
    (rows, shown), (rows_of_all, shown_of_all) = json.loads(done.stdout.splitlines()[-1])
    assert rows == COUNTED and sorted(map(tuple, shown)) == DEAD
    assert rows_of_all == COUNTED_OVER_ALL and sorted(map(tuple, shown_of_all)) == DEAD


def test_what_sleeps_through_one_picture_and_speaks_for_another_is_not_dead() -> None:
    model, (dark, light, *_) = in_torch(), pictures()
    assert told(model, dark)[0][0] == ["act1", 8, 3, 1, 1], "for the dark one alone it is"
    assert told(model, [dark, light])[0][0] == ["act1", 8, 2, 1, 1, 3]
    assert told(model, [dark, dark])[0][0] == ["act1", 8, 3, 1, 1, 3]
    result = look(model, pictures(), dead_filters)
    (curve,) = [p for p in result.panels if isinstance(p, Curve)]
    assert curve.values.tolist() == [[6, 5, 5, 5, 5]] and curve.x.tolist() == [1, 2, 3, 4, 5]
    assert result.notes[0] == (
        "5 of 20 maps are never active for any of these 5 pictures, 1 are saturated, 3 are near-duplicates. 6 are "
        "silent for at least one of them. Of the 5 that were never active for the first 2, the other 3 woke 0."
    )
    assert (
        look(model, [dark, light], dead_filters)
        .notes[0]
        .endswith("Of the 6 that were never active for the first 1, the other 1 woke 1: more may wake more.")
    )


def test_saturated_and_alike_are_judged_over_all_pictures() -> None:
    ramp = np.arange(6.0).reshape(2, 3)
    one = np.stack([ramp, ramp * 2, ramp * 0 + 6, ramp * 0 + 6, ramp], -1)
    two = np.stack([ramp, 5 - ramp, ramp * 0 + 6, ramp * 0 + 5, ramp + 100], -1)
    first, both = (tally_of(some).census(0.99) for some in ([one], [one, two]))
    assert first.doubled.tolist() == [False, True, False, False, True]
    assert both.doubled.tolist() == [False, False, False, False, False], "no longer, over both"
    assert first.saturated.tolist() == [False, False, True, True, False]
    assert both.saturated.tolist() == [False, False, True, False, False], "another value in the second"


def tally_of(some: list[Any]) -> Tally:
    tally = Tally(Layer("a", "activation", "ReLU", some[0].shape))
    for n, maps in enumerate(some):
        tally.add(np.asarray(maps, np.float32), f"{n}.png")
    return tally


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_the_sums_are_those_of_all_places_at_once(offset: float) -> None:
    """The slow twin keeps everything. On a large offset sums of squares would have lost the spread."""
    rng = np.random.default_rng(3)
    some = []
    for n, side in enumerate((5, 9, 2, 7, 1)):
        base = rng.standard_normal((side, side + 1, 6)) * 10.0 ** rng.integers(-2, 2)
        base[..., 3] = base[..., 0] * 0.7 + 0.003 * base[..., 3]
        base[..., 4] = 0 if n != 3 else base[..., 4]
        base[..., 5] = 0
        base[..., :3] += offset
        some.append(base.astype(np.float32))
    flat = np.concatenate([maps.reshape(-1, 6) for maps in some]).astype(np.float64)
    tally = tally_of(some)
    wanted = np.corrcoef(flat[:, :5].T)
    for alike in np.unique(np.abs(wanted[np.triu_indices(5, 1)])):
        for level in (alike * (1 - 1e-9), min(1.0, alike * (1 + 1e-9))):
            slow = [bool((wanted[:k, k] >= level).any()) for k in range(5)]
            assert tally.census(level).doubled.tolist() == [*slow, False], level
    found = tally.census(0.99)
    assert found.dead.tolist() == [not flat[:, k].any() for k in range(6)] == [False] * 5 + [True]
    assert found.silent.tolist() == [sum(not maps[..., k].any() for maps in some) for k in range(6)]
    assert found.silent.tolist() == [0, 0, 0, 0, 4, 5]


def test_memory_does_not_grow_with_the_number_of_pictures() -> None:
    model = in_torch()

    def made(count: int) -> Iterator[Array]:
        rng = np.random.default_rng(1)
        for _ in range(count):
            yield rng.random((16, 16, 3), np.float32)

    def peak(count: int) -> int:
        gc.collect()
        tracemalloc.start()
        source = made(count)
        look(model, Probes(model, range(count), open=lambda _: next(source)), dead_filters)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(2)  # what is made once
    maps = 4 * 16 * 16 * sum(layer.shape[-1] for layer in judged_layers(model))
    few, many = peak(4), peak(64)
    assert many - few < 60 * maps / 10, (few, many, maps)


def test_maps_that_are_not_finite_are_counted_as_nothing_else() -> None:
    ramp = np.arange(6.0).reshape(2, 3)
    fine = np.stack([ramp, ramp * 0, ramp * 2, ramp * 0 + 1], -1)
    bad = fine.copy()
    bad[0, 1, 1:3] = np.nan, np.inf
    tally = tally_of([fine, bad, fine])
    found = tally.census(0.99)
    assert found.broken.tolist() == [False, True, True, False]
    assert found.dead.tolist() == [False] * 4 and found.doubled.tolist() == [False] * 4
    assert found.saturated.tolist() == [False, False, False, True]
    assert tally.lost is not None and tally.lost[:2] == ("1.png", [1, 2])
    assert np.array_equal(tally.lost[2], np.moveaxis(bad, -1, 0)[[1, 2]], equal_nan=True)


def test_the_contract() -> None:
    check_visualiser(dead_filters)


def test_each_map_is_counted_once() -> None:
    ramp = np.arange(6, dtype=np.float32).reshape(2, 3)
    maps = np.stack([ramp, ramp * 2 + 1, -ramp, ramp * 0, ramp * 0 + 5, ramp * 0], -1)
    found = tally_of([maps]).census(0.99)
    assert found.dead.tolist() == [False, False, False, True, False, True]
    assert found.saturated.tolist() == [False, False, False, False, True, False]
    assert found.doubled.tolist() == [False, True, False, False, False, False], "the opposite is no duplicate"


def test_what_it_says_of_the_cat(lite0: cnnlens.Model, cat: Path) -> None:
    result = look(lite0, cat, dead_filters)
    table = result.panels[2]
    assert isinstance(table, Table) and len(table.rows) == len(
        [x for x in lite0.layers if x.kind == "activation"]
    )
    for tiles in result.panels[3:]:
        assert isinstance(tiles, Tiles) and not tiles.values[1:].any() and tiles.values[0].any()


def test_a_few_layers_at_a_time_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums about wide layers do not stand beside each other; a single picture holds those of one layer alone."""
    model, room = in_torch(), importlib.import_module("cnnlens_plugins.dead_filters.dead_filters")
    at_once = look(model, pictures(), dead_filters).panels
    monkeypatch.setattr(room, "ROOM", 1)
    for one, other in zip(at_once, look(model, pictures(), dead_filters).panels, strict=True):
        assert cnnlens.panels.describe(one) == cnnlens.panels.describe(other)
        assert np.array_equal(getattr(one, "values", 0), getattr(other, "values", 0))
    tallies = [Tally(layer) for layer in judged_layers(model)]
    assert [len(some) for some in in_groups(tallies, 0)] == [1] * len(tallies)
    assert list(in_groups(tallies, sum(one.room for one in tallies))) == [tallies]
    tallies[0].add(cnnlens.Probe(model, pictures()[0]).activations(tallies[0].layer.name))
    assert tallies[0]._moments.size == tallies[0].room
    tallies[0].let_go()
    assert tallies[0]._moments.size == 0
