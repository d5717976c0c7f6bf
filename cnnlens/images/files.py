"""From a file's bytes to a decoded Pillow image, within limits that hold before anything is unpacked."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

from PIL import Image as PILImage
from PIL import ImageChops, UnidentifiedImageError

from ..errors import CannotOpen
from .picture import FORMATS, FULL_PIXELS, MAX_BYTES, MAX_PIXELS

# TIFF's own names for what is asked of it
_BITS, _PHOTOMETRIC, _ORIENTATION, _SAMPLES, _PLANES = 258, 262, 274, 277, 284
#: Under this key of a picture's `info` stands how Pillow turned it while it was loaded, as it does with TIFF.
TURNED = "cnnlens turned"


def file_bytes(path: Path) -> bytes:
    """What is in the file; CannotOpen where it cannot be read or is too long to be a picture."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise CannotOpen(f"{path} has {size / 2**20:.0f} MiB; pictures may have {MAX_BYTES // 2**20}")
        return path.read_bytes()
    except FileNotFoundError:
        raise CannotOpen(f"no such picture: {path}") from None
    except OSError as error:
        raise CannotOpen(f"cannot read {path}: {error.strerror}") from error


def decoded(data: bytes, name: str, notes: list[str]) -> PILImage.Image:
    """A picture of one of the open formats, its pixels loaded; CannotOpen with the reason for anything else."""
    if len(data) > MAX_BYTES:
        raise CannotOpen(f"{name} has {len(data) / 2**20:.0f} MiB; pictures may have {MAX_BYTES // 2**20}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # our own limit on pixels is lower; damaged metadata is no matter
            picture = PILImage.open(io.BytesIO(data), formats=FORMATS)
            _check(picture, name)
            turned = getattr(picture, "tag_v2", {}).get(_ORIENTATION, 1)
            picture.load()
            found = _set_right(picture, data, notes)
            found.info[TURNED] = turned
            return found
    except CannotOpen:
        raise
    except UnidentifiedImageError:
        raise CannotOpen(f"{name} is not a picture that cnnlens reads: {', '.join(FORMATS)}") from None
    except (
        Exception
    ) as error:  # a parser of bytes that anybody wrote: whatever it stumbles over, they are bad
        told = str(error) or type(error).__name__
        raise CannotOpen(f"{name} cannot be read as a picture, it may be damaged: {told}") from error


def _check(picture: PILImage.Image, name: str) -> None:
    """What the header says, before a pixel is unpacked."""
    width, height = picture.size
    if width * height > MAX_PIXELS:
        millions = MAX_PIXELS // 10**6
        raise CannotOpen(
            f"{name} has {width}×{height} pixels, more than {millions} megapixels: scale it down"
        )
    tags = getattr(picture, "tag_v2", {})
    if tags.get(_PLANES) == 2 and max(tags.get(_BITS, (8,))) > 8:
        # Pillow reads the low bytes of the first plane here, without a word
        raise CannotOpen(
            f"{name} holds 16-bit colours in separate planes, which cannot be read; save it interleaved "
            "(PlanarConfiguration 1), or hand cnnlens an array"
        )


def _set_right(picture: PILImage.Image, data: bytes, notes: list[str]) -> PILImage.Image:
    """What Pillow reads other than it was meant, or in part; and a picture that is too large as floats."""
    tags = getattr(picture, "tag_v2", {})
    found, frames = picture, getattr(picture, "n_frames", 1)
    if frames > 1:
        notes.append(f"the first of {frames} pictures")
    sixteen = (data[:4] == b"\x89PNG" and data[24] == 16) or max(tags.get(_BITS, (8,))) == 16
    if sixteen and not picture.mode.startswith("I"):
        notes.append("16 bits a colour read as 8")
    bands, samples = len(picture.getbands()), tags.get(_SAMPLES, 0)
    if samples > bands and picture.mode != "P":
        notes.append(f"{bands} of {samples} bands read, the others have no said meaning")
    if picture.mode.startswith("I;16") and tags.get(_PHOTOMETRIC) == 0:
        found = picture.point(lambda level: level * -1 + 65535)
    if picture.mode == "CMYK" and picture.format == "JPEG" and "adobe" not in picture.info:
        found = ImageChops.invert(
            picture
        )  # Pillow takes every CMYK JPEG for one of Adobe's, which are negatives
        found.info = dict(picture.info)
    return _shrunk(found, notes)


def _shrunk(picture: PILImage.Image, notes: list[str]) -> PILImage.Image:
    """A very large picture at half its size or less, by the mean of whole squares."""
    pixels, factor = picture.width * picture.height, 1
    while pixels / factor**2 > FULL_PIXELS:
        factor += 1
    if factor == 1 or picture.mode.startswith("I"):
        return picture
    notes.append(f"shrunk from {picture.width}×{picture.height}")
    smooth = {"P": "RGBA" if "transparency" in picture.info else "RGB", "1": "L"}.get(
        picture.mode, picture.mode
    )
    info, exif = dict(picture.info), picture.getexif()
    whole = picture if smooth == picture.mode else picture.convert(smooth)
    small = whole.reduce(factor)
    small.info = info if smooth == picture.mode else {k: v for k, v in info.items() if k != "transparency"}
    small.getexif().update(exif)
    return small
