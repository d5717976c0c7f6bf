"""From a file, bytes, an array or a Pillow image to pixels (H, W, C) in [0, 1], and what was done to them."""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PILImage
from PIL import ImageCms, ImageOps, UnidentifiedImageError

from .arrays import Array, frozen
from .errors import BadInput, CannotOpen

#: Pillow knows some forty formats; each parser is a door, so only these are open.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
MAX_BYTES = 32 * 2**20
MAX_PIXELS = 50_000_000

Source = Any  # str | Path | bytes | PIL image | array | Image; frameworks' arrays come by __array__


@dataclass(frozen=True)
class Image:
    """A picture: pixels (H, W, C) in [0, 1], its name, a SHA-256 of them, and notes on how it was read."""

    pixels: Array
    name: str
    digest: str
    notes: tuple[str, ...] = ()


def open_image(source: Source, name: str | None = None) -> Image:
    """Read a picture; raises CannotOpen with the reason where it is none.

    Files and bytes: JPEG, PNG, WebP, GIF, BMP, TIFF of at most 32 MiB and 50 megapixels. EXIF rotation is
    applied, transparency laid on white, 16 bits kept, CMYK converted, of an animation the first picture
    taken; each is noted. Arrays are (H, W), (H, W, C), uint8 or in [0, 1].
    """
    if isinstance(source, Image):
        return source
    if isinstance(source, (str, Path)):
        path = Path(source)
        return _decoded(_file_bytes(path), name or path.name)
    if isinstance(source, bytes):
        return _decoded(source, name or "picture")
    if isinstance(source, PILImage.Image):
        return _of_pillow(source, name or "picture")
    return _of_array(source, name or "array")


def find_images(places: list[Path]) -> list[Path]:
    """The picture files among `places`, folders looked into (not below), sorted by name."""
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            inside = [p for p in sorted(place.iterdir()) if p.suffix.lower() in SUFFIXES and p.is_file()]
            if not inside:
                raise CannotOpen(f"folder {place} holds no picture ({' '.join(SUFFIXES)})")
            found += inside
        elif place.exists():
            found.append(place)
        else:
            raise CannotOpen(f"no such picture: {place}")
    return found


def _file_bytes(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise CannotOpen(f"{path} has {size / 2**20:.0f} MiB; pictures may have {MAX_BYTES // 2**20}")
        return path.read_bytes()
    except FileNotFoundError:
        raise CannotOpen(f"no such picture: {path}") from None
    except OSError as error:
        raise CannotOpen(f"cannot read {path}: {error.strerror}") from error


def _decoded(data: bytes, name: str) -> Image:
    if len(data) > MAX_BYTES:
        raise CannotOpen(f"{name} has {len(data) / 2**20:.0f} MiB; pictures may have {MAX_BYTES // 2**20}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PILImage.DecompressionBombWarning)  # our own limit is lower
            picture = PILImage.open(io.BytesIO(data), formats=FORMATS)
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise CannotOpen(
                    f"{name} has {width}×{height} pixels, more than {MAX_PIXELS // 10**6} megapixels: "
                    "scale it down"
                )
            picture.load()
    except UnidentifiedImageError:
        raise CannotOpen(f"{name} is not a picture that cnnlens reads: {', '.join(FORMATS)}") from None
    except (OSError, ValueError, SyntaxError, EOFError, PILImage.DecompressionBombError) as error:
        raise CannotOpen(f"{name} cannot be read as a picture, it may be damaged: {error}") from error
    return _of_pillow(picture, name)


def _of_pillow(picture: PILImage.Image, name: str) -> Image:
    notes: list[str] = []
    if getattr(picture, "n_frames", 1) > 1:
        notes.append(f"the first of {getattr(picture, 'n_frames', 1)} pictures")
    upright = ImageOps.exif_transpose(picture)
    if upright.size != picture.size or upright.getexif().get(0x0112) != picture.getexif().get(0x0112):
        notes.append("turned upright as its EXIF says")
    pixels = _pixels(upright, notes)
    return Image(frozen(pixels), name, digest(pixels), tuple(notes))


def _pixels(picture: PILImage.Image, notes: list[str]) -> Array:
    mode = picture.mode
    if mode.startswith("I"):  # 16-bit grey; Pillow's own convert would clip it
        notes.append("16 bits a pixel kept")
        return _scaled(picture, 65535)
    if mode == "F":
        raise CannotOpen("a floating-point picture has no known range; hand cnnlens an array in [0, 1]")
    if mode == "CMYK":
        notes.append("converted from CMYK")
        picture = _from_cmyk(picture)
    if mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        if np.asarray(picture.getchannel("A")).min() < 255:
            notes.append("transparency laid on white")
        white = PILImage.new("RGBA", picture.size, "white")
        picture = PILImage.alpha_composite(white, picture).convert("L" if mode in ("LA", "La") else "RGB")
    return _scaled(picture.convert("L" if picture.mode in ("1", "L") else "RGB"), 255)


def _scaled(picture: PILImage.Image, top: int) -> Array:
    """Whole numbers 0 … top → (H, W, C) in [0, 1]."""
    values = np.asarray(picture, np.float32) / np.float32(top)
    return values if values.ndim == 3 else values[..., None]


def _from_cmyk(picture: PILImage.Image) -> PILImage.Image:
    profile = picture.info.get("icc_profile")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            done = ImageCms.profileToProfile(
                picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
            if done is not None:
                return done
        except (ImageCms.PyCMSError, OSError) as error:
            warnings.warn(f"colour profile not usable ({error}); plain CMYK conversion", stacklevel=2)
    return picture.convert("RGB")


def _of_array(source: Any, name: str) -> Image:
    values = np.asarray(source)
    if values.ndim == 2:
        values = values[..., None]
    if values.ndim != 3 or 0 in values.shape or values.dtype.kind not in "uifb":
        raise BadInput(
            f"a picture is an array (H, W) or (H, W, C) of numbers, got {values.dtype} {values.shape}; "
            "give one picture at a time, channels last"
        )
    if values.dtype.kind in "uib":
        top = 1 if values.dtype.kind == "b" else np.iinfo(values.dtype).max
        pixels = values.astype(np.float32) / np.float32(top)
    else:
        pixels = values.astype(np.float32)
        if not np.isfinite(pixels).all():
            raise BadInput(f"{name} holds NaN or infinite pixels")
        if pixels.min() < -1e-3 or pixels.max() > 1 + 1e-3:
            raise BadInput(
                f"{name} has values {pixels.min():.4g} to {pixels.max():.4g}; float pixels are in [0, 1] "
                "(hand over the picture before preprocessing: the model's own is applied)"
            )
    pixels = frozen(np.clip(pixels, 0, 1))
    return Image(pixels, name, digest(pixels))


def digest(pixels: Array) -> str:
    """SHA-256 of the pixels and their shape: the same picture, the same digest, whatever file it was in."""
    head = f"{pixels.shape}".encode()
    return hashlib.sha256(head + np.ascontiguousarray(pixels, np.float32).tobytes()).hexdigest()
