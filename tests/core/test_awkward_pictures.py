"""Awkward pictures, made here: each gets the right pixels and says what was done, or is refused in a sentence.

No case takes more than two seconds or more memory than a large photograph does.
"""

from __future__ import annotations

import io
import resource
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image as PILImage
from PIL import ImageCms

from cnnlens import InputSpec, open_image
from cnnlens.errors import BadInput, CannotOpen, UnknownName

Picture = PILImage.Image


def encoded(image: Picture, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def ramp(height: int = 12, width: int = 16, channels: int = 3, top: int = 255) -> np.ndarray:
    """Every row, column and channel differs."""
    y, x, c = np.mgrid[:height, :width, :channels]
    share = (y / height + x / width + c / max(channels, 1)) / 3
    return (share * top).astype(np.uint8 if top == 255 else np.uint16)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png16(values: np.ndarray) -> bytes:
    """A PNG of 16 bits, which Pillow cannot write in colour."""
    height, width, channels = values.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    head = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def tiff(values: np.ndarray, bits: int, *, big: bool = False, photometric: int = 1, planar: bool = False,
         sample_format: int = 1, extra_samples: int = 0) -> bytes:  # fmt: skip
    """A plain TIFF of one strip (of one a band if planar), by hand: Pillow writes few of these."""
    e = ">" if big else "<"
    height, width, samples = values.shape
    planes = [values[..., i] for i in range(samples)] if planar else [values]
    strips = [p.astype(p.dtype.newbyteorder(e)).tobytes() for p in planes]
    after = 8
    data, offsets = b"", []
    for strip in strips:
        offsets.append(after + len(data))
        data += strip
    extra = after + len(data)

    def many(kind: str, numbers: list[int]) -> tuple[int, bytes, bytes]:
        packed = struct.pack(f"{e}{len(numbers)}{kind}", *numbers)
        return len(numbers), packed, packed

    tags = [
        (256, "I", [width]), (257, "I", [height]), (258, "H", [bits] * samples), (259, "H", [1]),
        (262, "H", [photometric]), (273, "I", offsets), (277, "H", [samples]), (278, "I", [height]),
        (279, "I", [len(s) for s in strips]), (284, "H", [2 if planar else 1]),
        *([(338, "H", [0] * extra_samples)] if extra_samples else []),
        (339, "H", [sample_format] * samples),
    ]  # fmt: skip
    fields, tail = b"", b""
    for tag, kind, numbers in tags:
        count, packed, _ = many(kind, numbers)
        if len(packed) > 4:
            value = struct.pack(f"{e}I", extra + len(tail))
            tail += packed
        else:
            value = packed.ljust(4, b"\0")
        fields += struct.pack(f"{e}HHI", tag, 3 if kind == "H" else 4, count) + value
    head = (b"MM" if big else b"II") + struct.pack(f"{e}HI", 42, extra + len(tail))
    return head + data + tail + struct.pack(f"{e}H", len(tags)) + fields + struct.pack(f"{e}I", 0)


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """Two seconds of a processor, and 300 MB above the highest that was reached before."""
    started, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert time.process_time() - started < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


def close(source: Any, wanted: np.ndarray, *notes: str, tolerance: float = 0.5 / 255, **options: Any) -> None:
    """The picture's mean error is within `tolerance`, and its notes say each of `notes`."""
    image = open_image(source, **options)
    assert image.pixels.dtype == np.float32 and not image.pixels.flags.writeable
    assert image.pixels.shape == wanted.shape
    assert float(np.abs(image.pixels - wanted).mean()) <= tolerance
    told = "; ".join(image.notes)
    assert len(image.notes) == len(notes) and all(note in told for note in notes), told


# -- orientation --------------------------------------------------------------------------------

TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


def smooth() -> np.ndarray:
    """Something that survives JPEG, and that no turn maps onto itself."""
    y, x = np.mgrid[:48, :32] / 48
    return (np.stack([y, x, y * x], -1) * 255).astype(np.uint8)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_is_applied_or_ignored(orientation: int, kind: str) -> None:
    exif = PILImage.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95} if kind in ("JPEG", "WEBP") else {}
    data = encoded(PILImage.fromarray(smooth()), kind, exif=exif, **options)
    plain = smooth().astype(np.float32) / 255
    upright = TURNS[orientation](plain)
    told = ("turned upright",) if orientation > 1 else ()
    close(data, upright, *told, tolerance=3 / 255)
    left = ("not turned",) if orientation > 1 else ()
    close(data, plain, *left, tolerance=3 / 255, exif="ignore")


