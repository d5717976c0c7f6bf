"""What a Keras model returns, on each engine, against the same network in PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engines import ENGINES, seen

NET = Path(__file__).with_name("outputs_net.py")
TOLERANCE = 2e-4


@pytest.mark.parametrize("engine", ENGINES)
def test_every_target_has_the_same_value_and_gradient(engine: str) -> None:
    ours, theirs = seen(NET, "torch", "torch"), seen(NET, "keras", engine)
    own = {name.removeprefix("own/") for name in theirs if name.startswith("own/")}
    assert ours.keys() == {name for name in theirs if not name.startswith("own/")}
    assert own == {name for name in ours if "body" not in name}
    assert np.abs(ours["dog@3,10: gradient"]).max() > 0
    errors = {name: _error(values, ours[name.removeprefix("own/")]) for name, values in theirs.items()}
    wrong = {name: error for name, error in errors.items() if not error <= TOLERANCE}
    assert not wrong, wrong


def _error(got: Any, wanted: Any) -> float:
    assert got.shape == wanted.shape
    return float(np.abs(got - wanted).max()) / (float(np.abs(wanted).max()) or 1.0)
