"""Zip archives and safetensors files that declare what is not so, and plain broken files."""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import zipfile
from pathlib import Path
from typing import Any

from hostile import Trap, hostile, in_dict, saved, tensor, torch_zip, weights


def zipped(entries: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in entries:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return file.getvalue()


def honest() -> bytes:
    return torch_zip(in_dict(tensor(4, 0, (4,), (1,))), {"0": bytes(16)})


@hostile(".pt")
def zip_bomb(path: Path, canary: Path) -> None:
    entries = [("archive/data.pkl", b"\x80\x02}."), ("archive/data/0", bytes(128 << 20))]
    path.write_bytes(zipped(entries, zipfile.ZIP_DEFLATED))


@hostile(".pt")
def zip_that_declares_a_terabyte(path: Path, canary: Path) -> None:
    data = bytearray(zipped([("archive/data.pkl", b"\x80\x02}.")] * 1, zipfile.ZIP_DEFLATED))
    at = data.rindex(b"PK\1\2")
    data[at + 24 : at + 28] = struct.pack("<I", 0xFFFFFFF0)
    path.write_bytes(bytes(data))


@hostile(".pt", "CannotOpen")
def zip_that_unpacks_to_more_than_declared(path: Path, canary: Path) -> None:
    data = bytearray(zipped([("archive/data.pkl", bytes(32 << 20))], zipfile.ZIP_DEFLATED))
    at = data.rindex(b"PK\1\2")
    data[at + 24 : at + 28] = struct.pack("<I", 4)
    path.write_bytes(bytes(data))


@hostile(".pt")
def zip_of_overlapping_entries(path: Path, canary: Path) -> None:
    data = bytearray(
        zipped([("a/data.pkl", b"\x80\x02}."), ("a/data/00", bytes(64)), ("a/data/01", bytes(64))])
    )
    last = data.rindex(b"PK\1\2")
    before = data.rindex(b"PK\1\2", 0, last)
    data[last + 42 : last + 46] = data[before + 42 : before + 46]  # both begin where the first does
    path.write_bytes(bytes(data))


@hostile(".pt")
def zip_of_ten_million_entries(path: Path, canary: Path) -> None:
    end = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 10**7, 10**7, 46 * 10**7, 0)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, 30, 1)
    rest = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    path.write_bytes(b"PK\3\4".ljust(30, b"\0") + end + locator + rest)


@hostile(".pt")
def zip_with_a_name_twice(path: Path, canary: Path) -> None:
    """Python takes the last of two, PyTorch, to whom capitals are all one, the first."""
    bad = saved({"w": Trap(canary)})
    with zipfile.ZipFile(io.BytesIO(bad)) as archive:
        pickled = archive.read(next(n for n in archive.namelist() if n.endswith("data.pkl")))
    path.write_bytes(zipped([("a/DATA.pkl", pickled), ("a/data.pkl", b"\x80\x02}."), ("a/version", b"3")]))


@hostile(".pt")
def zip_of_two_folders(path: Path, canary: Path) -> None:
    path.write_bytes(
        zipped([("a/data.pkl", b"\x80\x02}."), ("b/data.pkl", b"\x80\x02}."), ("a/version", b"3")])
    )


@hostile(".pt")
def zip_behind_a_zip(path: Path, canary: Path) -> None:
    path.write_bytes(saved({"w": Trap(canary)}) + honest())


@hostile(".pt")
def zip_before_more(path: Path, canary: Path) -> None:
    path.write_bytes(honest() + b"#!/bin/sh\n")


@hostile(".pt")
def zip_whose_entry_is_called_otherwise(path: Path, canary: Path) -> None:
    data = bytearray(honest())
    at = data.index(b"archive/data.pkl")
    data[at : at + 16] = b"archive/dota.pkl"
    path.write_bytes(bytes(data))


@hostile(".pt")
def zip_that_climbs(path: Path, canary: Path) -> None:
    path.write_bytes(zipped([("a/data.pkl", b"\x80\x02}."), ("a/../../../tmp/x", b"x"), ("a/version", b"3")]))


@hostile(".keras")
def zip_of_an_absolute_path(path: Path, canary: Path) -> None:
    path.write_bytes(zipped([("metadata.json", b"{}"), ("config.json", b"{}"), (str(canary), b"x")]))