def test_orientations_that_are_none() -> None:
    for odd in (0, 9, 77):
        exif = PILImage.Exif()
        exif[0x0112] = odd
        close(encoded(PILImage.fromarray(smooth()), "PNG", exif=exif), smooth() / 255.0)
    broken = encoded(PILImage.fromarray(smooth()), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert open_image(broken).pixels.shape == (48, 32, 3)
    with pytest.raises(UnknownName, match="treatment of EXIF"):
        open_image(broken, exif="applied")  # type: ignore[arg-type]


# -- depth --------------------------------------------------------------------------------------

DEEP = ramp(channels=4, top=65535)
SHARE = DEEP / 65535.0


@pytest.mark.parametrize(
    ("data", "wanted", "notes"),
    [
        (png16(DEEP[..., :1]), SHARE[..., :1], ("16 bits a pixel kept",)),
        (png16(DEEP[..., :3]), SHARE[..., :3], ("16 bits a colour read as 8",)),
        (tiff(DEEP[..., :1], 16), SHARE[..., :1], ("16 bits a pixel kept",)),
        (tiff(DEEP[..., :1], 16, big=True), SHARE[..., :1], ("16 bits a pixel kept",)),
        (tiff(DEEP[..., :1], 16, photometric=0), 1 - SHARE[..., :1], ("16 bits a pixel kept",)),
        (tiff(DEEP[..., :3], 16, photometric=2), SHARE[..., :3], ("16 bits a colour read as 8",)),
        (tiff(DEEP[..., :3], 16, photometric=2, big=True), SHARE[..., :3], ("16 bits a colour read as 8",)),
        (tiff(ramp()[..., :1], 8, photometric=0), 1 - ramp()[..., :1] / 255.0, ()),
        (tiff(ramp(), 8, photometric=2, planar=True), ramp() / 255.0, ()),
        (tiff(ramp(channels=2), 8, extra_samples=1), ramp(channels=2)[..., :1] / 255.0, ("1 of 2 bands read",)),
        (tiff(ramp(channels=4), 8, photometric=2, extra_samples=1), ramp(channels=4)[..., :3] / 255.0,
         ("3 of 4 bands read",)),
    ],
    ids=["png", "png rgb", "tiff", "tiff big-endian", "tiff white is 0", "tiff rgb",
         "tiff rgb big-endian", "8 bits, white is 0", "planes of 8 bits", "two bands", "four bands"],
)  # fmt: skip
def test_depths_and_bands(data: bytes, wanted: np.ndarray, notes: tuple[str, ...]) -> None:
    close(data, wanted, *notes, tolerance=1 / 255)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (tiff(SHARE[..., :1].astype(np.float32), 32, sample_format=3), "no known range"),
        (tiff(SHARE[..., :1].astype(np.float64), 64, sample_format=3), "not a picture"),
        (tiff(DEEP[..., :1].astype(np.uint32), 32), "no known range"),
        (tiff(DEEP[..., :1].astype(np.int32), 32, sample_format=2), "no known range"),
        (tiff(DEEP[..., :1].astype(np.int16), 16, sample_format=2), "no known range"),
        (tiff(DEEP[..., :3], 16, photometric=2, planar=True), "separate planes"),
        (tiff(DEEP[..., :1], 16, photometric=0, big=True), "not a picture"),
        (tiff(ramp(channels=5), 8), "not a picture"),
    ],
    ids=["float", "double", "uint32", "int32", "int16", "planes of 16 bits", "white is 0", "five bands"],
)
def test_depths_that_are_refused(data: bytes, told: str) -> None:
    with pytest.raises(CannotOpen, match=told):
        open_image(data)


# -- modes and transparency ---------------------------------------------------------------------


def palette(transparency: Any = None) -> bytes:
    image = PILImage.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    for x in range(3):
        image.putpixel((x, 0), x)
    return encoded(image, "PNG", **({} if transparency is None else {"transparency": transparency}))


def row(*pixels: tuple[float, ...]) -> np.ndarray:
    return np.asarray([pixels], np.float32)


WHITE = "transparency laid on white"


def test_one_bit_and_palettes() -> None:
    bits = PILImage.fromarray(np.asarray([[0, 255, 255]], np.uint8)).convert("1")
    close(encoded(bits, "PNG"), row((0,), (1,), (1,)))
    close(palette(), row((1, 0, 0), (0, 1, 0), (0, 0, 1)))
    close(palette(1), row((1, 0, 0), (1, 1, 1), (0, 0, 1)), WHITE)
    close(palette(bytes([255, 127, 0])), row((1, 0, 0), (128 / 255, 1, 128 / 255), (1, 1, 1)), WHITE)


