"""The journey: its layers in call order, its maps the strongest, its end the network's own answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import cnnlens
from cnnlens import Bars, Layer, Note, Picture, Probe, Tiles, look
from cnnlens.testing import check_visualiser
from cnnlens_plugins.journey import chosen, journey, names_of_stations


def layer(name: str, kind: str, side: int) -> Layer:
    return Layer(name, kind, kind, (side, side, 4))


SMALL = [
    layer("a", "convolution", 8),
    layer("b", "activation", 8),
    layer("c", "pooling", 4),
    layer("d", "convolution", 4),
]


def test_the_contract() -> None:
    check_visualiser(journey)


def test_stations_are_numbered_by_kind() -> None:
    layers = [*SMALL, layer("e", "normalisation", 4), layer("f", "activation", 4)]
    assert names_of_stations(layers) == {
        "a": "Convolution 1", "b": "Activation 1", "c": "Pooling 1", "d": "Convolution 2", "f": "Activation 2",
    }  # fmt: skip


@pytest.mark.parametrize("most", [2, 3, 5, 12, 40, 99])
def test_what_is_left_out(most: int) -> None:
    layers = [layer(str(i), "convolution", 64 // 2 ** (i // 8)) for i in range(40)]
    found = chosen(layers, most)
    places = [int(one.name) for one in found]
    assert len(places) == min(most, 40) and places == sorted(set(places))
    assert {0, 39} <= {*places}
    if most >= 6:
        assert {7, 15, 23, 31, 39} <= {*places}, "the last of each size"


def test_the_cats_journey(lite0: cnnlens.Model, cat: Path) -> None:
    probe = Probe(lite0, cat)
    picture, *strips, note, said = look(lite0, cat, journey, strips=6, maps=3).panels
    assert isinstance(picture, Picture) and isinstance(said, Bars) and isinstance(note, Note)
    assert said.names[0] == "Egyptian cat" and said.values[0] == pytest.approx(
        probe.probabilities.max(), rel=1e-5
    )
    order = [one.name for one in lite0.layers]
    shown = [str(strip.title).rsplit(" · ")[-1] for strip in strips]
    assert len(shown) == 6 and shown == sorted(shown, key=order.index) and shown[0] == "_conv_stem"
    for strip, name in zip(strips, shown, strict=True):
        assert isinstance(strip, Tiles)
        values = probe.activations(name)
        ranks = np.argsort(-np.square(values, dtype=np.float64).mean((0, 1)), kind="stable")[:3]
        assert strip.names == tuple(map(str, ranks))
        assert np.array_equal(strip.values, np.moveaxis(values, -1, 0)[ranks])
        assert strip.opens is not None and strip.opens.at(0, 0, strip.names[0]) == {
            "layer": name,
            "unit": strip.names[0],
        }
