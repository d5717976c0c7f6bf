"""Integrated Gradients by Captum, as a visualiser of cnnlens.

Captum is a library for PyTorch, so this reads `probe.model.native`, the `torch.nn.Module` itself. Everything
else comes from the public names of cnnlens. torch and Captum are imported when a picture is asked for, so
that listing plugins stays fast.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import numpy as np

from cnnlens import Array, Cost, Field, Heatmap, Model, Note, Probe, errors, hookimpl, visualiser

Baseline = Literal["black", "grey", "white", "mean"]


def cost(model: Model, settings: Mapping[str, Any]) -> Cost:
    """One forward and one backward pass a step, and two forward passes for the check of completeness."""
    return Cost(settings["steps"] + 2, settings["steps"])


@visualiser(
    title="Integrated gradients (Captum)",
    needs={"gradients"},
    frameworks={"torch"},
    paper="Sundararajan, Taly & Yan, 2017",
    link="https://arxiv.org/abs/1703.01365",
    cost=cost,
)
def integrated_gradients_captum(
    probe: Probe,
    *,
    steps: Annotated[
        int, Field(ge=2, le=1000, description="points on the way from baseline to picture")
    ] = 32,
    baseline: Annotated[Baseline, Field(description="the picture that stands for nothing seen")] = "black",
    sign: Annotated[
        Literal["signed", "magnitude"], Field(description="for and against the class, or how much only")
    ] = "signed",
) -> tuple[Heatmap, Note]:
    """The score's rise from a plain picture to this one, shared out among the pixels.

    Gradients are summed on the straight way from the baseline to the picture and multiplied by how far each
    pixel went. The shares add up to the rise of the score, but for an error that the note tells.
    """
    index = probe.target.index
    module = probe.model.native
    if index is None:
        raise errors.Unmet(f"Captum explains a single class; {probe.target.text!r} is none")
    from captum.attr import IntegratedGradients

    start = _baseline(probe.pixels, baseline)
    fed, plain = (_fed(probe.model, picture, module) for picture in (probe.pixels, start))
    with _in_eval(module):
        shares = IntegratedGradients(_ticking(module, probe, steps)).attribute(
            fed, plain, target=index, n_steps=steps, internal_batch_size=probe.model.batch
        )
    # a share is a gradient times a way: what scales the one divides the other, so no unit is to be undone
    by_channel = np.moveaxis(shares[0].detach().to("cpu").float().numpy(), 0, -1)
    rise = probe.score - float(probe.score_of(start[None])[0])
    missing = rise - float(by_channel.sum())
    values = by_channel.sum(-1)
    heatmap = Heatmap(
        values if sign == "signed" else np.abs(values),
        signed=sign == "signed",
        title=f"share of the score, {sign}",
        unit="score",
        means="lifts the score above the baseline's" if sign == "signed" else "moves the score",
    )
    return heatmap, Note(
        f"from {baseline} to this picture the score rises by {rise:.4g}; "
        f"the shares add up to all of it but {missing:.2g}, in {steps} steps"
    )


def _baseline(pixels: Array, which: Baseline) -> Array:
    plain = {"black": 0.0, "grey": 0.5, "white": 1.0}
    value = pixels.mean((0, 1)) if which == "mean" else plain[which]
    return np.broadcast_to(np.asarray(value, np.float32), pixels.shape)


def _fed(model: Model, pixels: Array, module: Any) -> Any:
    """Pixels (h, w, c) in [0, 1] → the tensor (1, c, h, w) that the module is fed, on its device."""
    import torch

    home = next(module.parameters())
    encoded = np.ascontiguousarray(np.moveaxis(model.input.encode(pixels[None]), -1, 1))
    return torch.from_numpy(encoded).to(home.device, home.dtype)


def _ticking(module: Any, probe: Probe, steps: int) -> Callable[[Any], Any]:
    """The module, counting the pictures that pass through it; a stop that somebody pressed is raised here."""
    done = 0

    def forward(x: Any) -> Any:
        nonlocal done
        scores = module(x)
        done = min(done + len(x), steps)
        probe.tick(done, steps)
        return scores

    return forward


class _in_eval:
    """Runs the module in eval mode and puts every part back as it was, also on error."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._modes = {part: part.training for part in module.modules()}

    def __enter__(self) -> None:
        self._module.eval()

    def __exit__(self, *_: object) -> None:
        for part, mode in self._modes.items():
            part.training = mode


@hookimpl
def cnnlens_visualisers() -> list[object]:
    """What this plugin brings."""
    return [integrated_gradients_captum]