def test_transparency_of_every_kind() -> None:
    grey = PILImage.merge("LA", [PILImage.new("L", (2, 1), 0), PILImage.new("L", (2, 1), 127)])
    close(encoded(grey, "PNG"), row((128 / 255,), (128 / 255,)), WHITE)
    opaque = PILImage.new("RGBA", (2, 1), (10, 20, 30, 255))
    close(encoded(opaque, "PNG"), row(*[(10 / 255, 20 / 255, 30 / 255)] * 2))
    hidden = PILImage.new("RGBA", (2, 1), (255, 0, 0, 0))
    close(encoded(hidden, "PNG"), np.ones((1, 2, 3)), "transparent everywhere")
    keyed = encoded(PILImage.new("L", (2, 1), 7), "PNG", transparency=7)
    close(keyed, np.ones((1, 2, 1)), "transparent everywhere")
    colour = encoded(PILImage.new("RGB", (2, 1), (1, 2, 3)), "PNG", transparency=(1, 2, 4))
    close(colour, row(*[(1 / 255, 2 / 255, 3 / 255)] * 2))


# -- colour spaces ------------------------------------------------------------------------------


def cmyk(*, adobe: bool, kind: str = "JPEG", **options: Any) -> bytes:
    """Cyan ink alone; JPEG without Adobe's mark, where the numbers mean what they say."""
    ink = (255, 0, 0, 0) if adobe or kind != "JPEG" else (0, 255, 255, 255)  # Pillow writes the negative
    data = encoded(PILImage.new("CMYK", (16, 16), ink), kind, **options)
    if adobe or kind != "JPEG":
        return data
    start = data.index(b"\xff\xee")
    return data[:start] + data[start + 2 + int.from_bytes(data[start + 2 : start + 4], "big") :]


@pytest.mark.parametrize("adobe", [True, False])
def test_cmyk_with_and_without_adobes_mark(adobe: bool) -> None:
    data = cmyk(adobe=adobe)
    assert (b"Adobe" in data) == adobe
    close(data, np.broadcast_to([0.0, 1, 1], (16, 16, 3)), "converted from CMYK", tolerance=2 / 255)


def test_cmyk_in_tiff_and_with_a_useless_profile() -> None:
    cyan = np.broadcast_to([0.0, 1, 1], (16, 16, 3))
    close(cmyk(adobe=False, kind="TIFF"), cyan, "converted from CMYK")
    with_profile = cmyk(adobe=True, icc_profile=b"no profile at all")
    close(with_profile, cyan, "colour profile was left out", "converted from CMYK", tolerance=2 / 255)


