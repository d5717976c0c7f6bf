"""From a picture to what a model is fed, against torchvision's own transforms and by hand."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from needs import need
from PIL import Image

from cnnlens import InputSpec, Model, Probe, open_image
from cnnlens.errors import BadInput, UnknownName
from cnnlens.preprocess import PRESETS, from_hf, from_timm, of_keras_family, read_preprocess


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
        ({"crop_share": "half"}, BadInput, "crop_share should be a number, not 'half'"),
        ({"size": "big"}, BadInput, "size should be a side, or height and width, not 'big'"),
        ({"size": [1, 2, 3]}, BadInput, "size should be a side, or height and width"),
        ({"size": None}, BadInput, "size should be"),
        ({"size": 2.5}, BadInput, "size should be a whole number, not 2.5"),
        ({"height": "tall"}, BadInput, "height should be a whole number, not 'tall'"),
        ({"channels": [3, 3]}, BadInput, "channels should be a whole number"),
        ({"mean": "grey"}, BadInput, "mean should be a number, or one per channel, not 'grey'"),
        ({"mean": [[1]]}, BadInput, "mean should be"),
        ({"mean": [1, None, 2]}, BadInput, "mean should be"),
        ({"std": float("nan")}, BadInput, "std should be"),
        ({"std": 10**400}, BadInput, "std should be"),
        ({"range": "wide"}, BadInput, "range should be two numbers, what black and what white is fed as"),
        ({"range": [1]}, BadInput, "range should be two numbers"),
        ({"range": [1, 1]}, BadInput, "two numbers that differ"),
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


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_facts_are_read_back(preset: str, tmp_path: Path) -> None:
    spec = read_preprocess(preset, 5, 7, 1 if preset == "mnist" else 3)
    again = read_preprocess(json.loads(json.dumps(spec.facts())), 1, 1, 1)
    assert again == spec
    file = tmp_path / "p.json"
    file.write_text(json.dumps(spec.facts()))
    from_file = read_preprocess(file, 1, 1, 1)
    assert from_file.source == "file p.json"
    assert dataclasses.replace(from_file, source=spec.source) == spec


@pytest.mark.parametrize(
    ("name", "preset"),
    [
        ("resnet50", "caffe"), ("resnet50_1", "caffe"), ("resnet152v2", "-1..1"), ("vgg19", "caffe"),
        ("mobilenet_1.00_224", "-1..1"), ("mobilenetv2_0.50_160", "-1..1"), ("MobileNetV3Large", "raw"),
        ("inception_v3", "-1..1"), ("inception_resnet_v2", "-1..1"), ("xception", "-1..1"),
        ("nasnet_mobile", "-1..1"), ("NASNet", "-1..1"), ("densenet169", "imagenet"),
        ("efficientnetb3", "raw"),
        ("efficientnetv2-s", "raw"), ("convnext_tiny", "raw"),
        ("resnet50_of_mine", None), ("sequential", None), ("functional_3", None), ("mobilenetwork", None),
    ],
)  # fmt: skip
def test_families_of_keras_applications(name: str, preset: str | None) -> None:
    found = of_keras_family(name)
    if preset is None:
        assert found is None
        return
    assert found is not None and name in found["source"]
    ours = read_preprocess({**found, "size": 2}, 2, 2, 3)
    wanted = read_preprocess(preset, 2, 2, 3)
    ends = np.asarray([[[0.0, 0.5, 1.0], [1.0, 0.2, 0.0]]], np.float32)
    assert np.array_equal(ours.encode(ends), wanted.encode(ends))


def test_what_timm_says() -> None:
    config = {
        "input_size": [3, 224, 160], "interpolation": "bicubic", "crop_pct": 0.9, "crop_mode": "center",
        "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
        "architecture": "vit_tiny_patch16_224", "num_classes": 10,
    }  # fmt: skip
    spec = read_preprocess(from_timm(config), 1, 1, 1)
    assert (spec.height, spec.width, spec.channels) == (224, 160, 3)
    assert (spec.mean, spec.crop_share, spec.interpolation, spec.resize) == (
        (0.5,) * 3,
        0.9,
        "bicubic",
        "crop",
    )
    assert spec.source == "timm's configuration of vit_tiny_patch16_224"
    assert read_preprocess(from_timm({"architecture": "x", "pretrained_cfg": config}), 1, 1, 1).width == 160
    assert read_preprocess(from_timm({"crop_mode": "squash"}), 1, 1, 1).resize == "squash"
    assert read_preprocess(from_timm({}), 1, 1, 1).mean == (0.485, 0.456, 0.406)  # timm's own default


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224", "inception_v3"])
def test_timm_itself_prepares_the_same(name: str) -> None:
    timm = need("timm")
    config = timm.get_pretrained_cfg(name).to_dict()
    transform = timm.data.create_transform(**timm.data.resolve_data_config(pretrained_cfg=config))
    eight = np.random.default_rng(0).integers(64, 192, (12, 12, 3), np.uint8).repeat(30, 0).repeat(30, 1)
    spec = read_preprocess(from_timm(config), 1, 1, 3)
    ours = spec.encode(spec.fit(open_image(eight).pixels))
    theirs = transform(Image.fromarray(eight)).permute(1, 2, 0).numpy()
    assert np.abs(ours - theirs).max() <= 2.01 / 255 / 0.224  # they round to 8 bits twice


HF = {
    "vit": (
        {
            "image_processor_type": "ViTImageProcessor", "size": {"height": 224, "width": 192}, "resample": 2,
            "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "rescale_factor": 1 / 255,
        },
        {"height": 224, "width": 192, "resize": "squash", "mean": (0.5,) * 3, "interpolation": "bilinear"},
    ),
    "old vit": (
        {"feature_extractor_type": "ViTFeatureExtractor", "size": 224, "resample": 3},
        {"height": 224, "resize": "squash", "interpolation": "bicubic"},
    ),
    "resnet": (
        {
            "image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 224},
            "crop_pct": 0.875, "image_mean": [0.4] * 3, "image_std": [0.2] * 3,
        },
        {"height": 224, "resize": "crop", "crop_share": 0.875, "std": (0.2,) * 3},
    ),
    "convnext, large": (
        {"image_processor_type": "ConvNextFeatureExtractor", "size": {"shortest_edge": 384}},
        {"height": 384, "resize": "squash"},
    ),
    "mobilenet": (
        {
            "size": {"shortest_edge": 256}, "do_center_crop": True,
            "crop_size": {"height": 224, "width": 224},
        },
        {"height": 224, "resize": "crop", "crop_share": 0.875},
    ),
    "old with a crop": (
        {"size": 256, "do_center_crop": True, "crop_size": 224},
        {"height": 224, "crop_share": 0.875},
    ),
    "mobilevit": (
        {
            "size": {"shortest_edge": 288}, "do_center_crop": True,
            "crop_size": {"height": 256, "width": 256}, "do_flip_channel_order": True, "do_normalize": False,
        },
        {"order": "BGR", "mean": (0.0,), "crop_share": 256 / 288},
    ),
    "efficientnet": (
        {
            "size": {"height": 346, "width": 346}, "do_center_crop": True, "rescale_offset": True,
            "rescale_factor": 1 / 127.5, "crop_size": {"height": 289, "width": 289},
        },
        {"height": 289, "resize": "squash", "range": (-1.0, 1.0), "crop_share": 289 / 346},
    ),
    "no rescaling": ({"size": 32, "do_rescale": False}, {"range": (0.0, 255.0)}),
}  # fmt: skip


@pytest.mark.parametrize("case", HF)
def test_what_hugging_face_says(case: str) -> None:
    config, wanted = HF[case]
    spec = read_preprocess(from_hf(config), 1, 1, 3)
    for key, value in wanted.items():
        found = getattr(spec, key)
        assert found == (value if isinstance(value, str) else pytest.approx(value)), key
    assert spec.source.startswith("preprocessor_config.json")


def test_a_processor_without_a_size_is_told() -> None:
    with pytest.raises(BadInput, match="says no size"):
        from_hf({"image_processor_type": "OddProcessor", "size": {"longest_edge": 3}})


def test_squashing_and_then_cutting() -> None:
    ramp = np.linspace(0, 1, 40, dtype=np.float32)[None, :, None].repeat(20, 0)
    whole = InputSpec(8, 8, 1, resize="squash").fit(ramp)
    part = InputSpec(8, 8, 1, resize="squash", crop_share=0.5).fit(ramp)
    assert whole[0, 0, 0] < 0.1 and part[0, 0, 0] == pytest.approx(0.26, abs=0.03)


def test_a_line_of_pixels_costs_no_memory() -> None:
    line = np.linspace(0, 1, 20_000, dtype=np.float32)[None, :, None]
    fitted = InputSpec(224, 224, 1).fit(line)  # scaled whole it would be 224 × 4.5 million
    assert fitted.shape == (224, 224, 1) and abs(float(fitted.mean()) - 0.5) < 1e-3


def test_the_tensor_that_the_model_is_fed(tiny: Model) -> None:
    picture = np.random.default_rng(0).random((8, 8, 3), np.float32)
    probe = Probe(tiny, picture)
    assert np.allclose(probe.fed, (picture - 0.5) / 0.25, atol=1e-6)
    shown, ends = probe.fed_as_picture()
    assert ends == (-2, 2) and np.allclose(shown, picture, atol=1e-6)
    assert np.allclose(tiny.forward(probe.fed[None], (), {}, False).scores[0], probe.scores)
