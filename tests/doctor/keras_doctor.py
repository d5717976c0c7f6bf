"""Run by test_doctor_keras in a process of its own: trains a net, asks the doctor, prints what it says as JSON."""

from __future__ import annotations

import json
import sys

import shapes

import cnnlens


def main(how: str, folder: str) -> None:
    """One net, trained with `how`, opened with nothing said."""
    net = shapes.keras_net(how)
    model = cnnlens.wrap(net, labels=list(shapes.NAMES))
    before = [v.numpy().copy() if hasattr(v, "numpy") else v for v in net.get_weights()]
    told = cnnlens.doctor(model, folder).facts()
    told["untouched"] = all((a == b).all() for a, b in zip(before, net.get_weights(), strict=True))
    told["framework"] = model.framework
    print("told:" + json.dumps(told))


main(*sys.argv[1:])
