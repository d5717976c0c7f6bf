"""CAMs of transformers: the tokens folded, against pytorch-grad-cam given the same folding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from needs import need
from test_cam_oracles import OURS, PAIRS, fed, grad_cam_library, relative, wanted

import cnnlens
from cnnlens import Probe, look
from cnnlens.errors import Unmet


@pytest.fixture(scope="module")
def picture() -> Any:
    return np.random.default_rng(0).random((64, 64, 3), np.float32)


@pytest.fixture(scope="module")
def vit() -> cnnlens.Model:
    torch, timm = need("torch"), need("timm")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        native = timm.create_model(
            "vit_tiny_patch16_224", depth=3, embed_dim=24, num_heads=2, img_size=64, num_classes=5
        )
        for parameter in native.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    return cnnlens.wrap(native.eval(), preprocess={"size": 64})


@pytest.fixture(scope="module")
def swin() -> cnnlens.Model:
    torch, models = need("torch"), need("torchvision").models
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        native = models.SwinTransformer([4, 4], 16, [1, 2], [2, 2], [4, 4], num_classes=5)
        for parameter in native.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    return cnnlens.wrap(native.eval(), preprocess={"size": 64})


def patches(tokens: Any) -> Any:
    return tokens[:, 1:].reshape(len(tokens), 4, 4, -1).permute(0, 3, 1, 2)


def channels_first(maps: Any) -> Any:
    return maps.permute(0, 3, 1, 2)


@pytest.mark.parametrize("name", ["grad-cam", "xgrad-cam", "hires-cam", "layer-cam"])
@pytest.mark.parametrize(
    ("which", "layer", "reshape"),
    [("vit", "blocks.2.norm1", patches), ("vit", "blocks.1.norm2", patches),
     ("swin", "features.3.1.norm2", channels_first), ("swin", "features.2.reduction", channels_first)],
)  # fmt: skip
def test_cams_at_tokens_are_pytorch_grad_cams(
    request: pytest.FixtureRequest, picture: Any, name: str, which: str, layer: str, reshape: Any
) -> None:
    probe = Probe(request.getfixturevalue(which), picture, 3)
    raw, a, _ = grad_cam_library(probe, PAIRS[name], layer, reshape=reshape)
    got = look(probe.model, probe, OURS[name], layer=layer, positive=False)
    assert got.array.shape == a.shape[:2] and relative(got.array, raw) <= 1e-4
    if name == "xgrad-cam":  # a norm's sums pass near zero
        assert "either sign" in str(got.facts["verdict"])


def test_unasked_it_is_the_norm_before_the_last_attention(vit: cnnlens.Model, picture: Any) -> None:
    result = look(vit, picture, OURS["grad-cam"], target=3, positive=False)
    assert result.facts["settings"]["layer"] == "blocks.2.norm1" and np.abs(result.array).max() > 0
    assert "behind which only the class token is read" in result.panels[-1].text  # type: ignore[union-attr]
    assert wanted(Probe(vit, picture, 3)) and fed(Probe(vit, picture)).shape == (1, 3, 64, 64)


def test_patches_that_nothing_reads_are_refused_where_that_makes_the_map_zero(
    vit: cnnlens.Model, picture: Any
) -> None:
    behind = vit.trace(picture[None], watch=["blocks.2.norm2"], target=3).gradients["blocks.2.norm2"][0]
    assert not behind[1:].any() and behind[0].any()
    for name in ("grad-cam", "layer-cam", "ablation-cam", "finer-cam", "smooth-grad-cam++"):
        with pytest.raises(Unmet, match="only the class token is read"):
            look(vit, picture, OURS[name], layer="blocks.2.norm2")
    for name in ("eigen-cam", "score-cam"):
        assert look(vit, picture, OURS[name], layer="blocks.2.norm2").array.any()


@pytest.mark.parametrize("name", [name for name in OURS if name != "full-grad"])
def test_every_cam_works_at_tokens_and_at_windows(
    vit: cnnlens.Model, swin: cnnlens.Model, picture: Any, name: str
) -> None:
    if name == "cam":
        assert "class token" not in str(OURS[name].why_not(vit)) and OURS[name].why_not(vit)
        return
    assert look(vit, picture, OURS[name]).array.shape == (4, 4)
    assert look(swin, picture, OURS[name]).array.shape == (8, 8)


def test_maps_of_a_swin_point_where_the_picture_counts(swin: cnnlens.Model) -> None:
    """A speck that alone is not grey is what activation times gradient changes at: there, and not mirrored."""
    picture = np.full((64, 64, 3), 0.5, np.float32)
    picture[8:16, 40:48] = [1, 0, 0]
    layer = "features.0.2"  # before windows mix it
    grey = look(
        swin, np.full((64, 64, 3), 0.5, np.float32), OURS["eigen-cam"], layer=layer, centred=True
    ).array
    speck = np.abs(look(swin, picture, OURS["eigen-cam"], layer=layer, centred=True).array)
    y, x = np.unravel_index(speck.argmax(), speck.shape)
    assert speck.shape == grey.shape == (16, 16) and (y in (2, 3)) and (x in (10, 11))
