"""From a Pillow image of any mode to pixels in [0, 1]: upright, opaque, in sRGB or grey."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image as PILImage
from PIL import ImageCms, ImageOps

from ..arrays import Array
from ..errors import CannotOpen
from .files import TURNED

_ORIENTATION = 0x0112
#: A profile whose colours are within this of sRGB's, of 255, is taken for it: its variants differ by less.
_NEAR = 4


_TURN = PILImage.Transpose
#: What undoes the turn that each orientation asks for.
_BACK = {
    2: _TURN.FLIP_LEFT_RIGHT, 3: _TURN.ROTATE_180, 4: _TURN.FLIP_TOP_BOTTOM, 5: _TURN.TRANSPOSE,
    6: _TURN.ROTATE_90, 7: _TURN.TRANSVERSE, 8: _TURN.ROTATE_270,
}  # fmt: skip


def upright(picture: PILImage.Image, exif: str, notes: list[str]) -> PILImage.Image:
    """The picture turned as its EXIF asks, unless that is to be ignored."""
    turned = picture.info.get(TURNED, 1)
    if turned in _BACK and exif == "ignore":
        notes.append("not turned, although its EXIF asks for it")
        return picture.transpose(_BACK[turned])
    if turned in _BACK:
        notes.append("turned upright as its EXIF says")
        return picture
    try:
        asked = picture.getexif().get(_ORIENTATION, 1)
        if asked not in range(2, 9):
            return picture
        if exif == "ignore":
            notes.append("not turned, although its EXIF asks for it")
            return picture
        turned = ImageOps.exif_transpose(picture)
    except Exception as error:  # metadata that anybody wrote; the pixels are good without it
        notes.append(f"its EXIF cannot be read ({type(error).__name__}), so it was not turned")
        return picture
    notes.append("turned upright as its EXIF says")
    return turned


def pixels_of(picture: PILImage.Image, name: str, notes: list[str]) -> Array:
    """Pixels (H, W, 1 or 3); CannotOpen for modes whose numbers have no known range."""
    mode = picture.mode
    if mode.startswith("I;16"):  # Pillow's own convert would clip it
        notes.append("16 bits a pixel kept")
        return _scaled(picture, 65535)
    if mode in ("F", "I") or mode.startswith("I;"):
        kind = "floating-point numbers" if mode == "F" else "whole numbers of 32 bits, or with a sign"
        raise CannotOpen(
            f"{name} is a picture of {kind}, which have no known range; hand cnnlens an array in [0, 1]"
        )
    try:
        return _scaled(_opaque(_in_srgb(picture, notes), notes), 255)
    except ValueError as error:
        raise CannotOpen(f"{name} has colours of mode {mode}, which cannot be converted: {error}") from error


def _opaque(picture: PILImage.Image, notes: list[str]) -> PILImage.Image:
    """Grey or RGB; what shows through is white."""
    grey = picture.mode in ("1", "L", "LA", "La")
    if picture.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        least, most = picture.getchannel("A").getextrema()
        if most == 0:
            notes.append("transparent everywhere: nothing is seen but the white it is laid on")
        elif isinstance(least, (int, float)) and least < 255:
            notes.append("transparency laid on white")
        white = PILImage.new("RGBA", picture.size, "white")
        picture = PILImage.alpha_composite(white, picture)
    return picture.convert("L" if grey else "RGB")


def _in_srgb(picture: PILImage.Image, notes: list[str]) -> PILImage.Image:
    """By the profile that it brings, where it brings one that says other colours than sRGB."""
    profile = picture.info.get("icc_profile")
    cmyk = picture.mode == "CMYK"
    if profile and picture.mode in ("RGB", "RGBA", "CMYK"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if cmyk or _differs(source):
                done = _converted(picture, source)
                told = ImageCms.getProfileDescription(source).strip() or "its own profile"
                notes.append(f"converted from {'CMYK' if cmyk else 'the colours'} of {told[:60]}")
                return done
            return picture
        except (ImageCms.PyCMSError, OSError, ValueError) as error:
            notes.append(f"its colour profile was left out, it cannot be used: {error}")
    if cmyk:
        notes.append("converted from CMYK")
        return picture.convert("RGB")
    return picture


def _differs(source: ImageCms.ImageCmsProfile) -> bool:
    """Whether the profile makes other colours of a few strong ones."""
    levels = np.asarray([0, 64, 128, 192, 255], np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(5, 25, 3)
    after = np.asarray(_converted(PILImage.fromarray(cube), source), np.int16)
    return bool(np.abs(after - cube).max() > _NEAR)


def _converted(picture: PILImage.Image, source: ImageCms.ImageCmsProfile) -> PILImage.Image:
    srgb = ImageCms.createProfile("sRGB")
    mode = "RGBA" if picture.mode == "RGBA" else "RGB"
    transform = ImageCms.buildTransform(source, srgb, picture.mode, mode)
    done = ImageCms.applyTransform(picture, transform)
    assert done is not None
    return done


def _scaled(picture: PILImage.Image, top: int) -> Array:
    """Whole numbers 0 … top → (H, W, C) in [0, 1]."""
    values = np.asarray(picture).astype(np.float32)
    values /= np.float32(top)
    return values if values.ndim == 3 else values[..., None]
