"""Our maps against those of pytorch-grad-cam, torchcam and Captum.

Theirs are taken before they are cut off at zero and stretched to 0..1, where that is all that differs. What else
they do otherwise is said at each test.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from needs import need
from nets import photo, wrapped

from cnnlens import Model, Probe, look
from cnnlens_plugins.cams import cnnlens_visualisers, formulas

OURS = {v.name: v for v in cnnlens_visualisers()}  # type: ignore[attr-defined]
CAT = 285  # Egyptian cat
#: A network, our name of a layer and theirs: behind the last maps and further up. Where a ReLU works in place or is
#: one module throughout, theirs is the block that ends in it: hooks on the ReLU itself see another call's output.
SPOTS = [
    ("plain", "7", "7"), ("plain", "4", "4"), ("residual", "layer3.relu#2", "layer3"),
    ("residual", "layer2.relu#2", "layer2"), ("depthwise", "head.2", "head"),
    ("depthwise", "blocks.1.depthwise.2", "blocks.1.depthwise"), ("depthwise", "blocks.2.project.1", "blocks.2"),
    ("lite0", "_bn1", "_bn1"), ("lite0", "_blocks.10", "_blocks.10"),
]  # fmt: skip
PAIRS = {
    "grad-cam": "GradCAM", "grad-cam++": "GradCAMPlusPlus", "xgrad-cam": "XGradCAM", "hires-cam": "HiResCAM",
    "layer-cam": "LayerCAM", "eigen-cam": "EigenCAM", "eigen-grad-cam": "EigenGradCAM",
}  # fmt: skip


@pytest.fixture(scope="module")
def probes(lite0: Model, cat: Path) -> Callable[[str], Probe]:
    known = {"lite0": Probe(lite0, cat, CAT)}

    def of(name: str) -> Probe:
        if name not in known:
            known[name] = Probe(wrapped(name), photo(3), 2)
        return known[name]

    return of


def fed(probe: Probe) -> Any:
    return need("torch").from_numpy(probe.fed[None].copy()).permute(0, 3, 1, 2)


def wanted(probe: Probe) -> Any:
    return need("pytorch_grad_cam.utils.model_targets").ClassifierOutputTarget(probe.target.index)


def relative(got: Any, theirs: Any) -> float:
    return float(np.abs(got - theirs).max() / np.abs(theirs).max())


def clean(probe: Probe) -> None:
    for parameter in probe.model.native.parameters():  # pytorch-grad-cam leaves its gradients behind
        parameter.grad = None


def grad_cam_library(probe: Probe, kind: str, layer: str, reshape: Any = None, **given: Any) -> Any:
    """What pytorch-grad-cam makes of activations and gradients before it cuts and stretches: (h, w), and both."""
    library = need("pytorch_grad_cam")
    module = probe.model.native.get_submodule(layer)
    with getattr(library, kind)(probe.model.native, [module], reshape_transform=reshape, **given) as cam:
        cam(fed(probe), [wanted(probe)])
        kept = cam.activations_and_grads
        a = kept.activations[0].numpy()
        g = kept.gradients[0].numpy() if kept.gradients else None
        raw = cam.get_cam_image(fed(probe), module, [wanted(probe)], a, g, False)[0]
    clean(probe)
    return raw, *(None if part is None else np.moveaxis(part[0], 0, -1) for part in (a, g))


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize(("net", "ours", "theirs"), SPOTS)
def test_gradient_cams_are_pytorch_grad_cams(
    probes: Callable[[str], Probe], name: str, net: str, ours: str, theirs: str
) -> None:
    probe = probes(net)
    raw, a, g = grad_cam_library(probe, PAIRS[name], theirs)
    settings: dict[str, Any] = {"centred": True} if name == "eigen-cam" else {}
    got = look(probe.model, probe, OURS[name], layer=ours, positive=False, **settings).array
    if name == "grad-cam++":  # 1e-6 stands below its line, where squares of gradients are as small
        assert relative(formulas.grad_cam_plus_plus(a, g, 1e-6), raw) <= 1e-4
        raw = formulas.grad_cam_plus_plus(a.astype(np.float64), g.astype(np.float64))
    if name == "eigen-grad-cam":  # it takes each channel's mean away; the paper does not
        got = formulas.eigen_cam(a * g, centred=True)
    if name.startswith("eigen"):  # the sign of a singular direction is free, and theirs is left to chance
        raw = raw * np.sign((raw * got).sum())
    assert relative(got, raw) <= 1e-4


@pytest.mark.parametrize("name", ["grad-cam", "layer-cam", "xgrad-cam", "hires-cam"])
def test_their_picture_is_ours_cut_and_stretched(probes: Callable[[str], Probe], name: str) -> None:
    probe, library, resize = probes("residual"), need("pytorch_grad_cam"), need("cv2").resize
    with getattr(library, PAIRS[name])(probe.model.native, [probe.model.native.layer3]) as cam:
        scaled = cam(fed(probe), [wanted(probe)])[0]
    clean(probe)
    ours = look(probe.model, probe, OURS[name]).array
    assert relative(stretched(resize(stretched(ours), scaled.shape)), scaled) <= 1e-4


def stretched(values: Any) -> Any:
    """From its least to its greatest value, as pytorch-grad-cam does it before and after enlarging."""
    return (values - values.min()) / (1e-7 + (values - values.min()).max())


@pytest.mark.parametrize("name", ["grad-cam", "grad-cam++", "xgrad-cam", "layer-cam", "finer-cam", "cam"])
@pytest.mark.parametrize(("net", "ours", "theirs"), SPOTS[:7])
def test_cams_are_torchcams(
    probes: Callable[[str], Probe], name: str, net: str, ours: str, theirs: str
) -> None:
    probe, library = probes(net), need("torchcam.methods")
    if name == "cam" and OURS["cam"].why_not(probe.model):
        return
    kinds = {"grad-cam": "GradCAM", "grad-cam++": "GradCAMpp", "xgrad-cam": "XGradCAM", "layer-cam": "LayerCAM",
             "finer-cam": "FinerCAM", "cam": "CAM"}  # fmt: skip
    given: dict[str, Any] = (
        {"fc_layer": {"residual": "fc", "depthwise": "classifier"}[net]} if name == "cam" else {}
    )
    last = {"residual": "layer3", "depthwise": "head"}.get(net)
    with getattr(library, kinds[name])(probe.model.native, last if name == "cam" else theirs, **given) as cam:
        raw = cam(probe.target.index, cam.model(fed(probe)), normalized=False)[0][0].detach().numpy()
    got = look(probe.model, probe, OURS[name], **({} if name == "cam" else {"layer": ours})).array
    if name == "grad-cam++":
        # its division writes into a copy that a mask made, so α stays the square of the gradient
        a, g = probe.activations(ours), probe.gradients(ours)
        got = np.maximum(formulas.weighed(a, (g**2 * np.maximum(g, 0)).sum((0, 1))), 0)
    if not raw.any():
        assert not got.any()
        return
    assert relative(got, raw) <= 1e-4


@pytest.mark.parametrize(("net", "ours", "theirs"), SPOTS)
def test_grad_cam_is_captums(probes: Callable[[str], Probe], net: str, ours: str, theirs: str) -> None:
    probe, attr = probes(net), need("captum.attr")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw = attr.LayerGradCam(probe.model.native, probe.model.native.get_submodule(theirs)).attribute(
            fed(probe), target=probe.target.index, relu_attributions=False
        )
    got = look(probe.model, probe, OURS["grad-cam"], layer=ours, positive=False).array
    assert relative(got, raw[0, 0].detach().numpy()) <= 1e-4


@pytest.mark.parametrize(
    ("net", "ours", "theirs"), [SPOTS[0], SPOTS[2], SPOTS[4], ("lite0", "_blocks.0", "_blocks.0")]
)
def test_score_cam_is_pytorch_grad_cams(
    probes: Callable[[str], Probe], monkeypatch: pytest.MonkeyPatch, net: str, ours: str, theirs: str
) -> None:
    """Theirs enlarges corner on corner; it is handed an enlarging of centre on centre, the authors' own choice.

    It masks what is fed, so hidden is what is fed as zero. Flat maps are in its softmax: a factor for all.
    """
    probe, torch = probes(net), need("torch")
    monkeypatch.setattr(
        torch.nn, "UpsamplingBilinear2d",
        lambda size: torch.nn.Upsample(size, mode="bilinear", align_corners=False),
    )  # fmt: skip
    raw, _, _ = grad_cam_library(probe, "ScoreCAM", theirs)
    got = look(probe.model, probe, OURS["score-cam"], layer=ours, baseline="mean", positive=False).array
    assert relative(got / np.abs(got).max(), raw / np.abs(raw).max()) <= 1e-4


def test_score_cam_is_torchcams_where_nothing_is_enlarged(probes: Callable[[str], Probe]) -> None:
    """It stretches maps before it enlarges them, the paper after; in a layer of the picture's size that is one."""
    probe, library = probes("plain"), need("torchcam.methods")
    with library.ScoreCAM(probe.model.native, "1", input_shape=(3, 32, 32)) as cam, need("torch").no_grad():
        probe.model.native(fed(probe))
        raw = cam(probe.target.index, normalized=False)[0][0].numpy()
    got = look(probe.model, probe, OURS["score-cam"], layer="1", baseline="mean").array
    assert relative(got / got.max(), raw / raw.max()) <= 1e-4


