"""Activation maximisation at 128 px against lucent (where it can be imported), and against bare passes to the layer.

lucent is not a dependency: `pip install --no-deps --target DIR torch-lucent kornia kornia_rs ipython decorator`, and
DIR at the end of PYTHONPATH. It enlarges whatever is below 224 px to 224 before the network, runs all of that, and
takes gradients by weights too; ours runs the network at 128 px, to the layer. In the last row lucent is told 128 too.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import cnnlens
from cnnlens_plugins.maximise import maximise

from .bare import THREADS, Bare
from .measure import Row, cost, faster

SIDE, STEPS = 128, 24
#: By network: the layer, as ours and as its module is called, and a channel that can be climbed in so few steps.
NETS = {"EfficientNet-Lite0": ("_blocks.10", 5), "mobilenet_v2": ("features.12", 6)}


def rows(turns: int) -> Iterator[Row]:
    """A net at a time."""
    for name, (layer, channel) in NETS.items():
        yield from _rows(name, layer, channel, turns)


def _rows(name: str, layer: str, channel: int, turns: int) -> Iterator[Row]:
    model, peers, torch = _net(name)

    def ours() -> Any:
        asked = {"layer": layer, "units": channel, "size": SIDE, "steps": STEPS}
        return cnnlens.look(model, None, maximise, **asked)

    equal = _rises([float(cell) for cell in ours().panels[1].rows[0][1:]], "ours")
    what = f"maximise, {STEPS} steps at {SIDE} px, {name} {layer}"
    yield cost(
        what, "as many passes to the layer and back", ours, _floor(model, layer, channel, torch),
        asked=None, equal=equal, turns=turns,
    )  # fmt: skip
    try:
        render = importlib.import_module("lucent.optvis.render")
    except ImportError:
        return
    for told, size in (("lucent", None), ("lucent, told to run the network at 128 px too", SIDE)):
        theirs = _lucents(render, peers, layer, channel, size)
        theirs()
        yield faster(what, told, ours, theirs, asked=None if size else 2.5, equal=equal, turns=turns)


def _net(name: str) -> tuple[cnnlens.Model, Any, Any]:
    """Ours, the module as users hand it to lucent, and torch."""
    if name != "EfficientNet-Lite0":
        bare = Bare(name)
        _awake(bare)
        return bare.model, bare.peers, bare.torch
    import copy

    import torch

    from cnnlens.demo import demo_model

    torch.set_num_threads(THREADS)
    model = demo_model()
    return model, copy.deepcopy(model.native).eval(), torch


def _awake(bare: Bare) -> None:
    """Batch norms with statistics of their own, or random layers hand on next to nothing of what they are fed."""
    norms = [part for part in bare.net.modules() if isinstance(part, bare.torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over what is seen
        norm.train()
    with bare.torch.no_grad():
        bare.net(bare.torch.rand(8, 3, SIDE, SIDE) * 4 - 2)
    for norm in norms:
        norm.eval()
    bare.peers.load_state_dict(bare.net.state_dict())


def _lucents(render: Any, net: Any, layer: str, channel: int, size: int | None) -> Callable[[], Any]:
    kornia, geometry = importlib.import_module("kornia"), importlib.import_module("kornia.geometry.transform")
    for name in ("get_rotation_matrix2d", "warp_affine"):  # lucent asks for them where kornia 0.4 had them
        setattr(kornia, name, getattr(geometry, name))
    param = importlib.import_module("lucent.optvis.param")
    objectives = importlib.import_module("lucent.optvis.objectives")
    asked = objectives.channel(layer.replace(".", "_"), channel)

    def run() -> Any:
        return render.render_vis(
            net, asked, param_f=lambda: param.image(SIDE), thresholds=(STEPS,), fixed_image_size=size,
            progress=False, show_image=False, verbose=False,
        )  # fmt: skip

    return run


def _floor(model: cnnlens.Model, layer: str, channel: int, torch: Any) -> Callable[[], Any]:
    """Forward to the layer, backward to the picture, by torch alone: what is behind the layer is not run."""
    module, net = model.native.get_submodule(layer), model.native

    class Reached(Exception):
        pass

    def stop(_module: Any, _given: Any, out: Any) -> None:
        raise Reached(out)

    def run() -> None:
        fed = torch.rand(1, 3, SIDE, SIDE)
        wanting = [p for p in net.parameters() if p.requires_grad]
        for weight in wanting:
            weight.requires_grad_(False)
        hook = module.register_forward_hook(stop)
        try:
            for _ in range(STEPS):
                x = fed.clone().requires_grad_()
                try:
                    net(x)
                except Reached as reached:
                    torch.autograd.grad(reached.args[0][:, channel].mean(), x)
        finally:
            hook.remove()
            for weight in wanting:
                weight.requires_grad_(True)

    return run


def _rises(values: list[float], who: str) -> str:
    noise, found = values
    if not np.isfinite(found) or found <= noise:
        raise ValueError(f"{who}: {found} after the climb, {noise} before")
    return f"(rises from {noise:.2g} to {found:.2g})"
