"""Our numbers on a trained network against Captum's and pytorch-grad-cam's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from needs import need

from cnnlens import Heatmap, Model, Probe, look

CAT = 285  # Egyptian cat


@pytest.fixture(scope="module")
def probe(lite0: Model, cat: Path) -> Probe:
    return Probe(lite0, cat, CAT)


def fed(probe: Probe) -> Any:
    """The picture as the network is fed it, as torch has it."""
    torch = need("torch")
    return torch.from_numpy(probe.model.input.encode(probe.pixels[None])).permute(0, 3, 1, 2).contiguous()


def relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def test_it_is_an_egyptian_cat(lite0: Model, cat: Path) -> None:
    chances, _ = look(lite0, cat, "class-probabilities").panels
    assert chances.names[0] == "Egyptian cat" and 0.65 < chances.values[0] < 0.85  # type: ignore[union-attr]


def test_saliency_is_captums(probe: Probe) -> None:
    attr = need("captum.attr")
    theirs = attr.Saliency(probe.model.native).attribute(fed(probe).requires_grad_(), target=CAT, abs=False)
    per_pixel = theirs[0].detach().permute(1, 2, 0).numpy() / 0.502
    ours = look(probe.model, probe, "saliency", join="sum", sign="signed").array
    assert relative(ours, per_pixel.sum(-1)) <= 1e-4


def test_occlusion_is_captums(probe: Probe) -> None:
    attr = need("captum.attr")
    black = (0 - 0.498) / 0.502
    theirs = attr.Occlusion(probe.model.native).attribute(
        fed(probe), target=CAT, sliding_window_shapes=(3, 56, 56), strides=(3, 56, 56), baselines=black
    )[0, 0]
    result = look(probe.model, probe, "occlusion", window=56, stride=56, fill="black")
    assert relative(result.array, theirs.numpy()) <= 1e-4


@pytest.mark.parametrize("layer", ["_swish#2", "_blocks.10"])
def test_grad_cam_is_captums(probe: Probe, layer: str) -> None:
    attr = need("captum.attr")
    module = probe.model.native
    at = module._bn1 if layer == "_swish#2" else module._blocks[10]
    theirs = attr.LayerGradCam(module, at).attribute(fed(probe), target=CAT, relu_attributions=False)
    own = "_bn1" if layer == "_swish#2" else layer
    ours = look(probe.model, probe, "grad-cam", layer=own, positive=False).array
    assert relative(ours, theirs[0, 0].detach().numpy()) <= 1e-4


def test_grad_cam_is_pytorch_grad_cams_before_its_scaling(probe: Probe, lite0: Model) -> None:
    theirs = need("pytorch_grad_cam")
    targets = need("pytorch_grad_cam.utils.model_targets")
    module = lite0.native
    with theirs.GradCAM(module, [module._bn1]) as cam:
        scaled = cam(fed(probe), [targets.ClassifierOutputTarget(CAT)])[0]
    ours = look(lite0, probe, "grad-cam", layer="_bn1").array
    enlarged = need("cv2").resize(scaled_as_theirs(ours), (224, 224))
    assert relative(scaled_as_theirs(enlarged), scaled) <= 1e-4
    for parameter in module.parameters():  # pytorch-grad-cam leaves its gradients behind
        parameter.grad = None


def scaled_as_theirs(cam: np.ndarray) -> np.ndarray:
    """From its least to its greatest value, before and again after enlarging: the numbers are lost by it."""
    return (cam - cam.min()) / (1e-7 + (cam - cam.min()).max())


def test_the_chosen_layer_is_the_last_activation_and_lights_the_cats_face(lite0: Model, cat: Path) -> None:
    result = look(lite0, cat, "grad-cam")
    panel = result.panels[0]
    assert result.facts["settings"]["layer"] == "_swish#2" and isinstance(panel, Heatmap)
    assert panel.values.shape == (7, 7)
    face, rest = panel.values[1:6, 1:6].mean(), panel.values.mean()
    assert face > 1.15 * rest
