"""Dead filters: exactly those that were killed are found, in both frameworks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engines import run_on
from needs import need

import cnnlens
from cnnlens import Layer, Table, Tiles, look
from cnnlens.testing import check_visualiser
from cnnlens_plugins.dead_filters import census_of, dead_filters

#: Which maps of the first and of the second activation are killed, saturated (of ReLU6) and doubled.
KILLED, FULL, TWICE = {0: [2, 5], 1: [0, 7, 11]}, {0: [3], 1: []}, {0: [6], 1: [4, 9]}

KERAS = f"""
import keras, json, numpy as np, cnnlens
from cnnlens_plugins.dead_filters import dead_filters
keras.utils.set_random_seed(1)
i = keras.Input((16, 16, 3))
first = keras.layers.Conv2D(8, 3, padding="same", name="one")
second = keras.layers.Conv2D(12, 3, padding="same", name="two")
x = keras.layers.ReLU(max_value=6.0, name="act1")(first(i))
x = keras.layers.ReLU(max_value=6.0, name="act2")(second(x))
net = keras.Model(i, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)))
for n, layer in enumerate((first, second)):
    kernel, bias = (np.array(w) for w in layer.get_weights())
    kernel *= 0.1; bias[:] = 1.5  # alive, and within the bounds, but for those below
    for k in {KILLED}[n]: kernel[..., k] = 0; bias[k] = -1
    for k in {FULL}[n]: kernel[..., k] = 0; bias[k] = 9
    for k in {TWICE}[n]: kernel[..., k] = kernel[..., 1] * 0.5; bias[k] = bias[1] * 0.5
    layer.set_weights([kernel, bias])
model = cnnlens.wrap(net, preprocess={{"size": 16}})
result = cnnlens.look(model, np.random.default_rng(0).random((16, 16, 3), np.float32), dead_filters)
print(json.dumps([result.panels[2].rows, [list(p.names[1:]) for p in result.panels[3:]]]))
"""


def wanted() -> list[list[Any]]:
    return [["act1", 8, 2, 1, 1], ["act2", 12, 3, 0, 2]]


def is_what_was_done(rows: Any, tiles: Any) -> None:
    assert [list(row) for row in rows] == wanted()
    assert sorted(map(tuple, tiles)) == sorted(tuple(map(str, KILLED[n])) for n in KILLED)


def test_those_that_were_killed_in_torch() -> None:
    torch = need("torch")
    torch.manual_seed(1)
    first, second = torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.Conv2d(8, 12, 3, padding=1)
    with torch.no_grad():
        for n, conv in enumerate((first, second)):
            conv.weight *= 0.1  # alive, and within the bounds, but for those below
            conv.bias[:] = 1.5
            for k in KILLED[n]:
                conv.weight[k], conv.bias[k] = 0, -1
            for k in FULL[n]:
                conv.weight[k], conv.bias[k] = 0, 9
            for k in TWICE[n]:
                conv.weight[k], conv.bias[k] = conv.weight[1] * 0.5, conv.bias[1] * 0.5
    net = torch.nn.Sequential()
    for name, part in {
        "one": first, "act1": torch.nn.ReLU6(), "two": second, "act2": torch.nn.ReLU6(),
        "pool": torch.nn.AdaptiveAvgPool2d(1), "flat": torch.nn.Flatten(), "fc": torch.nn.Linear(12, 3),
    }.items():  # fmt: skip
        net.add_module(name, part)
    model = cnnlens.wrap(net.eval(), preprocess={"size": 16})
    result = look(model, np.random.default_rng(0).random((16, 16, 3), np.float32), dead_filters)
    is_what_was_done(result.panels[2].rows, [p.names[1:] for p in result.panels[3:]])


@pytest.mark.parametrize("engine", ["torch", "jax", "tensorflow"])
def test_those_that_were_killed_in_keras(engine: str) -> None:
    done = run_on(engine, "-c", KERAS)
    assert done.returncode == 0, done.stderr[-4000:]
    is_what_was_done(*json.loads(done.stdout.splitlines()[-1]))


def test_the_contract() -> None:
    check_visualiser(dead_filters)


def test_each_map_is_counted_once() -> None:
    ramp = np.arange(6, dtype=np.float32).reshape(2, 3)
    maps = np.stack([ramp, ramp * 2 + 1, -ramp, ramp * 0, ramp * 0 + 5, ramp * 0], -1)
    found = census_of(maps, Layer("a", "activation", "ReLU", maps.shape), 0.99)
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
