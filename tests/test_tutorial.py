"""The tutorial is true: its code makes its pictures, and its words say what its code printed."""

from __future__ import annotations

import importlib
import re
import socket
from pathlib import Path
from typing import Any

import pytest
from needs import need, need_installed
from PIL import Image
from test_docs import DOCS, blocks, run_page

PAGE = DOCS / "tutorial.md"
PICTURES = DOCS / "pictures" / "tutorial"
_PICTURE = re.compile(r"!\[(?P<words>[^\]]+)\]\(pictures/tutorial/(?P<name>[\w-]+)\.png\)")


def named() -> list[str]:
    """The pictures of the page, in order."""
    return [found["name"] for found in _PICTURE.finditer(PAGE.read_text())]


def test_its_blocks_run_and_make_its_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From top to bottom, offline; what is printed is compared by `run_page`."""
    for package in ("torch", "efficientnet_lite_pytorch", "skimage"):
        need(package)
    need_installed("keras")  # for the last commands alone
    monkeypatch.syspath_prepend(DOCS)
    maker = importlib.import_module("make_tutorial")
    monkeypatch.setattr(maker, "FOLDER", tmp_path / "pictures")
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.chdir(tmp_path)
    run_page(PAGE, tmp_path)
    made = {path.stem: path for path in (tmp_path / "pictures").iterdir()}
    assert made.keys() == set(named())
    for name, path in made.items():
        with Image.open(path) as picture, Image.open(PICTURES / f"{name}.png") as kept:
            assert picture.width <= maker.WIDTH + 1
            assert picture.size == kept.size, f"{name} is stale: run python docs/make_tutorial.py"


def refuse(self: socket.socket, address: Any) -> None:
    """Nothing is fetched."""
    raise AssertionError(f"the tutorial asks {address}")


def test_each_picture_is_there_once_and_made_by_the_block_above_it() -> None:
    text = PAGE.read_text()
    assert len(named()) == len({*named()}) > 10
    assert {path.stem for path in PICTURES.iterdir()} == {*named()}
    for found in _PICTURE.finditer(text):
        above = blocks(text[: found.start()])
        code = [block.text for block in above if block.language == "python"][-1]
        assert re.findall(r'keep\(\s*"([\w-]+)"', code) == [found["name"]]
        assert len(found["words"].split()) > 5, "somebody who cannot see it reads this instead"


def test_its_pictures_are_small_together() -> None:
    sizes = {path.name: path.stat().st_size for path in PICTURES.iterdir()}
    assert sum(sizes.values()) <= 1_500_000
    assert min(sizes.values()) > 1000


def prose(text: str) -> str:
    """What is said between blocks, pictures, headings and code."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    text = re.sub(r"^(#|<!--|!\[).*$", "", text, flags=re.M)
    text = re.sub(r"`[^`]*`|\]\([^)]*\)|\([^()]*\b(?:19|20)\d\d\)", " ", text)
    return text


def numbers_of(text: str) -> set[str]:
    """Numbers in digits, without the commas of thousands."""
    return set(re.findall(r"\d+(?:\.\d+)?", re.sub(r"(?<=\d),(?=\d{3})", "", text)))


def test_each_number_in_its_words_was_printed() -> None:
    text = PAGE.read_text()
    printed = set[str]().union(*(numbers_of(b.text) for b in blocks(text) if b.mark == "prints"))
    printed |= {"0", "1"}  # the ends of a scale
    told = numbers_of(prose(text))
    assert told - printed == set(), "told, and printed by no block"
    assert len(told) > 15


def test_a_number_that_nobody_printed_is_found_out() -> None:
    text = "Of 1,234 places 7 are left (Luo, 2016), `x = 5`.\n\n```python\nprint(3)\n```\n![9 cats](a.png)\n## 4\n"
    assert numbers_of(prose(text)) == {"1234", "7"}