@pytest.mark.parametrize(("net", "ours", "theirs"), [*SPOTS[:6]])
def test_ablation_cam_is_pytorch_grad_cams(
    probes: Callable[[str], Probe], net: str, ours: str, theirs: str
) -> None:
    """Theirs is divided by the score, as the paper says; ours is in units of it."""
    probe = probes(net)
    # it takes its layers out of the model for a while, and in place it would ablate what the next one reads
    raw, _, _ = grad_cam_library(probe, "AblationCAM", theirs)
    got = look(probe.model, probe, OURS["ablation-cam"], layer=ours, positive=False).array
    assert relative(got, raw * probe.score) <= 1e-4


@pytest.mark.parametrize("net", ["plain", "depthwise", "residual"])
def test_full_grad_is_pytorch_grad_cams(
    probes: Callable[[str], Probe], monkeypatch: pytest.MonkeyPatch, net: str
) -> None:
    """It adds 1e-7 to the largest value of a map before it divides by it; some maps here are hardly larger."""
    probe, library = probes(net), need("pytorch_grad_cam")
    resize = need("cv2").resize

    def exactly(maps: Any, size: Any = None) -> Any:
        shares = [(m - m.min()) / ((m - m.min()).max() or 1) for m in maps]
        return np.float32([resize(np.float32(m), size) if size else m for m in shares])

    monkeypatch.setattr(need("pytorch_grad_cam.utils.image"), "scale_cam_image", exactly)
    with library.FullGrad(probe.model.native, []) as cam:
        raw = cam(fed(probe), [wanted(probe)])[0]
    clean(probe)
    assert relative(stretched(look(probe.model, probe, OURS["full-grad"]).array), raw) <= 1e-4
