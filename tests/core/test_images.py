"""Pictures from files, bytes and arrays: the right pixels, or a clear refusal."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PILImage

from cnnlens import open_image
from cnnlens.errors import BadInput, CannotOpen
from cnnlens.images import find_images


def encoded(image: PILImage.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def gradient(mode: str = "RGB") -> PILImage.Image:
    values = np.linspace(0, 255, 12 * 8 * 3).astype(np.uint8).reshape(12, 8, 3)
    return PILImage.fromarray(values).convert(mode)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF", "WEBP", "JPEG"])
def test_every_open_format_is_read(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    image = open_image(encoded(gradient(), kind, **options))
    assert image.pixels.shape == (12, 8, 3) and image.pixels.dtype == np.float32
    exact = np.asarray(gradient(), np.float32) / 255
    assert np.abs(image.pixels - exact).max() <= (0.15 if kind in ("GIF", "JPEG") else 0)


def test_sixteen_bits_are_kept() -> None:
    values = np.asarray([[0, 32768, 65535]], np.uint16)
    image = open_image(encoded(PILImage.fromarray(values), "PNG"))
    assert np.allclose(image.pixels[0, :, 0], [0, 32768 / 65535, 1])
    assert "16 bits" in image.notes[0]


def test_transparency_is_laid_on_white() -> None:
    rgba = PILImage.new("RGBA", (2, 1), (255, 0, 0, 0))
    rgba.putpixel((1, 0), (0, 0, 255, 255))
    image = open_image(encoded(rgba, "PNG"))
    assert image.pixels[0].tolist() == [[1, 1, 1], [0, 0, 1]]
    assert image.notes == ("transparency laid on white",)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_the_picture_upright(orientation: int) -> None:
    exif = PILImage.Exif()
    exif[0x0112] = orientation
    image = open_image(encoded(gradient(), "PNG", exif=exif))
    assert image.pixels.shape == ((12, 8, 3) if orientation < 5 else (8, 12, 3))
    assert bool(image.notes) == (orientation > 1)


def test_grey_palette_cmyk_and_one_bit() -> None:
    assert open_image(encoded(gradient("L"), "PNG")).pixels.shape == (12, 8, 1)
    assert open_image(encoded(gradient("1"), "PNG")).pixels.shape == (12, 8, 1)
    assert open_image(encoded(gradient("P"), "PNG")).pixels.shape == (12, 8, 3)
    cmyk = open_image(encoded(gradient("CMYK"), "JPEG"))
    assert cmyk.pixels.shape == (12, 8, 3) and cmyk.notes == ("converted from CMYK",)


def test_an_animation_gives_its_first_picture() -> None:
    frames = [PILImage.new("L", (3, 3), value) for value in (0, 255)]
    image = open_image(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert image.pixels.max() == 0 and image.notes == ("the first of 2 pictures",)


def test_arrays_of_whole_numbers_and_of_shares() -> None:
    eight = np.asarray([[[0, 51, 255]]], np.uint8)
    assert np.allclose(open_image(eight).pixels, [[[0, 0.2, 1]]])
    assert open_image(np.zeros((2, 3))).pixels.shape == (2, 3, 1)
    five = open_image(np.full((2, 3, 5), 0.5))
    assert five.pixels.shape == (2, 3, 5)
    assert not five.pixels.flags.writeable


def test_the_same_pixels_have_the_same_digest() -> None:
    by_file = open_image(encoded(gradient(), "PNG"), "a.png")
    by_array = open_image(np.asarray(gradient()))
    assert by_file.digest == by_array.digest != open_image(np.asarray(gradient())[:-1]).digest


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (np.full((2, 2, 3), 128.0), "float pixels are in"),
        (np.full((2, 2, 3), np.nan), "NaN"),
        (np.zeros((1, 2, 2, 3)), "one picture at a time"),
        (np.zeros((0, 2, 3)), "one picture at a time"),
        (np.asarray([["a"]]), "one picture at a time"),
    ],
)
def test_a_wrong_array_is_told_what_would_do(values: Any, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        open_image(values)


def test_files_that_are_no_pictures(tmp_path: Path) -> None:
    text = tmp_path / "notes.png"
    text.write_text("no picture at all")
    cut = tmp_path / "cut.png"
    cut.write_bytes(encoded(gradient(), "PNG")[:60])
    with pytest.raises(CannotOpen, match="not a picture that cnnlens reads"):
        open_image(text)
    with pytest.raises(CannotOpen, match="may be damaged"):
        open_image(cut)
    with pytest.raises(CannotOpen, match="no such picture"):
        open_image(tmp_path / "none.png")
    with pytest.raises(CannotOpen, match="cannot read"):
        open_image(tmp_path)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    bomb = encoded(PILImage.new("1", (9000, 9000)), "PNG")
    assert len(bomb) < 20_000
    with pytest.raises(CannotOpen, match="9000×9000"):
        open_image(bomb)


def test_folders_are_looked_into(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "c.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert [p.name for p in find_images([tmp_path])] == ["a.jpg", "b.png"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(CannotOpen, match="holds no picture"):
        find_images([tmp_path / "empty"])
    with pytest.raises(CannotOpen, match="no such picture"):
        find_images([tmp_path / "nowhere"])