@hostile(".keras", "CannotOpen")
def zip_of_both_kinds(path: Path, canary: Path) -> None:
    path.write_bytes(
        zipped([("metadata.json", b"{}"), ("config.json", b"{}"), ("a/data.pkl", b"\x80\x02}.")])
    )


@hostile(".pt", "CannotOpen")
def zip_encrypted(path: Path, canary: Path) -> None:
    data = bytearray(honest())
    for magic, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = data.index(magic) + offset
        data[at] |= 1
    path.write_bytes(bytes(data))


def header(told: Any, data: bytes = b"") -> bytes:
    text = told if isinstance(told, bytes) else json.dumps(told).encode()
    return struct.pack("<Q", len(text)) + text + data


def one(shape: list[int], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}


@hostile(".safetensors")
def header_of_a_petabyte(path: Path, canary: Path) -> None:
    path.write_bytes(struct.pack("<Q", 1 << 50) + b'{"a":1}')


@hostile(".safetensors")
def header_of_a_million_keys(path: Path, canary: Path) -> None:
    text = "{" + ",".join(f'"k{i}":1' for i in range(1_000_000)) + "}"
    path.write_bytes(header(text.encode()))


@hostile(".safetensors")
def header_of_thirty_thousand_tensors(path: Path, canary: Path) -> None:
    path.write_bytes(header({f"k{i}": one([0], 0, 0) for i in range(30_000)}))


@hostile(".safetensors")
def tensors_that_overlap(path: Path, canary: Path) -> None:
    path.write_bytes(header({"a": one([4], 0, 16), "b": one([4], 8, 24)}, bytes(24)))


@hostile(".safetensors")
def tensors_with_a_gap(path: Path, canary: Path) -> None:
    path.write_bytes(header({"a": one([4], 0, 16), "b": one([4], 24, 40)}, bytes(40)))


@hostile(".safetensors")
def tensor_of_negative_shape(path: Path, canary: Path) -> None:
    path.write_bytes(header({"a": one([-2, -2], 0, 16)}, bytes(16)))


@hostile(".safetensors")
def tensor_larger_than_its_span(path: Path, canary: Path) -> None:
    path.write_bytes(header({"a": one([1 << 31, 1 << 33], 0, 16)}, bytes(16)))


@hostile(".safetensors")
def name_twice_in_the_header(path: Path, canary: Path) -> None:
    told = json.dumps(one([4], 0, 16))
    path.write_bytes(header(f'{{"a":{told},"a":{told}}}'.encode(), bytes(16)))


@hostile(".safetensors", "CannotOpen")
def header_a_hundred_thousand_deep(path: Path, canary: Path) -> None:
    path.write_bytes(header(b'{"a":' * 100_000 + b"1" + b"}" * 100_000))


@hostile(".safetensors", "CannotOpen")
def safetensors_cut_off(path: Path, canary: Path) -> None:
    path.write_bytes(header({"a": one([4], 0, 16)}, bytes(10)))


@hostile(".pt", "CannotOpen")
def empty(path: Path, canary: Path) -> None:
    path.write_bytes(b"")


@hostile(".pt", "CannotOpen")
def gzipped(path: Path, canary: Path) -> None:
    path.write_bytes(gzip.compress(saved(weights())))


@hostile(".pt", "CannotOpen")
def pipe_that_never_ends(path: Path, canary: Path) -> None:
    os.mkfifo(path)


@hostile(".pt", "CannotOpen")
def pointer_of_git_lfs(path: Path, canary: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")


def _cut(name: str, suffix: str, make: str) -> None:
    for tenth in range(10):

        def build(path: Path, canary: Path, tenth: int = tenth) -> None:
            whole = MAKERS[make]()
            path.write_bytes(whole[: max(1, len(whole) * tenth // 10 + 7 * tenth)])

        build.__name__ = f"{name}_{tenth}"
        hostile(suffix, "CannotOpen")(build)


def keras_bytes(suffix: str) -> bytes:
    from hostile_keras import model_bytes

    return model_bytes(suffix)


MAKERS: dict[str, Any] = {
    "zip": lambda: saved(weights()),
    "legacy": lambda: saved(weights(), _use_new_zipfile_serialization=False),
    "keras": lambda: keras_bytes(".keras"),
    "h5": lambda: keras_bytes(".h5"),
}
_cut("zip_cut", ".pt", "zip")
_cut("legacy_cut", ".pt", "legacy")
_cut("keras_cut", ".keras", "keras")
_cut("h5_cut", ".h5", "h5")
