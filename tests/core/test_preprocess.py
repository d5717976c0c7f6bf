"""From a picture to what a model is fed, against torchvision's own transforms and by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from needs import need
from PIL import Image

from cnnlens import InputSpec, open_image
from cnnlens.errors import BadInput, UnknownName
from cnnlens.preprocess import read_preprocess


def test_encoding_and_its_derivative() -> None:
    spec = InputSpec(1, 2, 3, mean=(1, 2, 3), std=(2, 4, 5), range=(0, 10), order="BGR")
    pixels = np.asarray([[[0.1, 0.2, 0.3], [0, 0.5, 1]]], np.float32)
    expected = (pixels * 10 - [1, 2, 3]) / [2, 4, 5]
    assert np.allclose(spec.encode(pixels), expected[..., ::-1], atol=1e-6)
    # the derivative of 1·R + 10·G + 100·B of what was fed (so B, G, R in that order there)
    fed = np.broadcast_to(np.asarray([100, 10, 1], np.float32), (1, 2, 3))
    assert np.allclose(spec.per_pixel(fed)[0, 0], [1 * 5, 10 * 2.5, 100 * 2])


@pytest.mark.parametrize(
    ("preset", "black", "white"),
    [("unit", 0, 1), ("raw", 0, 255), ("-1..1", -1, 1), ("imagenet", -0.485 / 0.229, 0.515 / 0.229)],
)
def test_presets(preset: str, black: float, white: float) -> None:
    spec = read_preprocess(preset, 2, 2, 3)
    ends = spec.encode(np.asarray([[[0.0] * 3, [1.0] * 3]], np.float32))
    assert ends[0, 0, 0] == pytest.approx(black, abs=1e-5)
    assert ends[0, 1, 0] == pytest.approx(white, abs=1e-5)


def test_caffe_is_bgr_about_its_means() -> None:
    spec = read_preprocess("caffe", 1, 1, 3)
    red = spec.encode(np.asarray([[[1.0, 0, 0]]], np.float32))[0, 0]
    assert np.allclose(red, [-103.939, -116.779, 255 - 123.68], atol=1e-3)


@pytest.mark.parametrize("shape", [(300, 451), (512, 300), (230, 230), (100, 90)])
def test_fitting_is_what_torchvision_does(shape: tuple[int, int]) -> None:
    need("torchvision")
    from torchvision.models import ResNet18_Weights

    transform = ResNet18_Weights.IMAGENET1K_V1.transforms()
    eight = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    eight[40:] = eight[40:] // 4  # something that would show a crop in the wrong place
    spec = read_preprocess(transform, 0, 0, 3)
    assert (spec.height, spec.width, spec.source) == (224, 224, "torchvision transform")
    ours = spec.encode(spec.fit(open_image(eight).pixels))
    theirs = transform(Image.fromarray(eight)).permute(1, 2, 0).numpy()
    assert np.abs(ours - theirs).max() <= 1.01 / 255 / 0.224  # they round to 8 bits after resizing


def test_squash_pad_and_crop_of_a_wide_picture() -> None:
    wide = np.zeros((4, 8, 1), np.float32)
    wide[:, :4] = 1
    squashed = InputSpec(4, 4, 1, resize="squash").fit(wide)
    assert squashed[:, :2].min() > 0.8 and squashed[:, 2:].max() < 0.2
    padded = InputSpec(8, 8, 1, resize="pad").fit(wide)
    assert padded[:2].max() == 0 and padded[6:].max() == 0 and padded[2:6, :4].min() == 1
    assert InputSpec(4, 4, 1).fit(wide).tolist() == wide[:, 2:6].tolist()


def test_grey_and_colour_are_turned_into_each_other() -> None:
    grey = np.full((2, 2, 1), 0.5, np.float32)
    assert InputSpec(2, 2, 3).fit(grey).tolist() == np.full((2, 2, 3), 0.5).tolist()
    red = np.zeros((2, 2, 3), np.float32)
    red[..., 0] = 1
    assert InputSpec(2, 2, 1).fit(red)[0, 0, 0] == pytest.approx(0.299)
    with pytest.raises(BadInput, match="2 channels and the model reads 3"):
        InputSpec(2, 2, 3).fit(np.zeros((2, 2, 2), np.float32))


def test_a_mapping_and_a_file(tmp_path: Path) -> None:
    asked = {"size": [3, 5], "mean": [0.5], "std": [0.1], "resize": "pad", "interpolation": "bicubic"}
    file = tmp_path / "p.json"
    file.write_text(json.dumps(asked))
    spec = read_preprocess(str(file), 9, 9, 1)
    assert (spec.height, spec.width, spec.channels, spec.resize) == (3, 5, 1, "pad")
    assert spec.source == "file p.json"
    assert read_preprocess(asked, 9, 9, 1).encode(np.full((3, 5, 1), 0.5, np.float32)).max() == 0


@pytest.mark.parametrize(
    ("asked", "error", "told"),
    [
        ("imagnet", UnknownName, "did you mean 'imagenet'"),
        ({"sise": 3}, UnknownName, "did you mean 'size'"),
        ({"std": [0, 1, 1]}, BadInput, "zero"),
        ({"mean": [1, 2]}, BadInput, "2 values for 3"),
        ({"resize": "stretch"}, UnknownName, "resize rule"),
        ({"size": 0}, BadInput, "no pixels"),
        ({"crop_share": 2}, BadInput, "at most 1"),
    ],
)
def test_a_wrong_one_is_told_what_would_do(asked: object, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        read_preprocess(asked, 4, 4, 3)


def test_a_file_that_is_no_preprocessing(tmp_path: Path) -> None:
    file = tmp_path / "p.json"
    file.write_text("[1]")
    with pytest.raises(BadInput, match="holds a list"):
        read_preprocess(file, 4, 4, 3)
    with pytest.raises(BadInput, match="cannot read"):
        read_preprocess(tmp_path / "none.json", 4, 4, 3)