def wide_gamut() -> bytes:
    """A profile with the primaries of Display P3 and a gamma of 2.2, written out by hand."""

    def s15(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(v * 65536)) for v in values)

    def xyz(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + s15(*values)

    text = b"desc\0\0\0\0" + struct.pack(">I", 8) + b"Wide P3\0" + bytes(78)
    parts = {
        b"desc": text, b"cprt": b"text\0\0\0\0none\0", b"wtpt": xyz(0.9642, 1, 0.8249),
        b"rXYZ": xyz(0.5151, 0.2412, -0.0011), b"gXYZ": xyz(0.2920, 0.6922, 0.0419),
        b"bXYZ": xyz(0.1571, 0.0666, 0.7841),
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), b"curv\0\0\0\0" + struct.pack(">IH", 1, 563)),
    }  # fmt: skip
    table, body = b"", b""
    for name, data in parts.items():
        data = data.ljust(-(-len(data) // 4) * 4, b"\0")
        table += name + struct.pack(">II", 132 + 12 * len(parts) + len(body), len(data))
        body += data
    size = 132 + len(table) + len(body)
    head = struct.pack(">I4sI4s4s4s", size, b"lcms", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    head = (head + bytes(12) + b"acsp").ljust(68, b"\0") + s15(0.9642, 1, 0.8249)
    return head.ljust(128, b"\0") + struct.pack(">I", len(parts)) + table + body


def test_a_wide_gamut_is_brought_to_srgb() -> None:
    pure = PILImage.new("RGB", (4, 4), (0, 200, 0))
    image = open_image(encoded(pure, "PNG", icc_profile=wide_gamut()))
    assert image.notes == ("converted from the colours of Wide P3",)
    red, green, blue = image.pixels[0, 0] * 255
    assert green > 201 and red < 3 and blue < 40  # beyond what sRGB can show; greener than 200 was
    grey = open_image(encoded(PILImage.new("RGB", (4, 4), (99, 99, 99)), "PNG", icc_profile=wide_gamut()))
    assert np.abs(grey.pixels * 255 - 99).max() <= 3


def test_srgbs_own_profile_changes_nothing_and_a_broken_one_is_left_out() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = PILImage.fromarray(ramp())
    close(encoded(picture, "PNG", icc_profile=srgb), ramp() / 255.0, tolerance=1e-6)
    broken = encoded(picture, "PNG", icc_profile=b"junk" * 40)
    close(broken, ramp() / 255.0, "colour profile was left out", tolerance=1e-6)


# -- several pictures in one --------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_of_several(kind: str) -> None:
    frames = [PILImage.new("RGB", (8, 8), colour) for colour in ("black", "white", "red")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    close(data, np.zeros((8, 8, 3)), "the first of 3 pictures")


# -- what is damaged, or none -------------------------------------------------------------------


@pytest.mark.parametrize("tenth", range(10))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_cut_off_at_ten_points(kind: str, tenth: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    whole = encoded(PILImage.fromarray(noise), kind)
    with pytest.raises(CannotOpen, match=r"not a picture|damaged"):
        open_image(whole[: len(whole) * tenth // 10], "cut")


FOREIGN = {
    "nothing": b"",
    "text": b"no picture at all\n" * 50,
    "svg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
    "psd": b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 9, 9, 8, 3) + bytes(300),
    "fits": b"SIMPLE  =                    T".ljust(80) + b"NAXIS   =                    0".ljust(80)
    + b"END".ljust(2720),
    "pdf": b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n",
    "ico": struct.pack("<HHH", 0, 1, 1) + bytes(40),
    "ppm": b"P6 2 2 255\n" + bytes(12),
    "zip": b"PK\x03\x04" + bytes(60),
    "a png's first bytes": b"\x89PNG\r\n\x1a\n",
    "a jpeg's first bytes": b"\xff\xd8\xff\xe0",
    "a broken chunk": b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", bytes(13)),
}  # fmt: skip


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_no_picture_of_ours(kind: str) -> None:
    with pytest.raises(CannotOpen, match=r"not a picture that cnnlens reads|damaged"):
        open_image(FOREIGN[kind], "file.png")


def png_of_size(width: int, height: int, data: bytes = b"") -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


BOMBS = {
    "png of two milliards squared": png_of_size(2**31 - 1, 2**31 - 1),
    "png of 30000 squared": png_of_size(30_000, 30_000),
    "png, a line of 60 million": png_of_size(60_000_000, 1),
    "gif of 65535 squared": b"GIF89a" + struct.pack("<HH3x", 65535, 65535) + b",\0\0\0\0" + bytes(6),
    "bmp of 40000 squared": b"BM" + struct.pack("<I4xIIiiHHI", 54, 54, 40, 40_000, 40_000, 1, 24, 0) + bytes(20),
    "tiff of 40000 squared": tiff(ramp(), 8, photometric=2).replace(
        struct.pack("<HHII", 256, 4, 1, 16), struct.pack("<HHII", 256, 4, 1, 40_000)
    ).replace(struct.pack("<HHII", 257, 4, 1, 12), struct.pack("<HHII", 257, 4, 1, 40_000)),
    "jpeg of 65500 squared": (lambda j: j[: j.index(b"\xff\xc0") + 5] + struct.pack(">HH", 65500, 65500)
                              + j[j.index(b"\xff\xc0") + 9 :])(encoded(PILImage.fromarray(ramp()), "JPEG")),
    "png with bombs of text": (lambda p: p[:33] + chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**27)))
                               + p[33:])(encoded(PILImage.fromarray(ramp()), "PNG")),
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs(bomb: str) -> None:
    assert len(BOMBS[bomb]) < 300_000
    if "text" in bomb:  # its text is skipped or refused, its pixels are harmless
        try:
            close(BOMBS[bomb], ramp() / 255.0)
        except CannotOpen as error:
            assert "damaged" in str(error)
        return
    with pytest.raises(CannotOpen, match=r"megapixels|not a picture|damaged"):
        open_image(BOMBS[bomb])


def test_a_large_photograph_is_shrunk_before_it_is_floats() -> None:
    data = encoded(PILImage.new("RGB", (6000, 4000), (51, 102, 204)), "JPEG", quality=90)
    image = open_image(data)
    assert image.notes == ("shrunk from 6000×4000",) and image.pixels.shape == (2000, 3000, 3)
    assert np.abs(image.pixels[::50, ::50] - np.asarray([0.2, 0.4, 0.8])).max() < 2 / 255


def test_a_wrong_suffix_and_a_file_that_is_two() -> None:
    jpeg = encoded(PILImage.fromarray(smooth()), "JPEG", quality=95)
    close(jpeg, smooth() / 255.0, tolerance=3 / 255, name="photo.png")
    html = b"<script>alert(1)</script>"
    close(jpeg + b"PK\x03\x04" + html, smooth() / 255.0, tolerance=3 / 255)
    with pytest.raises(CannotOpen):
        open_image(html + jpeg)
    with pytest.raises(CannotOpen, match=r"damaged|not a picture"):
        open_image(b"GIF89a/*" + html + b"*/=1;")


# -- shapes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (3, 700), (33, 17)])
@pytest.mark.parametrize("rule", ["crop", "squash", "pad"])
def test_odd_shapes_are_read_and_fitted(size: tuple[int, int], rule: Any) -> None:
    values = np.full((*size, 3), 51, np.uint8)
    image = open_image(encoded(PILImage.fromarray(values), "PNG"))
    assert image.pixels.shape == (*size, 3)
    fitted = InputSpec(24, 32, 3, resize=rule).fit(image.pixels)
    assert fitted.shape == (24, 32, 3)
    assert np.isclose(fitted, 0.2).all() if rule != "pad" else np.isclose(fitted.max(), 0.2)


# -- arrays -------------------------------------------------------------------------------------

GOOD_ARRAYS: dict[str, tuple[np.ndarray, np.ndarray, tuple[str, ...]]] = {
    "bool": (np.eye(3, dtype=bool), np.eye(3)[..., None], ()),
    "uint16": (DEEP[..., :3], SHARE[..., :3], ()),
    "uint8, two bands": (ramp(channels=2), ramp(channels=2) / 255.0, ()),
    "uint8, seven bands": (ramp(channels=7), ramp(channels=7) / 255.0, ()),
    "int64 of 8 bits": (ramp().astype(int), ramp() / 255.0, ("int64 taken for levels of 0 to 255",)),
    "channels first": (np.moveaxis(ramp(), -1, 0), ramp() / 255.0, ("channels first (3, 12, 16): put last",)),
    "channels first, grey": (np.moveaxis(ramp(channels=1), -1, 0), ramp(channels=1) / 255.0, ("channels first",)),
    "double": (SHARE[..., :3], SHARE[..., :3], ()),
    "half": (SHARE[..., :3].astype(np.float16), SHARE[..., :3], ()),
    "a hair above 1": (np.full((9, 9, 3), 1.0005), np.ones((9, 9, 3)), ()),
    "reversed": (ramp()[:, ::-1], ramp()[:, ::-1] / 255.0, ()),
}  # fmt: skip


@pytest.mark.parametrize("case", GOOD_ARRAYS)
def test_arrays(case: str) -> None:
    given, wanted, notes = GOOD_ARRAYS[case]
    before = given.copy()
    close(given, wanted, *notes)
    assert np.array_equal(given, before) and given.flags.writeable == before.flags.writeable


BAD_ARRAYS = {
    "NaN": (np.full((9, 9, 3), np.nan), "NaN or infinite"),
    "Inf": (np.full((9, 9, 3), np.inf), "NaN or infinite"),
    "negative": (np.full((9, 9, 3), -0.5), "float pixels are in"),
    "above 1": (np.full((9, 9, 3), 255.0), "float pixels are in"),
    "negative whole numbers": (np.full((9, 9, 3), -1), "never below 0"),
    "very high whole numbers": (np.full((9, 9, 3), 10**6), "divide by the largest"),
    "a batch": (np.zeros((2, 9, 9, 3)), "one picture at a time"),
    "complex": (np.zeros((9, 9, 3), complex), "of numbers"),
    "objects": (np.full((2, 2, 3), None), "of numbers"),
    "empty": (np.zeros((0, 9, 3)), "one picture at a time"),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_arrays_that_are_refused(case: str) -> None:
    given, told = BAD_ARRAYS[case]
    with pytest.raises(BadInput, match=told):
        open_image(given)


def test_channels_that_do_not_fit_the_model() -> None:
    colour, grey = InputSpec(8, 8, 3), InputSpec(8, 8, 1)
    assert np.ptp(colour.fit(open_image(ramp(channels=1)).pixels), -1).max() == 0
    assert grey.fit(open_image(ramp()).pixels).shape == (8, 8, 1)
    with pytest.raises(BadInput, match="4 channels and the model reads 3; if the fourth is transparency"):
        colour.fit(open_image(ramp(channels=4)).pixels)
    with pytest.raises(BadInput, match="3 channels and the model reads 4"):
        InputSpec(8, 8, 4).fit(open_image(ramp()).pixels)
    assert InputSpec(8, 8, 4).fit(open_image(ramp(channels=4)).pixels).shape == (8, 8, 4)
