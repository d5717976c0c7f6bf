"""From a file, bytes, an array or a Pillow image to pixels (H, W, C) in [0, 1], and notes on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

from PIL import Image as PILImage

from ..errors import CannotOpen, UnknownName
from .colours import pixels_of, upright
from .covers import cover_of
from .files import decoded, file_bytes
from .numbers import of_array
from .picture import FORMATS, MAX_BYTES, MAX_PIXELS, SUFFIXES, Image, digest, image_of

__all__ = [
    "FORMATS", "MAX_BYTES", "MAX_PIXELS", "SUFFIXES", "Exif", "Image", "Source", "cover_of", "digest", "find_images",
    "open_image",
]  # fmt: skip

Source = Any  # str | Path | bytes | PIL image | array | Image; frameworks' arrays come by __array__
Exif = Literal["apply", "ignore"]


def open_image(source: Source, name: str | None = None, *, exif: Exif = "apply") -> Image:
    """Read a picture; raises CannotOpen with the reason where it is none.

    Files and bytes: JPEG, PNG, WebP, GIF, BMP, TIFF of at most 32 MiB and 50 megapixels. The rotation that
    EXIF asks for is applied (`exif="ignore"` leaves the pixels as they are stored, as most training did),
    transparency laid on white, 16 bits of grey kept, CMYK and other colour spaces brought to sRGB, of an
    animation the first picture taken; each is noted. Arrays are (H, W), (H, W, C), or (C, H, W) where it
    cannot be otherwise; whole numbers of any width, or floats in [0, 1].
    """
    if exif not in get_args(Exif):
        raise UnknownName("treatment of EXIF", str(exif), get_args(Exif))
    if isinstance(source, Image):
        return source
    notes: list[str] = []
    if isinstance(source, (str, Path)):
        name, source = name or Path(source).name, file_bytes(Path(source))
    name = name or ("picture" if isinstance(source, (bytes, PILImage.Image)) else "array")
    if isinstance(source, bytes):
        source = decoded(source, name, notes)
    if isinstance(source, PILImage.Image):
        return image_of(pixels_of(upright(source, exif, notes), name, notes), name, notes)
    return image_of(of_array(source, name, notes), name, notes)


def find_images(places: list[Path]) -> list[Path]:
    """The picture files among `places`; folders are looked into, not below, and hidden files passed over."""
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            seen = [p for p in sorted(place.iterdir()) if not p.name.startswith(".")]
            inside = [p for p in seen if p.suffix.lower() in SUFFIXES and p.is_file()]
            if not inside:
                raise CannotOpen(f"folder {place} holds no picture ({' '.join(SUFFIXES)})")
            found += inside
        elif place.exists():
            found.append(place)
        else:
            raise CannotOpen(f"no such picture: {place}")
    return found
